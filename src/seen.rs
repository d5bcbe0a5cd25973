//! Names that came already, so that none comes twice.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

/// Remembers byte strings by two hashes of 64 bits with random seeds: 16 bytes a name (40 with
/// the table's slack), and
/// a mistake once in 10²⁴ reads of ten million names.
#[derive(Debug, Default)]
pub struct Seen {
    first: RandomState,
    second: RandomState,
    names: HashSet<(u64, u64)>,
}

impl Seen {
    /// Whether the name is new; from now on it is not.
    pub fn insert(&mut self, name: &[u8]) -> bool {
        self.names
            .insert((self.first.hash_one(name), self.second.hash_one(name)))
    }
}
