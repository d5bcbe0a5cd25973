//! The loop that keeps one server busy: scan, size up, fetch, decode.
//!
//! Commands go out in flights: the next SCAN first, then the sizes of the keys that the last
//! one named, then the pieces whose size is known. As soon as the names and sizes of a flight
//! are in, the next flight goes out, while the server is still at this one's pieces. So the
//! server always has its next work before it, and at most two flights are under way.

use std::collections::VecDeque;

use crate::connection::Connection;
use crate::error::{Error, Result, show};
use crate::options::ReadOptions;
use crate::receipt::Receipt;
use crate::resp::{Commands, Replies};
use crate::scan::Scan;
use crate::tables::{At, Key, Outcome, Piece, Size};
use crate::topology::Server;

/// What is done with every key that is visited.
pub trait Visitor {
    /// The command that tells a key's size before it is fetched.
    fn size(&self) -> Option<Size>;
    /// The piece to begin a key of this size with; None where it is gone. A key of more than
    /// `whole` elements is too heavy for one reply.
    fn first(&mut self, key: Key, size: u64, whole: u64) -> Option<Piece>;
    fn fetch(&self, piece: &Piece, to: &mut Commands);
    fn take(&mut self, piece: Piece, replies: &mut Replies<'_>) -> Result<Outcome>;
    /// How many elements were taken so far.
    fn taken(&self) -> u64;
    /// Called for a piece whose key is gone, or of another type.
    fn missing(&mut self, _key: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// Keys to visit on one node.
pub struct Work {
    scan: Option<Scan>,
    /// The type to keep, where the server cannot filter by it (before 6.0).
    keep_type: Option<&'static str>,
    ready: VecDeque<Piece>,
}

impl Work {
    /// All keys of a type, or of any.
    pub fn keys(server: &Server, key_type: Option<&'static str>, read: &ReadOptions) -> Self {
        let (filter, keep_type) = if server.scans_by_type() {
            (key_type, None)
        } else {
            (None, key_type)
        };
        let scan = Scan::new(read.key_pattern.clone(), filter, read.batch_size);
        Work {
            scan: Some(scan),
            keep_type,
            ready: VecDeque::new(),
        }
    }

    pub fn pieces(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Work {
            scan: None,
            keep_type: None,
            ready: pieces.into_iter().collect(),
        }
    }
}

/// Reply bytes that may be asked for and not yet read. They stand in the server's memory, and
/// count towards its `maxmemory` and output-buffer limits; two flights of a few milliseconds
/// each need no more to keep a server busy.
const IN_FLIGHT_BYTES: u64 = 8 * 1024 * 1024;
/// Half of that is one flight's, since two are under way.
const FLIGHT_BYTES: u64 = IN_FLIGHT_BYTES / 2;
/// Pieces in a flight: a thousand small ones take the server a few milliseconds.
const FLIGHT_PIECES: usize = 1_000;
/// … and in the first, when it is not known yet how heavy they come.
const FIRST_PIECES: usize = 1;
/// With so many pieces waiting, scanning on would only fill memory with names.
const ENOUGH_READY: usize = 4 * FLIGHT_PIECES;
/// Names of so many bytes are enough to have waiting, however few they are.
const ENOUGH_NAME_BYTES: usize = 8 * 1024 * 1024;
/// What an element is thought to weigh before any was seen: more than most do.
const GUESSED_ELEMENT_BYTES: u64 = 1024;

/// What was sent together.
#[derive(Default)]
struct Flight {
    scan: bool,
    untyped: Vec<Key>,
    unsized_keys: Vec<Key>,
    /// Each with the number of commands that fetch it.
    pieces: Vec<(Piece, usize)>,
}

struct Visit<'a, V> {
    connection: &'a mut Connection,
    visitor: &'a mut V,
    receipt: &'a Receipt,
    work: Work,
    untyped: Vec<Key>,
    unsized_keys: Vec<Key>,
    /// What an element of this table weighs, as far as is known.
    element_bytes: u64,
    /// Whether any was weighed.
    weighed: bool,
    /// Pieces that the next flight may take.
    most_pieces: usize,
    /// Pieces that were asked for and not yet taken.
    under_way: usize,
    /// What the keys of the ready pieces take in memory.
    name_bytes: usize,
}

/// Visits all keys of a node's work.
pub fn visit<V: Visitor>(
    connection: &mut Connection,
    work: Work,
    visitor: &mut V,
    receipt: &Receipt,
) -> Result<()> {
    let mut visit = Visit {
        connection,
        visitor,
        receipt,
        work,
        untyped: Vec::new(),
        unsized_keys: Vec::new(),
        element_bytes: GUESSED_ELEMENT_BYTES,
        weighed: false,
        most_pieces: FIRST_PIECES,
        under_way: 0,
        name_bytes: 0,
    };
    let mut current = visit.launch()?;
    while let Some(flight) = current {
        visit.take_names(&flight)?;
        let next = visit.launch()?;
        visit.take_pieces(flight.pieces)?;
        current = match next {
            Some(next) => Some(next),
            // The pieces may have led to more of their keys.
            None => visit.launch()?,
        };
    }
    Ok(())
}

impl<V: Visitor> Visit<'_, V> {
    /// Sends the next flight, or nothing when all work is done or under way.
    fn launch(&mut self) -> Result<Option<Flight>> {
        let mut commands = Commands::default();
        let mut flight = Flight::default();
        if let Some(scan) = &self.work.scan
            && !scan.done()
            && self.work.ready.len() < ENOUGH_READY
            && self.name_bytes < ENOUGH_NAME_BYTES
        {
            scan.ask(&mut commands);
            flight.scan = true;
        }
        flight.untyped = std::mem::take(&mut self.untyped);
        for key in &flight.untyped {
            commands.push(&[b"TYPE", key]);
        }
        flight.unsized_keys = std::mem::take(&mut self.unsized_keys);
        if let Some(size) = self.visitor.size() {
            for key in &flight.unsized_keys {
                commands.push(&[size.command().as_bytes(), key]);
            }
        }
        self.load_pieces(&mut flight, &mut commands);
        if commands.count == 0 {
            return Ok(None);
        }
        self.connection.send(&commands)?;
        Ok(Some(flight))
    }

    /// Puts as many pieces into a flight as its share of bytes allows, but at least one. Until
    /// one was weighed, that one is alone under way.
    fn load_pieces(&mut self, flight: &mut Flight, commands: &mut Commands) {
        if !self.weighed && self.under_way > 0 {
            return;
        }
        let most = self.elements_in_a_flight();
        let mut bytes = 0;
        while let Some(mut piece) = self.work.ready.pop_front() {
            piece.most = most;
            bytes += self.weight(&piece) + piece.key.len() as u64;
            let full = bytes > FLIGHT_BYTES || flight.pieces.len() >= self.most_pieces;
            if full && !flight.pieces.is_empty() {
                self.work.ready.push_front(piece);
                break;
            }
            let before = commands.count;
            self.visitor.fetch(&piece, commands);
            self.name_bytes = self.name_bytes.saturating_sub(piece.key.len());
            flight.pieces.push((piece, commands.count - before));
        }
        self.under_way += flight.pieces.len();
    }

    fn elements_in_a_flight(&self) -> u64 {
        (FLIGHT_BYTES / self.element_bytes).max(1)
    }

    /// The reply bytes that a piece is thought to take.
    fn weight(&self, piece: &Piece) -> u64 {
        let elements = match (self.visitor.size(), piece.at) {
            (Some(Size::Bytes(_)), _) => return piece.size,
            (_, At::Whole) => piece.size.max(1),
            (_, At::Index(_) | At::Cursor(_) | At::Entries { .. }) => piece.page(piece.size),
            (_, At::Facts { .. }) => 1,
        };
        elements.saturating_mul(self.element_bytes)
    }

    fn ready(&mut self, piece: Piece) {
        self.name_bytes += piece.key.len();
        self.work.ready.push_back(piece);
    }

    /// The replies to SCAN, TYPE and sizes, which come first.
    fn take_names(&mut self, flight: &Flight) -> Result<()> {
        if flight.scan
            && let Some(scan) = &mut self.work.scan
        {
            let keys = scan.page(&mut self.connection.replies(1), self.receipt)?;
            if self.work.keep_type.is_some() {
                self.untyped = keys;
            } else {
                self.unsized_keys = keys;
            }
        }
        for key in &flight.untyped {
            let mut replies = self.connection.replies(1);
            let key_type = replies.bytes().map_err(|error| of_key(error, key))?;
            if Some(key_type) == self.work.keep_type.map(str::as_bytes) {
                self.unsized_keys.push(key.clone());
            }
        }
        if self.visitor.size().is_none() {
            // Nothing to ask: what was named is ready.
            for key in std::mem::take(&mut self.unsized_keys) {
                if let Some(piece) = self.visitor.first(key, 0, 0) {
                    self.ready(piece);
                }
            }
            return Ok(());
        }
        for key in &flight.unsized_keys {
            match self.connection.replies(1).integer() {
                Ok(size) => {
                    let size = u64::try_from(size).unwrap_or_default();
                    let whole = self.elements_in_a_flight();
                    match self.visitor.first(key.clone(), size, whole) {
                        Some(piece) => {
                            let paged = matches!(piece.at, At::Index(_) | At::Cursor(_));
                            self.receipt.keys_paged.add(paged.into());
                            self.ready(piece);
                        }
                        None => self.gone(key)?,
                    }
                }
                Err(error) => self.refused(error, key)?,
            }
        }
        Ok(())
    }

    fn take_pieces(&mut self, pieces: Vec<(Piece, usize)>) -> Result<()> {
        let at_first = self.connection.consumed();
        let full = pieces.len() >= self.most_pieces;
        self.under_way -= pieces.len();
        for (piece, commands) in pieces {
            let key = piece.key.clone();
            let elements = self.visitor.taken();
            let before = self.connection.consumed();
            let mut replies = self.connection.replies(commands);
            let outcome = self.visitor.take(piece, &mut replies);
            if matches!(&outcome, Err(error) if !error.is_reply(WRONGTYPE)) {
                return outcome.map(|_| ()).map_err(|error| of_key(error, &key));
            }
            replies.finish()?;
            let bytes = self.connection.consumed() - before;
            self.receipt.bytes.add(bytes);
            self.weigh(bytes, self.visitor.taken() - elements);
            match outcome {
                Ok(Outcome::Done) => {}
                // Before the others, so that a large key is not left half-read for long.
                Ok(Outcome::More(piece)) => {
                    self.name_bytes += piece.key.len();
                    self.work.ready.push_front(piece);
                }
                Ok(Outcome::Gone) => self.gone(&key)?,
                Err(error) => self.refused(error, &key)?,
            }
        }
        // Sizes are guesses until replies are in: flights grow while they prove light.
        match self.connection.consumed() - at_first {
            heavy if heavy > FLIGHT_BYTES => self.most_pieces = (self.most_pieces / 2).max(1),
            light if full && light < FLIGHT_BYTES / 2 => {
                self.most_pieces = (self.most_pieces * 2).min(FLIGHT_PIECES);
            }
            _ => {}
        }
        Ok(())
    }

    /// Believes in heavier elements at once, and in lighter ones by and by.
    fn weigh(&mut self, bytes: u64, elements: u64) {
        if let Some(each) = bytes.checked_div(elements) {
            self.element_bytes = u64::midpoint(self.element_bytes, each).max(each).max(1);
            self.weighed = true;
        }
    }

    fn gone(&mut self, key: &[u8]) -> Result<()> {
        self.receipt.keys_gone.add(1);
        self.visitor.missing(key)
    }

    /// A key that became another type is counted; any other error ends the read.
    fn refused(&mut self, error: Error, key: &[u8]) -> Result<()> {
        if !error.is_reply(WRONGTYPE) {
            return Err(of_key(error, key));
        }
        self.receipt.keys_changed_type.add(1);
        self.visitor.missing(key)
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
