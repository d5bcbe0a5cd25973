//! A key that is too large for one reply: read in pages, and whether it changed meanwhile.
//!
//! The key is watched: `WATCH` before the first page, and after the last one an empty `MULTI`
//! and `EXEC`, which answers nil where the key changed in between. Then its rows are undone and
//! it is read again. One that changes whenever it is read is read whole, if it is not too heavy
//! for that, or else stays as it was read last, and is counted in the receipt.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Visitor, WRONGTYPE};
use crate::connection::Connection;
use crate::error::{Error, Result, show};
use crate::pace::{Pace, Weight};
use crate::resp::{Commands, Replies};
use crate::tables::{At, Piece, Size};

/// What a visitor does so that its keys can be read in pages.
pub trait InPages {
    /// Takes the reply to a page, after its cursor where it has one.
    fn take_page(&mut self, piece: &mut Piece, last: bool, replies: &mut Replies<'_>)
    -> Result<()>;
    /// From now on, what is taken may be undone.
    fn hold(&mut self) -> Result<()>;
    fn release(&mut self) -> Result<()>;
    /// Drops what was taken since `hold`; false where it is gone already.
    fn undo(&mut self) -> bool;
}

/// What became of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Read,
    /// Too small by now for pages, or gone.
    Empty,
    Gone,
    OtherType,
}

/// How often a key is read in pages before something else is tried.
const TRIES: usize = 3;
/// Elements of the first page, when nothing is known yet of how heavy they are in this key.
const FIRST_ELEMENTS: u64 = 16;
/// Pages may grow so fast.
const GROWTH: u64 = 8;
/// Pages of a range that are asked for while one is taken: it is known where the next begins.
const RANGES_AHEAD: usize = 1;

/// Reads a key in pages.
pub fn read(
    connection: &mut Connection,
    visitor: &mut dyn Visitor,
    mut piece: Piece,
    pace: &Pace,
    weight: &mut Weight,
) -> Result<End> {
    let begin = piece.at;
    for nth in 1..=TRIES {
        paging(visitor)?.hold()?;
        piece.at = begin;
        piece.seen = None;
        let mut pages = Pages::new(connection, visitor, &mut piece, pace, *weight);
        let attempt = pages.read()?;
        *weight = pages.weight;
        match attempt {
            Attempt::Consistent => break,
            Attempt::Ended(end) => {
                paging(visitor)?.undo();
                return match end {
                    End::Empty => read_whole(connection, visitor, piece),
                    end => Ok(end),
                };
            }
            Attempt::Unchecked(why) => {
                visitor.receipt().keys_inconsistent.add(1);
                visitor.receipt().warn(&format!(
                    "table {}: large keys are read in pages, and the server refuses to say whether \
                     they changed meanwhile: {why}",
                    visitor.table()
                ));
                break;
            }
            Attempt::OtherType if paging(visitor)?.undo() => {
                if nth == TRIES {
                    return Ok(End::OtherType);
                }
            }
            Attempt::Changed | Attempt::OtherType => {
                let bytes = match begin {
                    At::Byte(_) => piece.size,
                    _ => weight.of(piece.size),
                };
                let fits = bytes <= pace.flight_bytes;
                if (nth < TRIES || fits) && paging(visitor)?.undo() {
                    if nth == TRIES {
                        return read_whole(connection, visitor, piece);
                    }
                    continue;
                }
                flag(visitor, &piece);
                break;
            }
        }
    }
    paging(visitor)?.release()?;
    Ok(End::Read)
}

/// Counts a key whose rows may be of several moments, and warns of the first.
fn flag(visitor: &dyn Visitor, piece: &Piece) {
    let receipt = visitor.receipt();
    if receipt.keys_inconsistent.get() == 0 {
        receipt.warn(&format!(
            "table {}: key {}, and perhaps others, changed while it was read in pages; its rows \
             are of several moments",
            visitor.table(),
            show(&piece.key)
        ));
    }
    receipt.keys_inconsistent.add(1);
}

fn paging(visitor: &mut dyn Visitor) -> Result<&mut dyn InPages> {
    visitor
        .in_pages()
        .ok_or_else(|| Error::Protocol("a key of a table that knows no pages".to_owned()))
}

