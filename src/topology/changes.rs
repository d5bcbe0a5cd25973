//! What became of the servers while they were read.

use super::slots::Slots;
use super::{Role, State};

/// What changed, and which keys it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// In words.
    pub what: String,
    /// The slots whose keys it concerns; None for all keys.
    pub slots: Option<Slots>,
}

impl Changes {
    /// What a node says now that it did not say then.
    pub fn between(name: &str, then: &State, now: &State) -> Option<Changes> {
        if then == now {
            return None;
        }
        let shard = || {
            let mut slots = then.holding.as_ref()?.owned.clone();
            slots.extend(&now.holding.as_ref()?.owned);
            Some(slots)
        };
        if (now.role, &now.run_id, &now.id) != (then.role, &then.run_id, &then.id) {
            let what = match now.role {
                Role::Primary if now.role != then.role => format!("{name} became a primary"),
                Role::Replica if now.role != then.role => format!("{name} became a replica"),
                _ if now.run_id != then.run_id => format!("another server answers for {name}"),
                _ => format!("{name} gave its place to {}", now.id),
            };
            let slots = shard();
            return Some(Changes { what, slots });
        }
        let (Some(before), Some(after)) = (&then.holding, &now.holding) else {
            let what = format!("{name} is not what it was");
            return Some(Changes { what, slots: None });
        };
        let moved = before.owned.difference(&after.owned);
        if then.epoch != now.epoch {
            // It rises when slots are gained: others may have gone and come back meanwhile.
            let what = match moved.is_empty() {
                true => format!("slots of {name} went and came back"),
                false => format!("slots {moved} came to {name}, and perhaps others again"),
            };
            let slots = shard();
            return Some(Changes { what, slots });
        }
        let mut slots = moved.clone();
        slots.extend(&before.open().difference(&after.open()));
        let what = match moved.is_empty() {
            true => format!("slots {slots} began or ceased to move at {name}"),
            false => format!("slots {moved} came to {name} or went from it"),
        };
        Some(Changes {
            what,
            slots: Some(slots),
        })
    }

    /// These, and others.
    #[must_use]
    pub fn and(self, others: Changes) -> Changes {
        let slots = self.slots.zip(others.slots).map(|(mut slots, others)| {
            slots.extend(&others);
            slots
        });
        Changes {
            what: format!("{}; {}", self.what, others.what),
            slots,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Holding;

    fn state(epoch: u64, owned: &[(u16, u16)], leaving: &[u16]) -> State {
        let mut holding = Holding::default();
        for (first, last) in owned {
            holding.owned.insert(*first..=*last);
        }
        let leaving = leaving.iter().map(|slot| (*slot, "other".to_owned()));
        holding.leaving = leaving.collect();
        State {
            role: Role::Primary,
            run_id: "a".to_owned(),
            id: String::new(),
            epoch,
            holding: Some(holding),
        }
    }

    fn slots(then: &State, now: &State) -> Option<String> {
        let changes = Changes::between("node", then, now)?;
        Some(
            changes
                .slots
                .map_or("all".to_owned(), |slots| slots.to_string()),
        )
    }

    #[test]
    fn only_what_may_have_moved_is_concerned() {
        let then = state(1, &[(0, 9)], &[]);
        assert_eq!(slots(&then, &then), None);
        let lost = state(1, &[(0, 7)], &[]);
        assert_eq!(slots(&then, &lost).unwrap(), "8-9");
        let gained = state(2, &[(0, 11)], &[]);
        assert_eq!(slots(&then, &gained).unwrap(), "0-11");
        let opened = state(1, &[(0, 9)], &[3]);
        assert_eq!(slots(&then, &opened).unwrap(), "3");
        let opened_and_lost = state(1, &[(0, 8)], &[3]);
        assert_eq!(slots(&then, &opened_and_lost).unwrap(), "3, 9");
        let there_and_back = state(2, &[(0, 9)], &[]);
        assert_eq!(slots(&then, &there_and_back).unwrap(), "0-9");
        let mut replica = state(1, &[(0, 9)], &[]);
        replica.role = Role::Replica;
        assert_eq!(slots(&then, &replica).unwrap(), "0-9");
        let mut alone = then.clone();
        alone.holding = None;
        let mut other = alone.clone();
        other.run_id = "b".to_owned();
        assert_eq!(slots(&alone, &other).unwrap(), "all");
    }

    #[test]
    fn changes_add_up() {
        let then = state(1, &[(0, 9)], &[]);
        let lost = |last| Changes::between("n", &then, &state(1, &[(0, last)], &[])).unwrap();
        let both = lost(8).and(lost(7));
        assert_eq!(both.slots.unwrap().to_string(), "8-9");
        let all = Changes {
            slots: None,
            ..lost(8)
        };
        assert_eq!(lost(8).and(all).slots, None);
    }
}
