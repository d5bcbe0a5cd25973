//! Naming the keys of slots, each at one moment: what CLUSTER GETKEYSINSLOT gives within one
//! transaction with CLUSTER NODES, which says whether the slot was all there.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::resp::{Commands, Replies};
use crate::topology::{Slots, parse_own_line};

/// Slots whose keys are counted together.
const COUNTED: usize = 256;
/// Slots in one transaction …
const SLOTS_PER_PAGE: usize = 64;
/// … which stops at so many keys.
const KEYS_PER_PAGE: u64 = 10_000;
/// Keys of one slot, at the most: they are named in one reply.
const MOST_KEYS: u64 = 1_000_000;

/// A listing under way.
pub struct Listing {
    /// Slots whose keys were not counted yet.
    left: Vec<u16>,
    /// Slots to be listed, with how many keys they have, or nearly.
    counted: Vec<(u16, u64)>,
    asked: Asked,
    /// How many slots there are to be listed.
    slots: usize,
    /// Slots that are known to be moving, whose keys at the other node are read afterwards.
    moving: BTreeSet<u16>,
    /// Slots that were not here, or began to move.
    pub pending: Slots,
}

/// What a node was asked.
enum Asked {
    Counts(Vec<u16>),
    /// Each with how many keys it had when they were counted.
    Keys(Vec<(u16, u64)>),
}

impl Listing {
    pub fn new(slots: &Slots, moving: BTreeSet<u16>) -> Self {
        let left: Vec<u16> = slots.iter().collect();
        Listing {
            slots: left.len(),
            left,
            counted: Vec::new(),
            asked: Asked::Counts(Vec::new()),
            moving,
            pending: Slots::default(),
        }
    }

    pub fn done(&self) -> bool {
        self.left.is_empty() && self.counted.is_empty()
    }

    /// Which share of the slots was asked for.
    pub fn share(&self) -> f64 {
        let left = self.left.len() + self.counted.len();
        1.0 - left as f64 / self.slots.max(1) as f64
    }

    /// Asks for the next slots; gives the number of commands that this takes.
    pub fn ask(&mut self, to: &mut Commands) -> usize {
        let before = to.count;
        if self.counted.is_empty() {
            let from = self.left.len().saturating_sub(COUNTED);
            let slots = self.left.split_off(from);
            for slot in &slots {
                let slot = slot.to_string();
                to.push(&[b"CLUSTER", b"COUNTKEYSINSLOT", slot.as_bytes()]);
            }
            self.asked = Asked::Counts(slots);
        } else {
            let mut slots = Vec::new();
            let mut keys = 0;
            while slots.len() < SLOTS_PER_PAGE
                && let Some((slot, count)) = self
                    .counted
                    .pop_if(|(_, count)| keys == 0 || keys + *count <= KEYS_PER_PAGE)
            {
                keys += count;
                slots.push((slot, count));
            }
            to.push(&[b"MULTI"]);
            to.push(&[b"CLUSTER", b"NODES"]);
            for (slot, count) in &slots {
                let (slot, most) = (slot.to_string(), asked_of(*count).to_string());
                let words = [b"CLUSTER", &b"GETKEYSINSLOT"[..]];
                to.push(&[words[0], words[1], slot.as_bytes(), most.as_bytes()]);
            }
            to.push(&[b"EXEC"]);
            self.asked = Asked::Keys(slots);
        }
        to.count - before
    }

    /// Takes the replies to what was asked. Where they break off, it is still asked.
    pub fn page(&mut self, replies: Replies<'_>, take: impl FnMut(&[u8])) -> Result<()> {
        let asked = std::mem::replace(&mut self.asked, Asked::Counts(Vec::new()));
        let taken = match &asked {
            Asked::Counts(slots) => self.count(slots, replies),
            Asked::Keys(slots) => self.list(slots, replies, take),
        };
        if taken.is_err() {
            self.asked = asked;
        }
        taken
    }

    /// Nobody answers what was asked: it is to be asked again.
    pub fn take_back(&mut self) {
        match std::mem::replace(&mut self.asked, Asked::Counts(Vec::new())) {
            Asked::Counts(slots) => self.left.extend(slots),
            Asked::Keys(slots) => self.counted.extend(slots),
        }
    }

