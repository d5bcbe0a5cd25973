//! Names that came already, so that none comes twice.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

/// Names in a generation: what fills a hash set of 2¹⁹ places, some 9 MB, without growing it.
const GENERATION: usize = (1 << 19) / 8 * 7;

/// Remembers the last names, at least [`GENERATION`] of them, by two hashes of 64 bits with
/// random seeds: a mistake once in 10²⁴ reads of ten million names.
///
/// For SCAN and its kin the last ones are enough. They go through a hash table in the order of
/// its buckets' reversed numbers, in which a bucket of a smaller table covers neighbours of the
/// larger one. So a name repeats only where the table has shrunk and a page begins in the middle
/// of such a bucket: it was seen among the names of one bucket of the smaller table. These are
/// more than we remember only where a table of many millions shrinks, while it is read, to a
/// handful of names: by a factor of hundreds of thousands. Ranges of a sorted set repeat a
/// member whose score rose meanwhile, perhaps further back; that its key changed is flagged.
#[derive(Debug, Default)]
pub struct Seen {
    first: RandomState,
    second: RandomState,
    young: HashSet<(u64, u64)>,
    old: HashSet<(u64, u64)>,
    /// Whether some are forgotten by now.
    forgot: bool,
}

impl Seen {
    /// Whether the name is new; from now on it is not.
    pub fn insert(&mut self, name: &[u8]) -> bool {
        let hashes = self.hashes(name);
        if self.old.contains(&hashes) || !self.young.insert(hashes) {
            return false;
        }
        if self.young.len() == GENERATION {
            self.forgot |= !self.old.is_empty();
            self.old = std::mem::take(&mut self.young);
        }
        true
    }

    pub fn contains(&self, name: &[u8]) -> bool {
        let hashes = self.hashes(name);
        self.old.contains(&hashes) || self.young.contains(&hashes)
    }

    /// From now on the name is new again.
    pub fn remove(&mut self, name: &[u8]) {
        let hashes = self.hashes(name);
        self.old.remove(&hashes);
        self.young.remove(&hashes);
    }

    /// Whether every name that ever came is remembered.
    pub fn is_whole(&self) -> bool {
        !self.forgot
    }

    fn hashes(&self, name: &[u8]) -> (u64, u64) {
        (self.first.hash_one(name), self.second.hash_one(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_names_are_remembered_and_no_more() {
        let mut seen = Seen::default();
        let name = |n: usize| n.to_le_bytes();
        let names = GENERATION * 5 / 2;
        for n in 0..names {
            assert!(seen.insert(&name(n)));
        }
        assert!((names - GENERATION..names).all(|n| !seen.insert(&name(n))));
        assert!(!seen.is_whole());
        assert!(seen.insert(&name(0)));
        seen.remove(&name(0));
        assert!(!seen.contains(&name(0)) && seen.contains(&name(names - 1)));
        assert!(seen.young.len() + seen.old.len() <= 2 * GENERATION);
        assert!(seen.young.capacity() <= GENERATION && seen.old.capacity() <= GENERATION);
    }
}
