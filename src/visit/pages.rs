//! A key that is too large for one reply: read in pages, and whether it changed meanwhile.
//!
//! The key is watched: `WATCH` before the first page, and after the last one an empty `MULTI`
//! and `EXEC`, which answers nil where the key changed in between. Then its rows are undone and
//! it is read again. One that changes whenever it is read is read whole, if it is not too heavy
//! for that, or else stays as it was read last, and is counted in the receipt.

use super::attempt::{Attempt, Pages, answer};
use super::{Visitor, WRONGTYPE};
use crate::connection::Connection;
use crate::error::{Error, Result, show};
use crate::pace::{Pace, Weight};
use crate::resp::Replies;
use crate::tables::{At, Piece};

/// What a visitor does so that its keys can be read in pages.
pub trait InPages {
    /// Takes the reply to a page, after its cursor where it has one.
    fn take_page(&mut self, piece: &mut Piece, last: bool, replies: &mut Replies<'_>)
    -> Result<()>;
}

/// What became of a key.
#[derive(Debug)]
pub enum End {
    Read,
    /// Too small by now for pages, or gone.
    Empty,
    Gone,
    OtherType,
    /// The server will not give it, and nothing of it was read.
    Refused(Error),
}

/// How often a key is read in pages before something else is tried.
const TRIES: usize = 3;

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
        visitor.hold()?;
        piece.at = begin;
        piece.seen = None;
        let mut pages = Pages::new(connection, visitor, &mut piece, pace, *weight);
        let attempt = pages.read()?;
        *weight = pages.weight;
        match attempt {
            Attempt::Consistent => break,
            Attempt::Ended(end) => {
                visitor.undo()?;
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
            Attempt::Refused(error) => {
                return match visitor.undo()? {
                    true => Ok(End::Refused(error)),
                    false => Err(error),
                };
            }
            Attempt::OtherType if visitor.undo()? => {
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
                if (nth < TRIES || fits) && visitor.undo()? {
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
    visitor.release()?;
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

pub(super) fn paging(visitor: &mut dyn Visitor) -> Result<&mut dyn InPages> {
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
    visitor.hold()?;
    piece.at = At::Whole;
    piece.seen = None;
    let mut commands = connection.commands();
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
    let told = match (ttl, pieces.first_mut()) {
        (true, Some(piece)) => replies.integer().map(|ttl| piece.ttl = Some(ttl)),
        _ => Ok(()),
    };
    let taken = answer(told.and_then(|()| visitor.take(pieces, &mut replies)))?;
    replies.finish()?;
    visitor.receipt().bytes.add(connection.consumed() - before);
    match &taken {
        Ok(_) => visitor.release()?,
        // It may have come in the middle of a row.
        Err(_) => {
            visitor.undo()?;
        }
    }
    Ok(match taken {
        Ok(outcome) if outcome.gone.is_empty() => End::Read,
        Ok(_) => End::Gone,
        Err(error) if error.is_reply(WRONGTYPE) => End::OtherType,
        Err(error) => End::Refused(error),
    })
}