    fn count(&mut self, slots: &[u16], mut replies: Replies<'_>) -> Result<()> {
        let mut counted = Vec::new();
        for &slot in slots {
            let count = u64::try_from(replies.integer()?).unwrap_or_default();
            if count > MOST_KEYS {
                return Err(Error::TopologyChanged(format!(
                    "slot {slot} would have to be listed, and has {count} keys, of which \
                     {MOST_KEYS} are named at one moment; read again while nothing moves"
                )));
            }
            counted.push((slot, count));
        }
        self.counted.extend(counted);
        Ok(())
    }

    fn list(
        &mut self,
        slots: &[(u16, u64)],
        mut replies: Replies<'_>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<()> {
        for _ in 0..slots.len() + 2 {
            replies.bytes()?;
        }
        if replies.array()? != slots.len() + 1 {
            return Err(Error::Protocol(
                "EXEC gives not as many replies as were asked".to_owned(),
            ));
        }
        let nodes = String::from_utf8_lossy(replies.bytes()?).into_owned();
        let own = parse_own_line(&nodes).ok_or_else(|| {
            Error::Protocol("CLUSTER NODES says nothing of the node itself".to_owned())
        })?;
        for &(slot, count) in slots {
            let keys = replies.array()?;
            let moves = own.holding.leaving.contains_key(&slot) && !self.moving.contains(&slot);
            let all = (keys as u64) < asked_of(count);
            let here = own.holding.owned.contains(slot) && !moves && all;
            if !here {
                self.pending.insert(slot..=slot);
            }
            for _ in 0..keys {
                let key = replies.bytes()?;
                if here {
                    take(key);
                }
            }
        }
        Ok(())
    }
}

/// How many keys to ask for of a slot that has so many: some may have come since.
fn asked_of(keys: u64) -> u64 {
    2 * keys + 1000
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
        assert_eq!(listing.ask(&mut commands), 4);
        let mut decoder = Decoder::new(&b":9\r\n:8\r\n:7\r\n:1\r\n"[..]);
        let none = |_: &[u8]| unreachable!();
        listing.page(Replies::new(&mut decoder, 4), none).unwrap();
        assert!(!listing.done());
        assert_eq!(listing.ask(&mut commands), 7);
        assert!(listing.done());
        // Slot 2 has just begun to move, 3 was known to, and 4 is gone.
        let nodes = "aa a:1@2 myself,master - 0 0 1 connected 0-3 [2->-bb] [3->-bb]";
        let mut wire = "+OK\r\n".to_owned() + &"+QUEUED\r\n".repeat(5);
        wire += &format!("*5\r\n${}\r\n{nodes}\r\n", nodes.len());
        for slot in (1..=4).rev() {
            wire += &format!("*1\r\n$2\r\nk{slot}\r\n");
        }
        let mut decoder = Decoder::new(wire.as_bytes());
        let mut keys = Vec::new();
        let replies = Replies::new(&mut decoder, 7);
        let mut take = |key: &[u8]| keys.push(String::from_utf8_lossy(key).into_owned());
        listing.page(replies, &mut take).unwrap();
        assert_eq!(keys, ["k3", "k1"]);
        assert_eq!(listing.pending.to_string(), "2, 4");
    }

    /// Counts of keys, and the slots that are asked for at a time.
    fn pages(counts: &[u64]) -> Result<Vec<usize>> {
        let mut slots = Slots::default();
        slots.insert(1..=u16::try_from(counts.len()).unwrap());
        let mut listing = Listing::new(&slots, BTreeSet::new());
        let commands = listing.ask(&mut Commands::default());
        assert_eq!(commands, counts.len());
        let wire: String = counts.iter().map(|count| format!(":{count}\r\n")).collect();
        let mut decoder = Decoder::new(wire.as_bytes());
        listing.page(Replies::new(&mut decoder, commands), |_| unreachable!())?;
        let mut pages = Vec::new();
        while !listing.done() {
            pages.push(listing.ask(&mut Commands::default()) - 3);
        }
        Ok(pages)
    }

    #[test]
    fn few_keys_are_asked_for_at_a_time() {
        assert_eq!(pages(&[0; 100]).unwrap(), [64, 36]);
        assert_eq!(pages(&[6_000; 3]).unwrap(), [1, 1, 1]);
        assert_eq!(pages(&[5_000, 5_000, 900_000]).unwrap(), [1, 2]);
        assert!(pages(&[MOST_KEYS + 1]).unwrap_err().is_topology());
    }
}