/// Reads a key by one command after all.
fn read_whole(
    connection: &mut Connection,
    visitor: &mut dyn Visitor,
    mut piece: Piece,
) -> Result<End> {
    piece.at = At::Whole;
    piece.seen = None;
    let mut commands = Commands::default();
    let ttl = visitor.asks_ttl();
    if ttl {
        commands.push(&[b"TTL", &piece.key]);
    }
    let pieces = vec![piece];
    visitor.fetch(&pieces, &mut commands);
    connection.send(&commands)?;
    let before = connection.consumed();
    let mut pieces = pieces;
    let mut replies = connection.replies(commands.count);
    if let (true, Some(piece)) = (ttl, pieces.first_mut()) {
        piece.ttl = Some(replies.integer()?);
    }
    let taken = visitor.take(pieces, &mut replies);
    visitor.receipt().bytes.add(connection.consumed() - before);
    match taken {
        Ok(outcome) if outcome.gone.is_empty() => Ok(End::Read),
        Ok(_) => Ok(End::Gone),
        Err(error) if error.is_reply(WRONGTYPE) => Ok(End::OtherType),
        Err(error) => Err(error),
    }
}

/// How reading all pages went.
enum Attempt {
    /// They are of one moment.
    Consistent,
    Changed,
    /// It became another type in between.
    OtherType,
    /// Nobody can tell, and why.
    Unchecked(String),
    /// There was nothing to read.
    Ended(End),
}

/// One attempt at a key.
struct Pages<'a> {
    connection: &'a mut Connection,
    visitor: &'a mut dyn Visitor,
    piece: &'a mut Piece,
    pace: &'a Pace,
    /// What this key's elements weigh.
    weight: Weight,
    /// Pages that were asked for: where each begins, and how long it may be.
    asked: VecDeque<(At, u64)>,
    /// Where the next page to ask for begins.
    next: Option<At>,
    length: u64,
    /// Why the key is not watched.
    unwatched: Option<String>,
}

impl<'a> Pages<'a> {
    fn new(
        connection: &'a mut Connection,
        visitor: &'a mut dyn Visitor,
        piece: &'a mut Piece,
        pace: &'a Pace,
        weight: Weight,
    ) -> Self {
        Pages {
            connection,
            visitor,
            next: Some(piece.at),
            piece,
            pace,
            weight,
            asked: VecDeque::new(),
            length: pace.flight_bytes,
            unwatched: None,
        }
    }

    fn read(&mut self) -> Result<Attempt> {
        if let Some(end) = self.begin()? {
            return Ok(Attempt::Ended(end));
        }
        self.ask_ahead(1)?;
        while let Some((at, length)) = self.asked.pop_front() {
            (self.piece.at, self.piece.most) = (at, length);
            match self.take_page() {
                Err(error) if error.is_reply(WRONGTYPE) => return self.give_up(),
                taken => taken?,
            }
        }
        self.end()
    }

    /// Drops what is still to come of a key that became another type.
    fn give_up(&mut self) -> Result<Attempt> {
        self.connection.replies(self.asked.len()).finish()?;
        self.unwatch()?;
        Ok(Attempt::OtherType)
    }

    fn unwatch(&mut self) -> Result<()> {
        if self.unwatched.is_some() {
            return Ok(());
        }
        let mut commands = Commands::default();
        commands.push(&[b"UNWATCH"]);
        self.connection.send(&commands)?;
        self.connection.replies(1).bytes().map(|_| ())
    }

    /// Watches the key, and asks what it is now.
    fn begin(&mut self) -> Result<Option<End>> {
        let mut commands = Commands::default();
        let key = &self.piece.key;
        commands.push(&[b"WATCH", key]);
        let size = self.visitor.size().map_or("STRLEN", Size::exact);
        commands.push(&[size.as_bytes(), key]);
        let ttl = self.visitor.asks_ttl();
        if ttl {
            commands.push(&[b"TTL", key]);
        }
        self.connection.send(&commands)?;
        match self.connection.replies(1).bytes() {
            Ok(_) => {}
            Err(error @ (Error::PermissionDenied { .. } | Error::Refused { .. })) => {
                self.unwatched = Some(error.to_string());
            }
            Err(error) => return Err(error),
        }
        let size = self.connection.replies(1).integer();
        if ttl {
            self.piece.ttl = Some(self.connection.replies(1).integer()?);
        }
        let end = match size {
            // A string that is empty looks like one that is gone: read whole, it does not.
            Ok(0) => match self.piece.at {
                At::Byte(_) => End::Empty,
                _ => End::Gone,
            },
            Ok(size) => {
                self.piece.size = u64::try_from(size).unwrap_or_default();
                self.foresee();
                return Ok(None);
            }
            Err(error) if error.is_reply(WRONGTYPE) => End::OtherType,
            Err(error) => return Err(error),
        };
        self.unwatch()?;
        Ok(Some(end))
    }

