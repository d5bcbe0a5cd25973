//! Which keys came already, and which count at a node.

use std::collections::HashSet;
use std::sync::Arc;

use crate::seen::Seen;
use crate::tables::Key;
use crate::topology::{Holding, Slots, slot_of};

/// What came in passes before this one.
pub type Earlier = Arc<Vec<Arc<Seen>>>;

/// Which keys came already, and which count at this node.
#[derive(Default)]
pub struct Known {
    pub seen: Seen,
    earlier: Earlier,
    /// None where all keys are here.
    holding: Option<Holding>,
    /// Keys of slots that are being given away.
    pub leaving: HashSet<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    New,
    Repeated,
    /// It does not count here, or came in an earlier pass.
    Foreign,
}

impl Known {
    /// Where these slots count, or all keys; those that came earlier are left out.
    pub fn new(holding: Option<Holding>, earlier: Earlier) -> Self {
        Known {
            holding,
            earlier,
            ..Known::default()
        }
    }

    /// Says of a key that was named whether it is new.
    pub(super) fn admit(&mut self, key: &[u8]) -> Admitted {
        if !self.counts(key) || self.came_earlier(key) {
            Admitted::Foreign
        } else if self.insert(key) {
            Admitted::New
        } else {
            Admitted::Repeated
        }
    }

    /// The slots that count; None where keys have none.
    pub(super) fn slots(&self) -> Option<&Slots> {
        self.holding.as_ref().map(|holding| &holding.owned)
    }

    /// Whether a key counts at this node.
    pub(super) fn counts(&self, key: &[u8]) -> bool {
        let holding = self.holding.as_ref();
        holding.is_none_or(|holding| holding.owned.contains(slot_of(key)))
    }

    /// Whether a key's slot was being given away when the node was found.
    pub(super) fn is_leaving(&self, key: &[u8]) -> bool {
        let holding = self.holding.as_ref();
        holding.is_some_and(|holding| holding.leaving.contains_key(&slot_of(key)))
    }

    /// Whether a key is new; from now on it is not.
    pub(super) fn insert(&mut self, key: &[u8]) -> bool {
        if self.came_earlier(key) || !self.seen.insert(key) {
            return false;
        }
        if self.is_leaving(key) {
            self.leaving.insert(key.into());
        }
        true
    }

    /// Whether a key came in a pass before this one.
    pub(super) fn came_earlier(&self, key: &[u8]) -> bool {
        self.earlier.iter().any(|seen| seen.contains(key))
    }

    /// Takes back that a key came: it could not be read.
    pub fn forget(&mut self, key: &[u8]) {
        self.seen.remove(key);
        self.leaving.remove(key);
    }
}
