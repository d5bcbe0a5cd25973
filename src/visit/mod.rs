//! The loop that keeps one server busy: scan, size up, fetch, decode.
//!
//! Commands go out in flights of two kinds: names (the next SCAN, with the sizes of the keys
//! that the last one named) and pieces (values of keys whose size is known). At least one of
//! each is under way while there is any, and whichever is answered is followed by its next: while the server is at the
//! one, the other waits before it. So it is never idle, although each page of SCAN must wait
//! for the page before, and a server answers only when it is through with all that it has
//! read. A key that is too large for a flight is read by itself, in [`pages`].
//!
//! Several visitors may share a scan: each key goes to those that want its type.

mod names;
mod pages;
mod pieces;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::error::{Error, Result, show};
use crate::options::ReadOptions;
use crate::pace::{Pace, Weight};
use crate::receipt::Receipt;
use crate::resp::{Commands, Replies};
use crate::scan::Scan;
use crate::tables::{At, Key, Outcome, Piece, Size};
use crate::topology::Server;

pub use pages::InPages;

/// Which of the keys that SCAN names a visitor wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    Nothing,
    All,
    Type(&'static str),
}

/// What is done with every key that is visited.
pub trait Visitor {
    /// The table, as errors name it.
    fn table(&self) -> &'static str;
    fn receipt(&self) -> &Receipt;
    fn wants(&self) -> Wants;
    /// The command that tells a key's size before it is fetched.
    fn size(&self) -> Option<Size> {
        None
    }
    /// Whether a piece begins with its key's TTL.
    fn asks_ttl(&self) -> bool {
        false
    }
    /// How many pieces may be fetched together.
    fn bundle(&self) -> usize {
        1
    }
    /// Above so many bytes a key counts as large.
    fn whole_bytes(&self) -> u64 {
        u64::MAX
    }
    /// Where to begin a key, which may be too large for one reply; None where it is gone.
    fn first(&self, _: &Piece, _large: bool) -> Option<At> {
        Some(At::Whole)
    }
    fn fetch(&self, pieces: &[Piece], to: &mut Commands);
    fn take(&mut self, pieces: Vec<Piece>, replies: &mut Replies<'_>) -> Result<Outcome>;
    /// How many elements were taken so far.
    fn taken(&self) -> u64;
    /// Called for a piece whose key is gone, or of another type.
    fn missing(&mut self, _key: &[u8]) -> Result<()> {
        Ok(())
    }
    /// For how long, so far, what was taken had to wait until somebody wanted it.
    fn held_up(&self) -> Duration {
        Duration::ZERO
    }
    /// How keys are read that are too large for one reply, where `first` may say so.
    fn in_pages(&mut self) -> Option<&mut dyn InPages> {
        None
    }
}

/// Keys to visit on one node.
pub struct Work {
    scan: Option<Scan>,
    typing: Typing,
    ready: VecDeque<Piece>,
}

/// How the type of a key comes to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typing {
    /// All keys that are named are for all visitors that want any.
    Filtered,
    /// By TYPE, for each.
    Asked,
    /// This visitor finds it out, before the others come to the key.
    Told { by: usize },
}

impl Work {
    /// The keys that visitors want.
    pub fn scan(server: &Server, wants: &[Wants], read: &ReadOptions) -> Self {
        let mut types = wants.iter().filter_map(|wants| match wants {
            Wants::Type(key_type) => Some(*key_type),
            Wants::All | Wants::Nothing => None,
        });
        let first = types.next();
        let one = types.all(|other| Some(other) == first);
        let all = wants.iter().position(|wants| *wants == Wants::All);
        let (filter, typing) = match (all, first) {
            (Some(by), Some(_)) => (None, Typing::Told { by }),
            (None, Some(_)) if one && server.scans_by_type() => (first, Typing::Filtered),
            (None, Some(_)) => (None, Typing::Asked),
            (_, None) => (None, Typing::Filtered),
        };
        Work {
            scan: Some(Scan::new(read.key_pattern.clone(), filter)),
            typing,
            ready: VecDeque::new(),
        }
    }

