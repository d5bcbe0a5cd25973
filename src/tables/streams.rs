//! `streams`: one row an entry, of ranges that were planned from offsets.

use super::entry_fields::Fields;
use super::sends::{MEMORY_USAGE, Without, sends};
use super::{At, Context, Origin, Outcome, Piece, Short, Spec, TTL_OF_NO_KEY, Table};
use crate::columns::{Rows, Type, column, key};
use crate::error::{Error, Result, show};
use crate::offset::EntryId;
use crate::resp::{Commands, Replies};

/// Entries per XRANGE: long enough to be cheap, short enough not to be noticed.
pub const ENTRIES_PAGE: u64 = 1_000;

pub struct Streams;

static SPEC: Spec = Spec {
    name: "streams",
    origin: Origin::Entries,
    columns: &[
        key("key_name", Type::Bytes),
        key("entry_id", Type::Text),
        column("fields", Type::Bytes),
        column("timestamp_ms", Type::Long),
        column("sequence", Type::Long),
        column("ttl_seconds", Type::Long),
    ],
    cursor_field: Some("entry_id"),
    sends: &[
        MEMORY_USAGE,
        sends("xlen", &[]).or(Without::But(
            "Without XLEN, streams are read only where MEMORY USAGE is permitted.",
        )),
        sends("xinfo|stream", &[]),
        sends("xrange", &["0", "0", "COUNT", "1"]),
    ],
};

impl Table for Streams {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn fetch(&self, pieces: &[Piece], _: &Context, to: &mut Commands) {
        for piece in pieces {
            fetch_entries(piece, to);
            if first_of(piece).is_some() {
                to.push(&[b"XRANGE", &piece.key, b"-", b"+", b"COUNT", b"1"]);
            }
            // An empty range of a stream that is there is not that of one just gone.
            to.push(&[b"TTL", &piece.key]);
        }
    }

    fn append(
        &self,
        pieces: Vec<Piece>,
        replies: &mut Replies<'_>,
        rows: &mut Rows,
        context: &Context,
    ) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        for mut piece in pieces {
            let entries = replies.array()? as u64;
            let mut fields = Fields::default();
            let mut last = None;
            for _ in 0..entries {
                let id = entry_head(replies)?;
                if context.asked.has("fields") {
                    fields.read(replies)?;
                } else {
                    replies.skip()?;
                }
                rows.bytes(&piece.key)
                    .write(|cell| cell.extend_from_slice(id.to_string().as_bytes()))
                    .write(|cell| fields.write_json(cell))
                    .long(i64::try_from(id.ms).ok())
                    .long(i64::try_from(id.seq).ok())
                    .long(piece.ttl_seconds())
                    .end_row()?;
                last = Some(id);
            }
            let trimmed = match first_of(&piece) {
                Some(first) => begins_after(first, replies)?,
                None => false,
            };
            let short = still_due(&mut piece, entries);
            let all_came = matches!(piece.at, At::Entries { due: Some(0), .. });
            if replies.integer()? == TTL_OF_NO_KEY && !all_came {
                outcome.gone.push(piece.key);
            } else {
                let lost = trimmed.then(|| no_more_watched(&mut piece)).flatten();
                outcome.more = after_page(piece, entries, last);
                outcome.short = match outcome.more {
                    Some(_) => lost,
                    None => lost.or(short),
                };
            }
        }
        Ok(outcome)
    }
}

/// Asks for the next page of a range of entries.
pub fn fetch_entries(piece: &Piece, to: &mut Commands) {
    let (after, through) = range(piece);
    // There is nothing after the last id; what an empty range answers is an empty array.
    let from = after.next().unwrap_or(after).to_string();
    let through = match after.next() {
        Some(_) => through.to_string(),
        None => EntryId::MIN.to_string(),
    };
    let count = piece.page(ENTRIES_PAGE).to_string();
    to.push(&[
        b"XRANGE",
        &piece.key,
        from.as_bytes(),
        through.as_bytes(),
        b"COUNT",
        count.as_bytes(),
    ]);
}

