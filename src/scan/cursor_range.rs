//! A part of a keyspace, by the order in which SCAN goes through it.
//!
//! A server keeps its keys in a table of 2ⁿ buckets, by the low bits of each key's hash, and SCAN
//! goes through the buckets in the order of their reversed numbers. So the keys whose hashes end in the same
//! bits follow each other, however large the table is, or becomes: a range of reversed bits is a
//! part of the keys to which each key belongs or not, for as long as the process lives. What holds
//! only while the table has more buckets than there are parts is checked at every page.

use serde::{Deserialize, Serialize};

/// Keys whose hash ends in bits that, reversed, are a number from one up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CursorRange {
    /// How many of the hash's bits count: from 1 to 32.
    bits: u32,
    from: u64,
    /// Not included.
    to: u64,
}

/// How many values of these bits a part has at the least, so that parts are of the same size, or nearly.
const GRAIN: u64 = 16;
/// A table of so many keys for each value of these bits has enough buckets by far: it has one for
/// ten keys at the least, and Valkey's hold seven.
const KEYS_PER_GRAIN: u64 = 1024;
/// More are of no use to anybody, and cursors have 48 bits at some servers.
const MOST_BITS: u32 = 32;

impl CursorRange {
    /// Divides a keyspace of so many keys into so many parts; fewer where there are few keys, and none
    /// where it is not to be divided.
    pub fn divide(keys: u64, parts: u64) -> Vec<CursorRange> {
        let fine = (parts * GRAIN).next_power_of_two().ilog2();
        let bits = fine
            .min((keys / KEYS_PER_GRAIN).checked_ilog2().unwrap_or(0))
            .min(MOST_BITS);
        let grains = 1 << bits;
        let parts = parts.min(grains);
        if parts < 2 {
            return Vec::new();
        }
        let bound = |part: u64| part * grains / parts;
        let range = |number| CursorRange {
            bits,
            from: bound(number),
            to: bound(number + 1),
        };
        (0..parts).map(range).collect()
    }

    /// Whether it is one at all, which text may not be.
    pub fn is_valid(self) -> bool {
        (1..=MOST_BITS).contains(&self.bits) && self.from < self.to && self.to <= self.grains()
    }

    fn grains(self) -> u64 {
        1 << self.bits
    }

    /// Whether keys that are looked up by their names belong to it.
    pub fn is_first(self) -> bool {
        self.from == 0
    }

    /// The cursor with which it begins.
    pub fn begin(self) -> u64 {
        self.cursor(self.from)
    }

    /// The cursor before which it ends; None where that is the end of the keyspace.
    pub fn end(self) -> Option<u64> {
        (self.to < self.grains()).then(|| self.cursor(self.to))
    }

    fn cursor(self, grain: u64) -> u64 {
        (grain << (u64::BITS - self.bits)).reverse_bits()
    }

    /// Whether a scan that goes on from one cursor with another is still within it, beyond doubt: the
    /// table has more buckets than there are grains.
    pub fn goes_on(self, next: u64) -> bool {
        self.is_fine(next) && !self.is_over(next)
    }

    /// Whether a cursor is one of a table with more buckets than there are grains.
    pub fn is_fine(self, cursor: u64) -> bool {
        cursor >= self.grains()
    }

    /// Whether a scan that goes on with this cursor is through.
    pub fn is_over(self, next: u64) -> bool {
        let end = self.end();
        next == 0 || end.is_some_and(|end| next.reverse_bits() >= end.reverse_bits())
    }

    /// Whether one cursor comes before another one.
    pub fn in_order(before: u64, after: u64) -> bool {
        after == 0 || before.reverse_bits() < after.reverse_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_all_and_nothing_twice() {
        for (keys, wanted, got) in [
            (1 << 30, 8, 8),
            (1 << 30, 7, 7),
            (1 << 30, 1000, 1000),
            (100_000, 8, 8),
            (10_000, 100, 8),
            (2_048, 8, 2),
            (2_047, 8, 0),
            (0, 8, 0),
            (1 << 30, 1, 0),
        ] {
            let shares = CursorRange::divide(keys, wanted);
            assert_eq!(shares.len(), got, "{keys} keys in {wanted}");
            let Some(last) = shares.last() else {
                continue;
            };
            assert!(shares.iter().all(|share| share.is_valid()));
            assert!(shares.windows(2).all(|two| two[0].to == two[1].from));
            assert!(shares[0].is_first() && last.end().is_none());
            let sizes = shares.iter().map(|share| share.to - share.from);
            let (least, most) = (sizes.clone().min().unwrap(), sizes.max().unwrap());
            assert!(most - least <= 1);
        }
    }

    #[test]
    fn cursors_are_reversed_numbers() {
        let shares = CursorRange::divide(1 << 20, 4);
        let begins: Vec<_> = shares.iter().map(|share| share.begin()).collect();
        assert_eq!(begins, [0, 2, 1, 3]);
        let ends: Vec<_> = shares.iter().map(|share| share.end()).collect();
        assert_eq!(ends, [Some(2), Some(1), Some(3), None]);
        let second = shares[1];
        assert!(second.goes_on(2 + 64) && second.goes_on(2 + 128));
        // Of a table that may be too small to tell.
        assert!(!second.goes_on(2 + 32));
        assert!(!second.goes_on(1) && second.is_over(1 + 64) && second.is_over(0));
        assert!(!shares[3].is_over(3 + 64) && shares[3].is_over(0));
        assert!(
            CursorRange::in_order(2, 1)
                && !CursorRange::in_order(1, 2)
                && CursorRange::in_order(3, 0)
        );
    }

    #[test]
    fn what_is_no_share_is_known() {
        for text in [
            r#"{"bits": 0, "from": 0, "to": 1}"#,
            r#"{"bits": 33, "from": 0, "to": 1}"#,
            r#"{"bits": 3, "from": 4, "to": 4}"#,
            r#"{"bits": 3, "from": 4, "to": 9}"#,
        ] {
            let share: CursorRange = serde_json::from_str(text).unwrap();
            assert!(!share.is_valid(), "{text}");
        }
        assert!(serde_json::from_str::<CursorRange>(r#"{"bits": 3, "from": 4}"#).is_err());
    }
}