    pub fn pieces(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Work {
            scan: None,
            typing: Typing::Filtered,
            ready: pieces.into_iter().collect(),
        }
    }

    /// Pieces to begin with.
    pub fn add(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        self.ready.extend(pieces);
    }

    /// The visitor that finds out each key's type for the others.
    pub fn told_by(&self) -> Option<usize> {
        match self.typing {
            Typing::Told { by } => Some(by),
            Typing::Filtered | Typing::Asked => None,
        }
    }
}

/// Flights of pieces under way, where there are pieces for more than one.
const FLIGHTS_OF_PIECES: usize = 2;
/// With pieces for so many flights waiting, scanning on would only fill memory with names.
const ENOUGH_FLIGHTS: usize = 4;
/// Names of so many bytes are enough to have waiting, however few they are.
const ENOUGH_NAME_BYTES: usize = 4 * 1024 * 1024;
/// Pieces in the first flight, when it is not known yet how heavy they come.
const FIRST_PIECES: usize = 1;
/// … and how fast flights grow while they prove light.
const GROWTH: usize = 8;
/// A key of so few elements is read by one command before any was weighed.
const FEW_ELEMENTS: u64 = 16;
/// A key of more is not, however light: as many small ones keep a server busy for about two
/// milliseconds.
const MOST_ELEMENTS: u64 = 10_000;

/// What was sent together.
enum Flight {
    Names {
        scan: bool,
        untyped: Vec<Key>,
        /// Each with what was asked of it.
        unsized_keys: Vec<(Named, Size)>,
    },
    Pieces {
        bundles: Vec<Bundle>,
        pieces: usize,
    },
}

/// A key that a visitor wants, and what is known of it.
#[derive(Clone)]
struct Named {
    key: Key,
    visitor: usize,
    ttl: Option<i64>,
}

/// Pieces that are fetched together.
struct Bundle {
    pieces: Vec<Piece>,
    /// Whether those whose TTL was not known begin with it.
    ttl: bool,
    /// Commands that fetch them, without those for TTL.
    commands: usize,
}

struct Visit<'a, 'v> {
    connection: &'a mut Connection,
    visitors: &'a mut [&'v mut dyn Visitor],
    /// What an element of each visitor's keys weighs.
    weights: Vec<Weight>,
    pace: Pace,
    work: Work,
    untyped: Vec<Key>,
    unsized_keys: Vec<Named>,
    /// Whether the server refuses MEMORY USAGE.
    memory_refused: bool,
    /// What was sent, in its order.
    flights: VecDeque<Flight>,
    /// Keys too large for a flight.
    large: VecDeque<Piece>,
    /// Pieces that the next flight may take.
    most_pieces: usize,
    /// Pieces that were asked for and not yet taken.
    under_way: usize,
    /// What the keys of the ready pieces take in memory.
    name_bytes: usize,
    /// The visitor at work, for errors to name.
    at_work: Option<usize>,
}

/// Visits all keys of a node's work.
pub fn visit(
    connection: &mut Connection,
    work: Work,
    visitors: &mut [&mut dyn Visitor],
    read: &ReadOptions,
) -> Result<()> {
    let mut visit = Visit {
        pace: Pace::new(connection.round_trip(), read),
        connection,
        weights: vec![Weight::default(); visitors.len()],
        visitors,
        work,
        untyped: Vec::new(),
        unsized_keys: Vec::new(),
        memory_refused: false,
        flights: VecDeque::new(),
        large: VecDeque::new(),
        most_pieces: FIRST_PIECES,
        under_way: 0,
        name_bytes: 0,
        at_work: None,
    };
    visit.run().map_err(|error| {
        let tables = match visit.at_work {
            Some(visitor) => visit.visitors[visitor].table().to_owned(),
            None => {
                let names: Vec<_> = visit.visitors.iter().map(|v| v.table()).collect();
                names.join(", ")
            }
        };
        error.at(format!("table {tables}"))
    })
}