    /// Makes the first page fit what is known of this key's elements. It is short all the same:
    /// MEMORY USAGE has looked at a few of them.
    fn foresee(&mut self) {
        if let At::Byte(_) = self.piece.at {
            return;
        }
        if let Some(each) = self
            .piece
            .bytes
            .and_then(|all| all.checked_div(self.piece.size))
        {
            self.weight = Weight::new(each);
        }
        let fit = self.weight.elements_in(self.pace.flight_bytes);
        self.length = fit.min(FIRST_ELEMENTS);
    }

    /// Asks for pages until so many are under way.
    fn ask_ahead(&mut self, under_way: usize) -> Result<()> {
        while self.asked.len() < under_way
            && let Some(at) = self.next
        {
            (self.piece.at, self.piece.most) = (at, self.length);
            let mut commands = Commands::default();
            self.visitor
                .fetch(std::slice::from_ref(self.piece), &mut commands);
            self.connection.send(&commands)?;
            self.asked.push_back((at, self.length));
            let after = |from: u64| {
                let next = from.saturating_add(self.length);
                // One that grows faster than it is read must not be read for ever.
                (next < self.piece.size).then_some(next)
            };
            self.next = match at {
                At::Index(from) => after(from).map(At::Index),
                At::Byte(from) => after(from).map(At::Byte),
                // The reply says where a cursor goes on.
                _ => None,
            };
        }
        Ok(())
    }

    /// Takes the first of the pages that were asked for, and asks for more before its elements
    /// are looked at.
    fn take_page(&mut self) -> Result<()> {
        let began = Instant::now();
        let held_up = self.visitor.held_up();
        let before = self.connection.consumed();
        if let At::Cursor(_) = self.piece.at {
            let mut replies = self.connection.replies(1);
            replies.array()?;
            let cursor = replies.cursor()?;
            self.next = (cursor != 0).then_some(At::Cursor(cursor));
        }
        let last = self.next.is_none() && self.asked.is_empty();
        let (at, most) = (self.piece.at, self.piece.most);
        if self.weight.known && !self.pace.rests() {
            self.ask_ahead(match at {
                At::Cursor(_) => 1,
                _ => RANGES_AHEAD,
            })?;
        }
        (self.piece.at, self.piece.most) = (at, most);
        let elements = self.visitor.taken();
        let mut replies = self.connection.replies(1);
        paging(self.visitor)?.take_page(self.piece, last, &mut replies)?;
        replies.finish()?;
        let bytes = self.connection.consumed() - before;
        self.visitor.receipt().bytes.add(bytes);
        self.grow(bytes, self.visitor.taken() - elements);
        let held_up = self.visitor.held_up().saturating_sub(held_up);
        let busy = began.elapsed().saturating_sub(held_up);
        self.pace.rest(self.connection, busy)?;
        self.ask_ahead(1)
    }

    /// Makes pages as long as the weight of this key's elements allows.
    fn grow(&mut self, bytes: u64, elements: u64) {
        let longest = match self.piece.at {
            At::Byte(_) => {
                self.weight.known = true;
                return;
            }
            At::Cursor(_) => self.pace.cursor_page(),
            _ => self.pace.range_page(),
        };
        self.weight.add(bytes, elements);
        let fit = self.weight.elements_in(self.pace.flight_bytes);
        self.length = fit.min(longest).min(self.length.saturating_mul(GROWTH));
    }

    /// Asks whether the key changed since it is watched.
    fn end(&mut self) -> Result<Attempt> {
        if let Some(why) = self.unwatched.take() {
            return Ok(Attempt::Unchecked(why));
        }
        let mut commands = Commands::default();
        commands.push(&[b"MULTI"]);
        commands.push(&[b"EXEC"]);
        self.connection.send(&commands)?;
        let begun = self.connection.replies(1).bytes().map(|_| ());
        let ended = self.connection.replies(1).array_or_nil();
        match (begun, ended) {
            (Ok(()), Ok(Some(_))) => Ok(Attempt::Consistent),
            (Ok(()), Ok(None)) => Ok(Attempt::Changed),
            (Err(error @ (Error::PermissionDenied { .. } | Error::Refused { .. })), _)
            | (Ok(()), Err(error @ (Error::PermissionDenied { .. } | Error::Refused { .. }))) => {
                self.unwatch()?;
                Ok(Attempt::Unchecked(error.to_string()))
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }
}
