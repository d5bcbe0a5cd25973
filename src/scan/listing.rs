//! Naming the keys of slots, each at one moment: what CLUSTER GETKEYSINSLOT gives within one
//! transaction with CLUSTER NODES, which says whether the slot was all there.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::resp::{Commands, Replies};
use crate::topology::{Slots, parse_own_line};

/// Slots in one transaction.
const SLOTS_PER_PAGE: usize = 64;
/// Keys of one slot, at the most: they are named in one reply.
const MOST_KEYS: usize = 1_000_000;

/// A listing under way.
pub struct Listing {
    left: Vec<u16>,
    asked: Vec<u16>,
    /// Slots that are known to be moving, whose keys at the other node are read afterwards.
    moving: BTreeSet<u16>,
    /// Slots that were not here, or began to move.
    pub pending: Slots,
}

impl Listing {
    pub fn new(slots: &Slots, moving: BTreeSet<u16>) -> Self {
        Listing {
            left: slots.iter().collect(),
            asked: Vec::new(),
            moving,
            pending: Slots::default(),
        }
    }

    pub fn done(&self) -> bool {
        self.left.is_empty()
    }

    /// Asks for the next slots; gives the number of commands that this takes.
    pub fn ask(&mut self, to: &mut Commands) -> usize {
        let from = self.left.len().saturating_sub(SLOTS_PER_PAGE);
        self.asked = self.left.split_off(from);
        let most = MOST_KEYS.to_string();
        to.push(&[b"MULTI"]);
        to.push(&[b"CLUSTER", b"NODES"]);
        for slot in &self.asked {
            let slot = slot.to_string();
            to.push(&[
                b"CLUSTER",
                b"GETKEYSINSLOT",
                slot.as_bytes(),
                most.as_bytes(),
            ]);
        }
        to.push(&[b"EXEC"]);
        self.asked.len() + 3
    }

    /// Takes the replies to what was asked.
    pub fn page(&mut self, mut replies: Replies<'_>, mut take: impl FnMut(&[u8])) -> Result<u64> {
        for _ in 0..self.asked.len() + 2 {
            replies.bytes()?;
        }
        if replies.array()? != self.asked.len() + 1 {
            return Err(Error::Protocol(
                "EXEC gives not as many replies as were asked".to_owned(),
            ));
        }
        let nodes = String::from_utf8_lossy(replies.bytes()?).into_owned();
        let own = parse_own_line(&nodes).ok_or_else(|| {
            Error::Protocol("CLUSTER NODES says nothing of the node itself".to_owned())
        })?;
        let mut named = 0;
        for slot in std::mem::take(&mut self.asked) {
            let keys = replies.array()?;
            let moves = own.holding.leaving.contains_key(&slot) && !self.moving.contains(&slot);
            let here = own.holding.owned.contains(slot) && !moves;
            if !here {
                self.pending.insert(slot..=slot);
            }
            if keys >= MOST_KEYS {
                return Err(Error::TopologyChanged(format!(
                    "slot {slot} has moved meanwhile, and has more than {MOST_KEYS} keys; read again"
                )));
            }
            for _ in 0..keys {
                let key = replies.bytes()?;
                if here {
                    named += 1;
                    take(key);
                }
            }
        }
        Ok(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Decoder;

    #[test]
    fn only_slots_that_are_all_here_are_listed() {
        let mut slots = Slots::default();
        slots.insert(1..=4);
        let mut listing = Listing::new(&slots, BTreeSet::from([3]));
        let mut commands = Commands::default();
        assert_eq!(listing.ask(&mut commands), 7);
        assert!(listing.done());
        // Slot 2 has just begun to move, 3 was known to, and 4 is gone.
        let nodes = "aa a:1@2 myself,master - 0 0 1 connected 0-3 [2->-bb] [3->-bb]";
        let mut wire = "+OK\r\n".to_owned() + &"+QUEUED\r\n".repeat(5);
        wire += &format!("*5\r\n${}\r\n{nodes}\r\n", nodes.len());
        for slot in 1..=4 {
            wire += &format!("*1\r\n$2\r\nk{slot}\r\n");
        }
        let mut decoder = Decoder::new(wire.as_bytes());
        let mut keys = Vec::new();
        let replies = Replies::new(&mut decoder, 7);
        let mut take = |key: &[u8]| keys.push(String::from_utf8_lossy(key).into_owned());
        assert_eq!(listing.page(replies, &mut take).unwrap(), 2);
        assert_eq!(keys, ["k1", "k3"]);
        assert_eq!(listing.pending.to_string(), "2, 4");
    }
}