/// The id of the next entry; its fields are the value after.
pub fn entry_head(replies: &mut Replies<'_>) -> Result<EntryId> {
    replies.array()?;
    let id = replies.bytes()?;
    EntryId::parse(id).ok_or_else(|| Error::Protocol(format!("{} is no entry id", show(id))))
}

/// What follows a page of so many entries that ended with `last`.
pub fn after_page(mut piece: Piece, entries: u64, last: Option<EntryId>) -> Option<Piece> {
    let (_, through) = range(&piece);
    let asked = piece.page(ENTRIES_PAGE);
    match (last, &mut piece.at) {
        (
            Some(last),
            At::Entries {
                after, left, first, ..
            },
        ) if entries == asked && *left > asked && last < through => {
            *after = last;
            // What was read may go.
            *first = first.map(|_| last);
            *left -= asked;
            Some(piece)
        }
        _ => None,
    }
}

/// The entry that the stream must not begin after for a range to be whole.
fn first_of(piece: &Piece) -> Option<EntryId> {
    match piece.at {
        At::Entries { first, .. } => first,
        _ => None,
    }
}

/// Whether a stream begins after an entry, by its own first one.
fn begins_after(first: EntryId, replies: &mut Replies<'_>) -> Result<bool> {
    let begins = match replies.array()? {
        0 => None,
        _ => Some(entry_head(replies)?),
    };
    if begins.is_some() {
        replies.skip()?;
    }
    Ok(begins.is_none_or(|begins| begins > first))
}

/// Some of a range went before it was read, as was seen once.
fn no_more_watched(piece: &mut Piece) -> Option<Short> {
    let At::Entries { start, first, .. } = &mut piece.at else {
        return None;
    };
    *first = None;
    Some(Short {
        key: piece.key.clone(),
        start: *start,
        entries: None,
    })
}

/// Counts the entries of a page; gives what is missing if none is to follow.
fn still_due(piece: &mut Piece, entries: u64) -> Option<Short> {
    let At::Entries { start, due, .. } = &mut piece.at else {
        return None;
    };
    let left = due.as_mut()?;
    *left = left.saturating_sub(entries);
    (*left > 0).then(|| Short {
        key: piece.key.clone(),
        start: *start,
        entries: Some(*left),
    })
}

fn range(piece: &Piece) -> (EntryId, EntryId) {
    match piece.at {
        At::Entries { after, through, .. } => (after, through),
        // Only ranges are planned for this table; anything else is an empty one.
        _ => (EntryId::MIN, EntryId::MIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lead_on_until_the_range_or_the_count_is_done() {
        let id = |seq| EntryId { ms: 1, seq };
        let piece = |left| {
            let at = At::Entries {
                after: EntryId::MIN,
                through: id(5000),
                left,
                start: EntryId::MIN,
                due: None,
                first: None,
            };
            let mut piece = Piece::new((*b"k").into(), 0, at);
            piece.most = u64::MAX;
            piece
        };
        let next = |left, entries, last| match after_page(piece(left), entries, Some(id(last))) {
            Some(Piece {
                at: At::Entries { after, left, .. },
                ..
            }) => Some((after.seq, left)),
            _ => None,
        };
        assert_eq!(next(u64::MAX, 1000, 7), Some((7, u64::MAX - 1000)));
        assert_eq!(next(1500, 1000, 7), Some((7, 500)));
        assert_eq!(next(1000, 1000, 7), None);
        assert_eq!(next(u64::MAX, 999, 7), None);
        assert_eq!(next(u64::MAX, 1000, 5000), None);
    }

    #[test]
    fn the_last_possible_id_has_nothing_after_it() {
        let last = EntryId {
            ms: u64::MAX,
            seq: u64::MAX,
        };
        let at = At::Entries {
            after: last,
            through: last,
            left: 10,
            start: last,
            due: None,
            first: None,
        };
        let mut commands = Commands::default();
        fetch_entries(&Piece::new((*b"k").into(), 0, at), &mut commands);
        let text = String::from_utf8(commands.bytes).unwrap();
        assert!(text.contains("18446744073709551615-18446744073709551615"));
        assert!(text.contains("$3\r\n0-0\r\n"));
    }
}
