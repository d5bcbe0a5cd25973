//! The 16,384 slots that a cluster's keys are spread over.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use crc::{CRC_16_XMODEM, Crc};

/// How many there are.
pub const SLOTS: u16 = 16_384;

const CRC: Crc<u16, crc::Table<1>> = Crc::<u16, crc::Table<1>>::new(&CRC_16_XMODEM);

/// The slot of a key: of what stands in its first `{…}`, where there is something.
pub fn slot_of(key: &[u8]) -> u16 {
    let tag = || {
        let open = key.iter().position(|byte| *byte == b'{')?;
        let length = key[open + 1..].iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &key[open + 1..open + 1 + length])
    };
    CRC.checksum(tag().unwrap_or(key)) % SLOTS
}

/// A set of slots.
#[derive(Clone, PartialEq, Eq)]
pub struct Slots(Box<[u64]>);

impl Default for Slots {
    fn default() -> Self {
        Slots(vec![0; usize::from(SLOTS) / 64].into_boxed_slice())
    }
}

impl Slots {
    pub fn insert(&mut self, slots: RangeInclusive<u16>) {
        for slot in slots.filter(|slot| *slot < SLOTS) {
            self.0[usize::from(slot / 64)] |= 1 << (slot % 64);
        }
    }

    pub fn contains(&self, slot: u16) -> bool {
        let word = self.0.get(usize::from(slot / 64));
        word.is_some_and(|word| word & (1 << (slot % 64)) != 0)
    }

    pub fn extend(&mut self, others: &Slots) {
        for (word, other) in self.0.iter_mut().zip(others.0.iter()) {
            *word |= other;
        }
    }

    /// Those in both.
    pub fn both(&self, others: &Slots) -> Slots {
        let mut both = self.clone();
        for (word, other) in both.0.iter_mut().zip(others.0.iter()) {
            *word &= other;
        }
        both
    }

    /// Those in exactly one of both.
    pub fn difference(&self, others: &Slots) -> Slots {
        let mut differing = self.clone();
        for (word, other) in differing.0.iter_mut().zip(others.0.iter()) {
            *word ^= other;
        }
        differing
    }

    /// All that are not in it.
    pub fn missing(&self) -> Slots {
        let mut all = Slots::default();
        all.insert(0..=SLOTS - 1);
        all.difference(self)
    }

    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0..SLOTS).filter(|slot| self.contains(*slot))
    }

    pub fn all() -> Slots {
        Slots::default().missing()
    }

    /// All of them, as `0-5460,7000`.
    pub fn to_text(&self) -> String {
        self.shown(usize::MAX).join(",")
    }

    /// The first ranges.
    fn shown(&self, ranges: usize) -> Vec<String> {
        let shown = self.ranges().into_iter().take(ranges);
        let shown = shown.map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        shown.collect()
    }

    fn ranges(&self) -> Vec<(u16, u16)> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for slot in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == slot => *last = slot,
                _ => ranges.push((slot, slot)),
            }
        }
        ranges
    }
}

/// As `0-5460, 7000`; not more than a few ranges of many.
impl fmt::Display for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        f.write_str(&self.shown(SHOWN).join(", "))?;
        if self.ranges().len() > SHOWN {
            write!(f, ", … ({} slots in all)", self.len())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slots({self})")
    }
}

/// What of a cluster's keys a node has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    pub owned: Slots,
    /// Of these, those that are being given to another node, key by key.
    pub leaving: BTreeMap<u16, String>,
    /// Slots of another node that are being given to this one.
    pub arriving: BTreeMap<u16, String>,
}

impl Holding {
    pub fn is_empty(&self) -> bool {
        self.owned.is_empty() && self.arriving.is_empty()
    }

    /// The slots that are being moved to the node or from it.
    pub fn open(&self) -> Slots {
        let mut open = Slots::default();
        for slot in self.leaving.keys().chain(self.arriving.keys()) {
            open.insert(*slot..=*slot);
        }
        open
    }

    /// What of these slots it has.
    #[must_use]
    pub fn within(&self, slots: &Slots) -> Holding {
        let mut part = self.clone();
        part.owned = part.owned.both(slots);
        part.leaving.retain(|slot, _| slots.contains(*slot));
        part.arriving.retain(|slot, _| slots.contains(*slot));
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_slots_that_redis_gives_them() {
        // By CLUSTER KEYSLOT.
        for (key, slot) in [
            ("123456789", 12739),
            ("", 0),
            ("foo", 12182),
            ("{foo}bar", 12182),
            ("a{foo}{bar}", 12182),
            ("{}foo", 9500),
        ] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
        assert_eq!(slot_of(b"foo{}{bar}"), slot_of(b"foo{}{bar}"));
        assert_ne!(slot_of(b"foo{}{bar}"), slot_of(b"bar"));
    }

    #[test]
    fn sets_of_slots_know_what_is_missing() {
        let mut slots = Slots::default();
        assert!(slots.is_empty());
        slots.insert(0..=5460);
        slots.insert(5462..=16_383);
        assert!(slots.contains(5460) && !slots.contains(5461) && !slots.contains(16_384));
        assert_eq!(slots.missing().to_string(), "5461");
        let mut other = Slots::default();
        other.insert(5461..=5461);
        slots.extend(&other);
        assert_eq!(slots.missing().len(), 0);
        let mut odd = Slots::default();
        for slot in (1..100).step_by(2) {
            odd.insert(slot..=slot);
        }
        assert_eq!(
            odd.to_string(),
            "1, 3, 5, 7, 9, 11, 13, 15, … (50 slots in all)"
        );
    }
}
