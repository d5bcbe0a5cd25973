//! Which keys of one database of a node to visit, and which of them came already.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::Wants;
use crate::error::{Error, Result, show};
use crate::options::Rule;
use crate::scan::{CursorRange, Listing, Scan, Select, What, selects, types_of};
use crate::seen::Seen;
use crate::tables::{Key, Piece, Short};
use crate::topology::{Holding, Server, Slots, slot_of};

/// Keys to visit in one database of a node, and what is known of them.
pub struct Work {
    /// Scans to make, the one under way first.
    pub(super) scans: VecDeque<Scan>,
    /// Instead of these, slots whose keys are listed.
    pub(super) listing: Option<Listing>,
    /// Keys whose type is to be asked.
    pub(super) untyped: VecDeque<Untyped>,
    pub(super) ready: VecDeque<Piece>,
    /// The visitor that finds out each key's type for the others.
    teller: Option<usize>,
    scans_by_type: bool,
    selects: Vec<Select>,
    pub known: Known,
    /// Keys that came to the visitor that tells the types, and could not be read for another one.
    pub owed: Owed,
    /// Streams of which entries went while they were read, each with the place of its visitor.
    pub short: Vec<(Short, usize)>,
}

/// Keys, each with the place of the visitor that is yet to have it.
pub type Owed = HashSet<(Key, usize)>;

/// A key whose type is to be asked.
#[derive(Debug)]
pub(super) struct Untyped {
    pub key: Key,
    /// The type that it must be of, if any.
    pub wanted: Option<&'static str>,
    /// Whether it counts as one that came. One that a rule names does so when its type is known:
    /// other rules may want it for another type.
    pub named: bool,
    /// Whom alone it is for; the others have had it.
    pub only: Option<usize>,
}

/// How a key that was named finds its visitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It is for all that want any key.
    All,
    /// It is of this type.
    Typed(&'static str),
    /// Its type is asked, by TYPE.
    Asked,
    /// This visitor finds it out, before the others come to the key.
    Told { by: usize },
}

impl Work {
    /// The keys that rules choose and visitors want, without those that are known.
    pub fn select(server: &Server, rules: &[Rule], wants: &[Wants], known: Known) -> Self {
        let all = wants.iter().position(|wants| *wants == Wants::All);
        let mut types: Vec<_> = wants.iter().filter_map(Wants::key_type).collect();
        types.dedup();
        let mut work = Work {
            teller: all.filter(|_| !types.is_empty()),
            scans_by_type: server.scans_by_type(),
            known,
            ..Work::pieces([])
        };
        if wants.iter().all(|wants| *wants == Wants::Nothing) {
            return work;
        }
        let types = all.is_none().then_some(types.as_slice());
        work.selects = selects(rules, types);
        for select in work.selects.clone() {
            match &select.what {
                What::Pattern(_) => work.scans.push_back(Scan::new(select, work.scans_by_type)),
                What::Name(name) => {
                    if work.known.counts(name) {
                        work.untyped.push_back(Untyped {
                            key: name.clone(),
                            wanted: select.key_type,
                            named: false,
                            only: None,
                        });
                    }
                }
            }
        }
        work
    }

    pub fn pieces(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Work {
            scans: VecDeque::new(),
            listing: None,
            untyped: VecDeque::new(),
            ready: pieces.into_iter().collect(),
            teller: None,
            scans_by_type: false,
            selects: Vec::new(),
            known: Known::default(),
            owed: Owed::new(),
            short: Vec::new(),
        }
    }

    /// Pieces to begin with.
    pub fn add(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        self.ready.extend(pieces);
    }

    /// The same choice among the keys that slots have at one moment, instead of those that scans
    /// name.
    pub fn list(&mut self, holding: &Holding) -> Result<()> {
        self.check_matching()?;
        self.scans.clear();
        self.untyped.clear();
        let moving = holding.leaving.keys().copied().collect();
        self.listing = Some(Listing::new(&holding.owned, moving));
        Ok(())
    }

    /// The same choice among the keys of a part of the keyspace; those that are named exactly belong to
    /// the first.
    pub fn narrow(&mut self, range: CursorRange) {
        for scan in &mut self.scans {
            scan.narrow(range);
        }
        if !range.is_first() {
            self.untyped.clear();
        }
    }

    /// Of the slots that were to be listed, those that were not all here.
    pub fn pending(&self) -> Slots {
        let listing = self.listing.as_ref();
        listing.map_or_else(Slots::default, |listing| listing.pending.clone())
    }

    /// Whether there are more keys to be named.
    pub(super) fn is_named(&self) -> bool {
        self.scans.is_empty() && self.listing.as_ref().is_none_or(Listing::done)
    }

    /// The same choice among given keys, instead of those that scans name.
    pub fn only<'a>(&mut self, keys: impl Iterator<Item = &'a Key>) -> Result<()> {
        self.check_matching()?;
        self.scans.clear();
        self.untyped.clear();
        for key in keys {
            self.choose(key);
        }
        Ok(())
    }

    /// Where no scan names the keys, it is for us to say which of them match.
    fn check_matching(&self) -> Result<()> {
        let pattern = self.selects.iter().find_map(Select::ambiguous);
        pattern.map_or(Ok(()), |pattern| {
            Err(Error::Configuration(format!(
                "slots move, or have moved meanwhile, and only a scan by the server itself tells \
                 which of their keys the pattern {} matches, with its range beyond ASCII; read \
                 again when none moves, or write the pattern without",
                show(pattern)
            )))
        })
    }

    /// Adds keys that are owed to a visitor from before.
    pub fn owe(&mut self, owed: impl IntoIterator<Item = (Key, usize)>) {
        let owed = owed.into_iter().map(|(key, visitor)| Untyped {
            key,
            wanted: None,
            named: true,
            only: Some(visitor),
        });
        self.untyped.extend(owed);
    }

    /// Keys that are owed by now, also of work that was not begun.
    pub fn take_owed(&mut self) -> Owed {
        let mut owed = std::mem::take(&mut self.owed);
        let waiting = self.untyped.drain(..);
        owed.extend(waiting.filter_map(|one| Some((one.key, one.only?))));
        owed
    }

    /// A key that no scan named: its type is asked, if its name is wanted of any.
    pub(super) fn choose(&mut self, key: &Key) {
        for wanted in types_of(&self.selects, key) {
            self.untyped.push_back(Untyped {
                key: key.clone(),
                wanted,
                named: false,
                only: None,
            });
        }
    }

    /// The visitor that finds out each key's type for the others.
    pub fn told_by(&self) -> Option<usize> {
        self.teller
    }

    /// How keys of the scan under way find their visitors.
    pub(super) fn way(&self, key_type: Option<&'static str>, visitors: &[Wants]) -> Way {
        match key_type {
            Some(_) if !self.scans_by_type => Way::Asked,
            _ if self.teller.is_some() => Way::Told {
                by: self.teller.unwrap_or_default(),
            },
            Some(key_type) => Way::Typed(key_type),
            None if visitors.iter().any(|wants| wants.key_type().is_some()) => Way::Asked,
            None => Way::All,
        }
    }
}

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

    /// Whether a key counts at this node.
    fn counts(&self, key: &[u8]) -> bool {
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
