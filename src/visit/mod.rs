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

mod attempt;
mod known;
mod lost;
mod names;
mod pages;
mod pieces;
mod visitor;
mod work;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::error::{Error, Result, show};
use crate::options::{OnDenied, ReadOptions};
use crate::pace::{Pace, Weight};
use crate::tables::{Key, Piece, Size};
use crate::topology::Slots;

pub use known::{Earlier, Known};
pub use pages::InPages;
pub use visitor::{Visitor, Wants};
pub use work::{Owed, Work};

use work::{Undone, Untyped};

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
        /// Commands that name keys: a SCAN, or what lists slots.
        naming: usize,
        untyped: VecDeque<Untyped>,
        /// Each with what was asked of it.
        unsized_keys: VecDeque<(Named, Size)>,
    },
    Pieces {
        bundles: VecDeque<Bundle>,
        pieces: usize,
    },
}

/// What a visit is to see to, besides the keys.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub on_denied: OnDenied,
    /// Whether keys may be asked for together, or have slots of their own.
    pub one_slot: bool,
    /// Whether a key that is at another node by now is left to another visit.
    pub leaves_moved: bool,
}

/// What the server says of keys that are at another node for good.
#[derive(Debug)]
pub struct Redirected {
    /// Of the first of them.
    pub error: Error,
    pub slots: Slots,
}

/// How a visit ended.
#[derive(Debug)]
pub struct Visited {
    pub outcome: Result<()>,
    /// Keys that could not be read, since they have moved to another node.
    pub redirected: Option<Redirected>,
    /// Whether all that was begun was finished or taken back, so that another visit can go on.
    pub clean: bool,
}

impl Redirected {
    pub fn joined(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(mut one), Some(other)) => {
                one.slots.extend(&other.slots);
                Some(one)
            }
            (one, other) => one.or(other),
        }
    }
}

impl Visited {
    /// Before anything was visited.
    pub fn nothing() -> Self {
        Visited {
            outcome: Ok(()),
            redirected: None,
            clean: true,
        }
    }

    /// Where nothing could be visited.
    pub fn failed(error: Error, clean: bool) -> Self {
        Visited {
            outcome: Err(error),
            clean,
            ..Visited::nothing()
        }
    }

    /// Adds a further visit.
    pub fn add(&mut self, visited: Visited) {
        self.redirected = Redirected::joined(self.redirected.take(), visited.redirected);
        self.clean &= visited.clean;
        self.outcome = std::mem::replace(&mut self.outcome, Ok(())).and(visited.outcome);
    }
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
    work: &'a mut Work,
    manner: Manner,
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
    /// What was being taken in when an error came.
    at_hand: Undone,
    /// Whether rows of these are still there.
    half_read: bool,
    /// Whether it began with what another visit did not finish.
    catches_up: bool,
    redirected: Option<Redirected>,
}

/// Visits all keys of a work.
pub fn visit(
    connection: &mut Connection,
    work: &mut Work,
    visitors: &mut [&mut dyn Visitor],
    read: &ReadOptions,
    manner: Manner,
) -> Visited {
    let mut visit = Visit {
        pace: Pace::new(connection.round_trip(), read),
        connection,
        weights: vec![Weight::default(); visitors.len()],
        visitors,
        manner,
        work,
        unsized_keys: Vec::new(),
        memory_refused: false,
        flights: VecDeque::new(),
        large: VecDeque::new(),
        most_pieces: FIRST_PIECES,
        under_way: 0,
        name_bytes: 0,
        at_work: None,
        at_hand: Undone::default(),
        half_read: false,
        catches_up: false,
        redirected: None,
    };
    visit.take_up();
    let outcome = visit.run().map_err(|error| visit.name(error));
    let clean = outcome.is_ok() || visit.abandon();
    Visited {
        outcome,
        redirected: visit.redirected.take(),
        clean,
    }
}

/// Visits all keys of a work that has no second try.
pub fn visit_once(
    connection: &mut Connection,
    mut work: Work,
    visitors: &mut [&mut dyn Visitor],
    read: &ReadOptions,
) -> Result<()> {
    let manner = Manner {
        on_denied: read.on_denied,
        one_slot: false,
        leaves_moved: false,
    };
    let visited = visit(connection, &mut work, visitors, read, manner);
    visited.outcome?;
    visited
        .redirected
        .map_or(Ok(()), |redirected| Err(redirected.error))
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
                    naming,
                    untyped,
                    unsized_keys,
                }) => self.take_names(naming, untyped, unsized_keys)?,
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

    /// Says in which table an error came.
    fn name(&self, error: Error) -> Error {
        let tables = match self.at_work {
            Some(visitor) => self.visitors[visitor].table().to_owned(),
            None => {
                let names: Vec<_> = self.visitors.iter().map(|v| v.table()).collect();
                names.join(", ")
            }
        };
        error.at(format!("table {tables}"))
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
        let named = self.work.untyped.is_empty() && self.unsized_keys.is_empty();
        self.work.is_named() && named && self.work.ready.is_empty() && self.large.is_empty()
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
                .map_err(|error| of_key(error, &key));
            if end.is_err() {
                // Unless they can be undone, its rows are handed over in part.
                self.half_read |= !self.visitors[table].undo()?;
            }
            let done = end.and_then(|end| match end {
                pages::End::Read => {
                    self.visitors[table].receipt().keys_paged.add(1);
                    Ok(())
                }
                pages::End::Empty | pages::End::Gone => self.gone(&key, table),
                pages::End::OtherType => self.changed_type(&key, table),
                pages::End::Refused(error) => self.refused(error, &key, table),
            });
            if done.is_err() {
                self.at_hand.keys.push((key, table));
            }
            done?;
            self.work.steps += 1;
            self.at_work = None;
        }
        Ok(())
    }
}

const WRONGTYPE: &str = "WRONGTYPE";

/// Names the key where the error is about it, and not about the connection.
fn of_key(error: Error, key: &[u8]) -> Error {
    match error {
        Error::Refused { .. }
        | Error::PermissionDenied { .. }
        | Error::Redirected { .. }
        | Error::Protocol(_) => error.at(format!("key {}", show(key))),
        error => error,
    }
}
