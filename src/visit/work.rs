//! Which keys of one database of a node to visit, and what a visit left undone.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::Wants;
use super::known::Known;
use crate::error::{Error, Result, show};
use crate::options::Rule;
use crate::scan::{CursorRange, Listing, Scan, Select, What, selects, types_of};
use crate::scanned::Stretch;
use crate::tables::{Key, Piece, Short};
use crate::topology::{Holding, Server, Slots};

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
    /// What the last visit began and did not finish.
    pub(super) undone: Undone,
    /// How often something was finished: a page of names, or what was fetched together.
    pub steps: u64,
    /// Streams of which entries went while they were read, each with the place of its visitor.
    pub short: Vec<(Short, usize)>,
    /// Where it says how far its scans have come.
    pub(super) stretch: Arc<Stretch>,
    /// How many scans there were in the beginning.
    pub(super) scans_in_all: usize,
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

/// What a visit leaves that ended with an error.
#[derive(Default)]
pub(super) struct Undone {
    /// Keys that were not read, each with the place of its visitor.
    pub keys: Vec<(Key, usize)>,
    pub untyped: VecDeque<Untyped>,
    /// Of visitors that want pieces and no keys.
    pub pieces: Vec<Piece>,
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

impl Undone {
    /// Adds a piece of one of the visitors that want such keys.
    pub fn add(&mut self, piece: Piece, wants: &[Wants]) {
        match wants[piece.table] {
            Wants::Nothing => self.pieces.push(piece),
            Wants::All | Wants::Type(_) => self.keys.push((piece.key, piece.table)),
        }
    }
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
                What::Pattern(_) => {
                    let slots = work.known.slots();
                    let scan = Scan::new(select, work.scans_by_type, slots);
                    work.scans.push_back(scan);
                }
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
            undone: Undone::default(),
            steps: 0,
            short: Vec::new(),
            stretch: Arc::default(),
            scans_in_all: 0,
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
            Err(Error::configuration(format!(
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

    /// Takes back that the keys came which the last visit did not finish, for a work in its place.
    pub fn forget_undone(&mut self) {
        let undone = std::mem::take(&mut self.undone);
        for (key, visitor) in undone.keys {
            self.take_back(&key, visitor);
        }
        for one in undone.untyped {
            self.unname(&one);
        }
    }

    /// Takes back that a key came. Where it came to the visitor that tells the types, and not yet to
    /// another one, it is owed to that one alone.
    pub(super) fn take_back(&mut self, key: &[u8], visitor: usize) {
        match self.teller {
            Some(teller) if visitor != teller => {
                self.owed.insert((key.into(), visitor));
            }
            _ => self.known.forget(key),
        }
    }

    /// Takes back that a key came whose type is not known.
    pub(super) fn unname(&mut self, one: &Untyped) {
        match one.only {
            Some(visitor) => {
                self.owed.insert((one.key.clone(), visitor));
            }
            None if one.named => self.known.forget(&one.key),
            // It is only known where it came by another rule, and that it did.
            None => {}
        }
    }

    /// Begins to say how far its scans have come, in a database of so many keys.
    pub fn measure_scans(&mut self, keys: u64) -> Arc<Stretch> {
        self.scans_in_all = self.scans.len();
        let weight = keys * self.scans.len() as u64 + self.untyped.len() as u64;
        self.stretch = Arc::new(Stretch::new(weight));
        self.stretch.clone()
    }

    /// How many entries its pieces have for a visitor; None where that is not known of each.
    pub fn due(&self, visitor: usize) -> Option<u64> {
        let pieces = self.ready.iter().filter(|piece| piece.table == visitor);
        pieces.map(Piece::due).sum()
    }

    /// Says how far it has come.
    pub(super) fn report(&self) {
        let share = match (&self.listing, self.scans.front()) {
            (Some(listing), _) => Some(listing.share()),
            (None, None) => Some(1.0),
            (None, Some(scan)) => scan.share().map(|share| {
                let left = self.scans.len() as f64 - share;
                1.0 - left / self.scans_in_all.max(1) as f64
            }),
        };
        self.stretch.reached(share);
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
