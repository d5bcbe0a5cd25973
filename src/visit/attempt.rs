//! One attempt at a key that is read in pages.

use std::collections::VecDeque;
use std::time::Instant;

use super::pages::{End, paging};
use super::{Visitor, WRONGTYPE};
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::pace::{Pace, Weight};
use crate::resp::Commands;
use crate::tables::{At, Piece, Size};

/// Elements of the first page, when nothing is known yet of how heavy they are in this key.
const FIRST_ELEMENTS: u64 = 16;
/// Pages may grow so fast.
const GROWTH: u64 = 8;
/// Pages of a range that are asked for while one is taken: it is known where the next begins.
const RANGES_AHEAD: usize = 1;

/// How reading all pages went.
pub enum Attempt {
    /// They are of one moment.
    Consistent,
    Changed,
    /// It became another type in between.
    OtherType,
    /// It is not to be had here, by what the server said.
    Refused(Error),
    /// Nobody can tell, and why.
    Unchecked(String),
    /// There was nothing to read.
    Ended(End),
}

/// One attempt at a key.
pub struct Pages<'a> {
    connection: &'a mut Connection,
    visitor: &'a mut dyn Visitor,
    piece: &'a mut Piece,
    pace: &'a Pace,
    /// What this key's elements weigh.
    pub weight: Weight,
    /// Pages that were asked for: where each begins, and how long it may be.
    asked: VecDeque<(At, u64)>,
    /// Where the next page to ask for begins.
    next: Option<At>,
    length: u64,
    /// Why the key is not watched.
    unwatched: Option<String>,
}

impl<'a> Pages<'a> {
    pub fn new(
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

    pub fn read(&mut self) -> Result<Attempt> {
        if let Some(end) = self.begin()? {
            return Ok(Attempt::Ended(end));
        }
        self.ask_ahead(1)?;
        while let Some((at, length)) = self.asked.pop_front() {
            (self.piece.at, self.piece.most) = (at, length);
            match self.take_page() {
                Err(error) if error.is_refusal() => return self.give_up(error),
                taken => taken?,
            }
        }
        self.end()
    }

    /// Drops what is still to come of a key that is not given any more.
    fn give_up(&mut self, error: Error) -> Result<Attempt> {
        self.connection.replies(self.asked.len()).finish()?;
        self.unwatch()?;
        Ok(match error.is_reply(WRONGTYPE) {
            true => Attempt::OtherType,
            false => Attempt::Refused(error),
        })
    }

    fn unwatch(&mut self) -> Result<()> {
        if self.unwatched.is_some() {
            return Ok(());
        }
        let mut commands = self.connection.commands();
        commands.push(&[b"UNWATCH"]);
        self.connection.send(&commands)?;
        // Where that is refused, a later key may look as if it had changed, and is read again.
        answer(self.connection.replies(1).bytes().map(|_| ())).map(|_| ())
    }

    /// Watches the key, and asks what it is now.
    fn begin(&mut self) -> Result<Option<End>> {
        let mut commands = self.connection.commands();
        let key = &self.piece.key;
        commands.push(&[b"WATCH", key]);
        let size = self.visitor.size().map_or("STRLEN", Size::exact);
        commands.push(&[size.as_bytes(), key]);
        let ttl = self.visitor.asks_ttl();
        if ttl {
            commands.push(&[b"TTL", key]);
        }
        self.connection.send(&commands)?;
        let mut replies = self.connection.replies(commands.count);
        let watched = answer(replies.bytes().map(|_| ()))?;
        let size = answer(replies.integer())?;
        let told = if ttl {
            answer(replies.integer())?.map(Some)
        } else {
            Ok(self.piece.ttl)
        };
        self.unwatched = watched.err().map(|error| error.to_string());
        let end = match (size, told) {
            // A string that is empty looks like one that is gone: read whole, it does not.
            (Ok(0), _) => match self.piece.at {
                At::Byte(_) => End::Empty,
                _ => End::Gone,
            },
            (Ok(size), Ok(ttl)) => {
                self.piece.ttl = ttl;
                self.piece.size = u64::try_from(size).unwrap_or_default();
                self.foresee();
                return Ok(None);
            }
            (Err(error), _) if error.is_reply(WRONGTYPE) => End::OtherType,
            (Err(error), _) | (_, Err(error)) => End::Refused(error),
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
            let mut commands = self.connection.commands();
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
        let mut replies = match at {
            // What is left of it.
            At::Cursor(_) => self.connection.replies_unasked(1),
            _ => self.connection.replies(1),
        };
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
        // Without ASKING, which would be queued between them.
        let mut commands = Commands::default();
        commands.push(&[b"MULTI"]);
        commands.push(&[b"EXEC"]);
        self.connection.send(&commands)?;
        let mut replies = self.connection.replies_unasked(2);
        let begun = replies.bytes().map(|_| ());
        let ended = replies.array_or_nil();
        // A server that knows no EXEC is still waiting for one.
        if let (Ok(()), Err(Error::Refused { code, .. })) = (&begun, &ended)
            && code != "EXECABORT"
        {
            let mut commands = Commands::default();
            commands.push(&[b"DISCARD"]);
            self.connection.send(&commands)?;
            answer(self.connection.replies_unasked(1).bytes().map(|_| ()))??;
        }
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

/// An answer, or a refusal; any other error ends the connection.
pub fn answer<T>(reply: Result<T>) -> Result<Result<T>> {
    match reply {
        Err(error) if !error.is_refusal() => Err(error),
        other => Ok(other),
    }
}
