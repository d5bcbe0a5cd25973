//! How far a scan has come, as its cursors tell.
//!
//! A table's cursors are in the order of their reversed numbers (see [`CursorRange`]): so a reversed
//! cursor is the share of the table that is behind it, however large that is, or becomes. The nodes
//! of newer clusters (Redis 7.4, Valkey 8) have a table for each slot, and go through them by the
//! slots' numbers: the low bits of a cursor are the slot, the others a cursor of its table.
//!
//! Which of both it does, no server says. But as cursors of the one kind, those of the other are
//! out of order within a few pages, and until then the smaller share counts. Where they are of
//! neither kind, nothing is known.

use super::CursorRange;
use crate::topology::{SLOTS, Slots};

/// What hears a scan's cursors.
pub struct Gauge {
    /// The part of the keyspace that is scanned; None for all.
    range: Option<CursorRange>,
    /// Slots that there may be a table for each of, in their order.
    slots: Vec<u16>,
    last: u64,
    /// Whether the cursors so far may be those of one table …
    of_one: bool,
    /// … or of one for each slot.
    of_slots: bool,
}

impl Gauge {
    /// Of a scan of all keys, or of those in these slots.
    pub fn new(slots: Option<&Slots>) -> Self {
        let slots: Vec<u16> = slots.map_or_else(Vec::new, |slots| slots.iter().collect());
        Gauge {
            range: None,
            of_one: true,
            of_slots: !slots.is_empty(),
            slots,
            last: 0,
        }
    }

    /// The same of a part of the keyspace.
    pub fn narrow(&mut self, range: CursorRange) {
        self.range = Some(range);
        self.last = range.begin();
        // Keyspaces are divided only where they are one table.
        self.of_slots = false;
    }

    /// Hears of the cursor with which the scan goes on.
    pub fn hear(&mut self, cursor: u64) {
        self.of_one &= CursorRange::in_order(self.last, cursor);
        self.of_slots &= in_slots(self.last) < in_slots(cursor);
        self.last = cursor;
    }

    /// The share that is behind, between 0 and 1; None where that cannot be told.
    pub fn share(&self) -> Option<f64> {
        let of_one = self.of_one.then(|| self.of_one());
        let of_slots = self.of_slots.then(|| self.of_slots());
        let share = match (of_one, of_slots) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        // The last page of a part may reach beyond it, and a node may name a slot that came meanwhile.
        share.map(|share| share.clamp(0.0, 1.0))
    }

    fn of_one(&self) -> f64 {
        let begin = self.range.map_or(0, CursorRange::begin);
        let end = self.range.and_then(CursorRange::end);
        let (begin, end) = (behind(begin), end.map_or(1.0, behind));
        (behind(self.last) - begin) / (end - begin)
    }

    fn of_slots(&self) -> f64 {
        let (slot, _) = in_slots(self.last);
        let before = self.slots.partition_point(|one| *one < slot);
        let within = behind(self.last / u64::from(SLOTS));
        (before as f64 + within) / self.slots.len() as f64
    }
}

/// The share of a table that is behind a cursor.
fn behind(cursor: u64) -> f64 {
    cursor.reverse_bits() as f64 / (1_u128 << u64::BITS) as f64
}

/// What the cursors of one table for each slot are in the order of.
fn in_slots(cursor: u64) -> (u16, u64) {
    let slots = u64::from(SLOTS);
    let slot = u16::try_from(cursor % slots).unwrap_or_default();
    (slot, (cursor / slots).reverse_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cursors of a table of so many buckets, after each of them but the last.
    fn cursors(buckets: u64) -> Vec<u64> {
        let shift = u64::BITS - buckets.ilog2();
        (1..buckets).map(|n| (n << shift).reverse_bits()).collect()
    }

    fn shares(gauge: &mut Gauge, cursors: &[u64]) -> Vec<Option<f64>> {
        let shares = cursors.iter().map(|cursor| {
            gauge.hear(*cursor);
            gauge.share()
        });
        shares.collect()
    }

    fn slots(first: u16, last: u16) -> Slots {
        let mut slots = Slots::default();
        slots.insert(first..=last);
        slots
    }

    #[test]
    fn there_is_no_more_than_all() {
        let mut gauge = Gauge::new(Some(&slots(1, 2)));
        // Of the slots 3 and 4, in the order of slots alone.
        for cursor in [3 + 5 * u64::from(SLOTS), 4 + u64::from(SLOTS)] {
            gauge.hear(cursor);
        }
        assert_eq!(gauge.share(), Some(1.0));
        let mut gauge = Gauge::new(None);
        let part = CursorRange::divide(1 << 20, 2)[0];
        gauge.narrow(part);
        gauge.hear(3 + 64);
        assert_eq!(gauge.share(), Some(1.0));
    }

    #[test]
    fn a_reversed_cursor_is_the_share() {
        let mut gauge = Gauge::new(None);
        assert_eq!(gauge.share(), Some(0.0));
        let told = shares(&mut gauge, &[4, 2, 6, 1 + 8]);
        assert_eq!(told, [0.125, 0.25, 0.375, 0.5625].map(Some));
        // The table has grown.
        gauge.hear(3 + (1 << 40));
        assert!(
            gauge
                .share()
                .is_some_and(|share| (share - 0.75).abs() < 1e-9)
        );
    }

    #[test]
    fn of_a_part_it_is_the_share_of_that() {
        let parts = CursorRange::divide(1 << 20, 4);
        let mut gauge = Gauge::new(None);
        gauge.narrow(parts[1]);
        assert_eq!(gauge.share(), Some(0.0));
        assert_eq!(shares(&mut gauge, &[2 + 4]), [Some(0.5)]);
        let mut last = Gauge::new(None);
        last.narrow(parts[3]);
        assert_eq!(
            shares(&mut last, &[3 + 4, 3 + 4 + 8]),
            [0.5, 0.75].map(Some)
        );
    }

    #[test]
    fn a_table_for_each_slot_is_known_by_its_cursors() {
        let mut gauge = Gauge::new(Some(&slots(1000, 1099)));
        let mut told = Vec::new();
        for slot in 1000..1100 {
            let cursors = cursors(4).into_iter().map(|cursor| (cursor << 14) | slot);
            // Where one is through, the next slot's begins.
            let cursors: Vec<_> = [slot].into_iter().chain(cursors).collect();
            told.extend(shares(&mut gauge, &cursors));
        }
        for (number, share) in told.into_iter().enumerate() {
            let expected = number as f64 / 400.0;
            // At first it may be one table.
            let least = if number < 8 { 0.0 } else { expected - 1e-9 };
            let share = share.unwrap();
            assert!(least <= share && share <= expected + 1e-9, "{number}");
        }
    }

    #[test]
    fn one_table_of_a_clusters_node_is_known_by_its_cursors() {
        for buckets in [64, 1 << 16] {
            let mut gauge = Gauge::new(Some(&slots(0, 5460)));
            let told = shares(&mut gauge, &cursors(buckets));
            let mut last = 0.0;
            for (number, share) in told.into_iter().enumerate() {
                let expected = (number + 1) as f64 / buckets as f64;
                let share = share.unwrap();
                assert!(last <= share && share <= expected);
                assert!(share == expected || expected < 0.1, "{number} of {buckets}");
                last = share;
            }
        }
    }

    #[test]
    fn cursors_of_another_kind_tell_nothing() {
        for slots in [None, Some(&slots(0, 99))] {
            let mut gauge = Gauge::new(slots);
            let told = shares(&mut gauge, &[1, 2, 3, 4, 5, 3]);
            assert_eq!(told[5], None);
        }
    }
}