impl Visit<'_, '_> {
    fn run(&mut self) -> Result<()> {
        loop {
            if self.flights.is_empty() {
                self.read_large()?;
            }
            let began = Instant::now();
            let held_up = self.held_up();
            self.launch()?;
            match self.flights.pop_front() {
                Some(Flight::Names {
                    scan,
                    untyped,
                    unsized_keys,
                }) => self.take_names(scan, &untyped, &unsized_keys)?,
                Some(Flight::Pieces { bundles, pieces }) => self.take_pieces(bundles, pieces)?,
                None if self.is_done() => return Ok(()),
                // Keys that were ready proved large, or gone.
                None => {}
            }
            let held_up = self.held_up().saturating_sub(held_up);
            let busy = began.elapsed().saturating_sub(held_up);
            self.pace.rest(self.connection, busy)?;
        }
    }

    fn held_up(&self) -> Duration {
        self.visitors.iter().map(|visitor| visitor.held_up()).sum()
    }

    /// Sends what there is to send, but nothing before a large key, which has the connection to
    /// itself, and one flight at a time where the server is to rest in between.
    fn launch(&mut self) -> Result<()> {
        let alone = self.pace.rests();
        if alone && !self.work.ready.is_empty() {
            return self.launch_pieces();
        }
        let names = |flight: &Flight| matches!(flight, Flight::Names { .. });
        if self.large.is_empty() && !self.flights.iter().any(names) {
            self.launch_names()?;
        }
        if self.large.is_empty() && (self.flights.is_empty() || !alone) {
            self.launch_pieces()?;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        let scanned = self.work.scan.as_ref().is_none_or(Scan::done);
        let named = self.untyped.is_empty() && self.unsized_keys.is_empty();
        scanned && named && self.work.ready.is_empty() && self.large.is_empty()
    }

    /// Reads the keys that are too large for a flight, one after the other.
    fn read_large(&mut self) -> Result<()> {
        while let Some(piece) = self.large.pop_front() {
            let table = piece.table;
            self.at_work = Some(table);
            let key = piece.key.clone();
            let visitor = &mut self.visitors[table];
            let weight = &mut self.weights[table];
            let end = pages::read(self.connection, &mut **visitor, piece, &self.pace, weight)
                .map_err(|error| of_key(error, &key))?;
            match end {
                pages::End::Read => self.visitors[table].receipt().keys_paged.add(1),
                pages::End::Empty | pages::End::Gone => self.gone(&key, table)?,
                pages::End::OtherType => self.changed_type(&key, table)?,
            }
            self.at_work = None;
        }
        Ok(())
    }

    fn gone(&mut self, key: &[u8], visitor: usize) -> Result<()> {
        self.visitors[visitor].receipt().keys_gone.add(1);
        self.visitors[visitor].missing(key)
    }

    fn changed_type(&mut self, key: &[u8], visitor: usize) -> Result<()> {
        self.visitors[visitor].receipt().keys_changed_type.add(1);
        self.visitors[visitor].missing(key)
    }

    /// A key that became another type is counted; any other error ends the read.
    fn refused(&mut self, error: Error, key: &[u8], visitor: usize) -> Result<()> {
        if !error.is_reply(WRONGTYPE) {
            self.at_work = Some(visitor);
            return Err(of_key(error, key));
        }
        self.changed_type(key, visitor)
    }
}

const WRONGTYPE: &str = "WRONGTYPE";

/// Names the key where the error is about it, and not about the connection.
fn of_key(error: Error, key: &[u8]) -> Error {
    match error {
        Error::Refused { .. } | Error::PermissionDenied { .. } | Error::Protocol(_) => {
            error.at(format!("key {}", show(key)))
        }
        error => error,
    }
}
