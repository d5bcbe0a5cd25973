//! `streams`: one row an entry, of ranges that were planned from offsets.

use std::collections::{HashMap, HashSet};

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
            if replies.integer()? == TTL_OF_NO_KEY {
                outcome.gone.push(piece.key);
            } else {
                let short = still_due(&mut piece, entries);
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

/// The fields of one entry: names and values in the entry's own order.
#[derive(Default)]
struct Fields {
    bytes: Vec<u8>,
    /// Where each name and each value ends in `bytes`, in turn.
    ends: Vec<usize>,
}

impl Fields {
    fn read(&mut self, replies: &mut Replies<'_>) -> Result<()> {
        self.bytes.clear();
        self.ends.clear();
        for _ in 0..2 * replies.pairs()? {
            self.bytes.extend_from_slice(replies.bytes()?);
            self.ends.push(self.bytes.len());
        }
        Ok(())
    }

    fn text(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }

    fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.ends.len() / 2).map(|pair| (self.text(2 * pair), self.text(2 * pair + 1)))
    }

    /// Writes a JSON object; a name that repeats holds an array of its values. Bytes are
    /// left as they are, so that the text is UTF-8 exactly if they all are.
    fn write_json(&self, out: &mut Vec<u8>) {
        let mut separator: &[u8] = b"{";
        let mut member = |name: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(separator);
            separator = b", ";
            write_string(name, out);
            out.extend_from_slice(b": ");
        };
        if self.has_repeated_names() {
            for (name, values) in self.by_name() {
                member(name, out);
                write_one_or_array(&values, out);
            }
        } else {
            for (name, value) in self.pairs() {
                member(name, out);
                write_string(value, out);
            }
        }
        out.extend_from_slice(if self.ends.is_empty() { b"{}" } else { b"}" });
    }

    fn has_repeated_names(&self) -> bool {
        /// Up to so many names, comparing each with each beats hashing.
        const FEW: usize = 16;
        let names = || self.pairs().map(|(name, _)| name);
        if self.ends.len() / 2 <= FEW {
            names()
                .enumerate()
                .any(|(n, name)| names().take(n).any(|earlier| earlier == name))
        } else {
            let mut known = HashSet::new();
            !names().all(|name| known.insert(name))
        }
    }

    /// The values of each name, by the name's first place.
    fn by_name(&self) -> Vec<(&[u8], Vec<&[u8]>)> {
        let mut places = HashMap::new();
        let mut members: Vec<(&[u8], Vec<&[u8]>)> = Vec::new();
        for (name, value) in self.pairs() {
            let place = *places.entry(name).or_insert(members.len());
            if place == members.len() {
                members.push((name, Vec::new()));
            }
            members[place].1.push(value);
        }
        members
    }
}

fn write_one_or_array(values: &[&[u8]], out: &mut Vec<u8>) {
    if let [value] = values {
        return write_string(value, out);
    }
    for (index, value) in values.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"[" } else { b", " });
        write_string(value, out);
    }
    out.push(b']');
}

/// A JSON string whose bytes need not be UTF-8; `serde_json` writes only `str`.
fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= b' ' && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
        }
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Decoder;

    fn json_of(pairs: &[&[u8]]) -> Vec<u8> {
        let mut wire = format!("*{}\r\n", pairs.len()).into_bytes();
        for text in pairs {
            wire.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
            wire.extend_from_slice(text);
            wire.extend_from_slice(b"\r\n");
        }
        let mut decoder = Decoder::new(wire.as_slice());
        let mut fields = Fields::default();
        fields.read(&mut Replies::new(&mut decoder, 1)).unwrap();
        let mut out = Vec::new();
        fields.write_json(&mut out);
        out
    }

    #[test]
    fn fields_keep_their_order_and_repeated_names_hold_arrays() {
        let json = json_of(&[b"b", b"1", b"a", b"x\ny\"\\\0", b"b", b"2"]);
        assert_eq!(json, br#"{"b": ["1", "2"], "a": "x\ny\"\\\u0000"}"#);
        let parsed: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(parsed["a"], "x\ny\"\\\0");
        assert_eq!(json_of(&[]), b"{}");
        assert_eq!(json_of(&[b"\xff", b"\xfe"]), b"{\"\xff\": \"\xfe\"}");
    }

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
