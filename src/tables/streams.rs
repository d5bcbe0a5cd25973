//! `streams`: one row an entry, of ranges that were planned from offsets.

use super::entry_fields::Fields;
use super::sends::{MEMORY_USAGE, Without, sends};
use super::{At, Check, Context, Origin, Outcome, Piece, Short, Spec, TTL_OF_NO_KEY, Table};
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
            let mut page = Page::default();
            let asked = piece.page(ENTRIES_PAGE);
            for _ in 0..entries {
                let id = entry_head(replies)?;
                page.first.get_or_insert(id);
                // Where the one that was to come again is gone, there is one more in its place, which
                // is the next page's: with it the page would not look like one that others follow.
                if repeats(&piece) == Some(id) || page.entries == asked {
                    replies.skip()?;
                    continue;
                }
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
                page.entries += 1;
                page.last = Some(id);
            }
            let missed = page.check(&mut piece);
            let is_gone = replies.integer()? == TTL_OF_NO_KEY;
            if is_gone
                && !matches!(
                    piece.at,
                    At::Entries {
                        check: Check::Due(0),
                        ..
                    }
                )
            {
                outcome.gone.push(piece.key);
                continue;
            }
            let short = short_of(&piece);
            outcome.more = after_page(piece, page.entries, page.last);
            outcome.short = match outcome.more {
                Some(_) => missed,
                None => missed.or(short),
            };
        }
        Ok(outcome)
    }
}

/// What a page of entries had that had not come before.
#[derive(Default)]
struct Page {
    entries: u64,
    /// Also of those that had.
    first: Option<EntryId>,
    last: Option<EntryId>,
}

impl Page {
    /// Checks that all came up to here; what is missing of it otherwise.
    fn check(&self, piece: &mut Piece) -> Option<Short> {
        let At::Entries { start, check, .. } = &mut piece.at else {
            return None;
        };
        match *check {
            Check::Nothing => None,
            Check::Due(due) => {
                *check = Check::Due(due.saturating_sub(self.entries));
                None
            }
            Check::Begins(first) if self.first == Some(first) => {
                // Where the stream still has its last one then, the next page is whole, too.
                *check = self.last.map_or(*check, Check::Begins);
                None
            }
            Check::Begins(_) => {
                *check = self.last.map_or(Check::Nothing, Check::Begins);
                Some(Short {
                    key: piece.key.clone(),
                    start: *start,
                    entries: None,
                })
            }
        }
    }
}

/// The entry of a page's range that came with the page before, where it is asked for again.
fn repeats(piece: &Piece) -> Option<EntryId> {
    match piece.at {
        At::Entries {
            after,
            check: Check::Begins(first),
            ..
        } => (first <= after).then_some(first),
        _ => None,
    }
}

/// Asks for the next page of a range of entries.
pub fn fetch_entries(piece: &Piece, to: &mut Commands) {
    let (after, through) = range(piece);
    let repeats = repeats(piece);
    // There is nothing after the last id; what an empty range answers is an empty array.
    let from = repeats.or(after.next()).unwrap_or(after).to_string();
    let through = match after.next() {
        Some(_) => through.to_string(),
        None => EntryId::MIN.to_string(),
    };
    let count = piece.page(ENTRIES_PAGE) + u64::from(repeats.is_some());
    let count = count.to_string();
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
        (Some(last), At::Entries { after, left, .. })
            if entries == asked && *left > asked && last < through =>
        {
            *after = last;
            *left -= asked;
            Some(piece)
        }
        _ => None,
    }
}

/// What is missing of a range of which no page is to follow.
fn short_of(piece: &Piece) -> Option<Short> {
    match piece.at {
        At::Entries {
            start,
            check: Check::Due(left),
            ..
        } if left > 0 => Some(Short {
            key: piece.key.clone(),
            start,
            entries: Some(left),
        }),
        _ => None,
    }
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
    use std::sync::Arc;

    use super::*;
    use crate::columns::Asked;
    use crate::options::Options;
    use crate::resp::Decoder;

    #[test]
    fn pages_lead_on_until_the_range_or_the_count_is_done() {
        let id = |seq| EntryId { ms: 1, seq };
        let piece = |left| {
            let at = At::Entries {
                after: EntryId::MIN,
                through: id(5000),
                left,
                start: EntryId::MIN,
                check: Check::Nothing,
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
    fn a_page_whose_repeated_entry_is_gone_leads_on() {
        let id = |seq| EntryId { ms: 1, seq };
        let at = At::Entries {
            after: id(1),
            through: id(9),
            left: u64::MAX,
            start: EntryId::MIN,
            check: Check::Begins(id(1)),
        };
        let mut piece = Piece::new((*b"k").into(), 0, at);
        piece.most = 2;
        // Three were asked for: the one that had come, which is deleted by now, and two more.
        let entry = |seq| format!("*2\r\n$3\r\n1-{seq}\r\n*0\r\n");
        let wire = format!("*3\r\n{}{}{}:-1\r\n", entry(2), entry(3), entry(4));
        let options = Options::for_connector([("host", "a")]).unwrap();
        let read = options.read().unwrap();
        let asked = Asked::of("streams", SPEC.columns, &[], &read).unwrap();
        let sink = Box::new(|_| Ok(()));
        let mut rows = Rows::new("streams", asked.clone(), &read, Arc::default(), 0, sink);
        let context = Context {
            scanned_at: 0,
            receipt: Arc::default(),
            asked,
            fields: None,
            keys_expire: false,
            tells_types: false,
            refused: 0.into(),
        };
        let mut decoder = Decoder::new(wire.as_bytes());
        let mut replies = Replies::new(&mut decoder, 2);
        let outcome = Streams.append(vec![piece], &mut replies, &mut rows, &context);
        let outcome = outcome.unwrap();
        assert_eq!(rows.taken(), 2);
        assert!(outcome.short.is_some());
        let at = outcome.more.map(|piece| piece.at);
        assert!(
            matches!(at, Some(At::Entries { after, check: Check::Begins(first), .. })
                if after == id(3) && first == id(3)),
            "{at:?}"
        );
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
            check: Check::Nothing,
        };
        let mut commands = Commands::default();
        fetch_entries(&Piece::new((*b"k").into(), 0, at), &mut commands);
        let text = String::from_utf8(commands.bytes).unwrap();
        assert!(text.contains("18446744073709551615-18446744073709551615"));
        assert!(text.contains("$3\r\n0-0\r\n"));
    }
}
