//! What hashes, lists, sets and sorted sets share: a key of many elements, read whole by one
//! command or, where it is too large for one reply, in pages.

use super::{At, Context, Key, Large, Outcome, Piece, Size, Spec, Table};
use crate::columns::Rows;
use crate::error::{Error, Result};
use crate::resp::{Commands, Replies};
use crate::seen::Seen;

/// A table with a row for each element of a key. Its columns begin with the key and end with
/// `ttl_seconds` and `scanned_at`.
pub trait Collection: Send + Sync {
    const SPEC: &'static Spec;
    /// The command that counts a key's elements.
    const LENGTH: &'static str;
    const FETCH: Fetch;
    /// The columns that hold an element's values as a reply gives them, in turn.
    const VALUES: &'static [&'static str];
    /// Whether no two elements of a key are equal, so that one which comes again in a later
    /// page is the same one.
    const DISTINCT: bool = true;
    /// Above so many bytes a key counts as large.
    const WHOLE_BYTES: u64 = u64::MAX;

    /// The names of the only elements to read, where these are given, and the command for them.
    fn picked(_: &Context) -> Option<(&'static str, &[Key])> {
        None
    }

    /// Appends the cells between the key and the element's first value.
    fn lead(_element: Element, _rows: &mut Rows) {}

    /// Appends the cells after the element's first value; its second value is None where it was
    /// not asked for, or where there is none.
    fn rest(element: Element, second: Option<&[u8]>, rows: &mut Rows) -> Result<()>;
}

/// The commands that fetch a collection.
pub enum Fetch {
    /// One for all elements, one for their first values alone, and one that goes by a cursor
    /// and may repeat elements.
    Scan {
        whole: &'static str,
        lean: &'static str,
        page: &'static str,
    },
    /// One that takes a range of indexes, with what is to stand after it for the second values.
    Range {
        command: &'static str,
        second: &'static [&'static str],
    },
}

/// Where an element stands in its key.
#[derive(Clone, Copy)]
pub struct Element {
    pub index: i64,
    /// How many elements the key has, as far as is known.
    pub total: i64,
}

/// What of its elements a read wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Everything,
    /// All but the second of two values.
    FirstValues,
    /// No more than how many there are.
    Count,
}

fn wanted<C: Collection>(context: &Context) -> Wanted {
    match C::VALUES
        .iter()
        .rposition(|column| context.asked.has(column))
    {
        None => Wanted::Count,
        Some(last) if last + 1 < C::VALUES.len() => Wanted::FirstValues,
        Some(_) => Wanted::Everything,
    }
}

impl<C: Collection> Table for C {
    fn spec(&self) -> &'static Spec {
        C::SPEC
    }

    fn size(&self, context: &Context) -> Option<Size> {
        if C::picked(context).is_some() {
            return None;
        }
        Some(match wanted::<C>(context) {
            Wanted::Count => Size::Elements(C::LENGTH),
            _ => Size::Memory { or: C::LENGTH },
        })
    }

    fn whole_bytes(&self) -> u64 {
        C::WHOLE_BYTES
    }

    /// An empty collection does not exist.
    fn first(&self, piece: &Piece, large: bool, context: &Context) -> Option<At> {
        if C::picked(context).is_some() {
            return Some(At::Whole);
        }
        if piece.bytes.is_none() && piece.size == 0 {
            return None;
        }
        let in_pages = large && wanted::<C>(context) != Wanted::Count;
        Some(match C::FETCH {
            _ if !in_pages => At::Whole,
            Fetch::Scan { .. } => At::Cursor(0),
            Fetch::Range { .. } => At::Index(0),
        })
    }

    fn fetch(&self, pieces: &[Piece], context: &Context, to: &mut Commands) {
        for piece in pieces {
            if let Some((command, names)) = C::picked(context) {
                let mut arguments: Vec<&[u8]> = vec![command.as_bytes(), &piece.key];
                arguments.extend(names.iter().map(|name| &**name));
                to.push(&arguments);
            } else if wanted::<C>(context) != Wanted::Count {
                C::FETCH.ask(piece, wanted::<C>(context), to);
            }
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
            let counted = wanted::<C>(context) == Wanted::Count && C::picked(context).is_none();
            if counted && piece.is_gone() {
                outcome.gone.push(piece.key);
            } else if C::picked(context).is_some() {
                if append_picked::<C>(&piece, replies, rows, context)? == 0 {
                    outcome.empty.push(piece.key);
                }
            } else if append_elements::<C>(&mut piece, replies, rows, context)? == 0 {
                outcome.gone.push(piece.key);
            }
        }
        Ok(outcome)
    }

    fn large(&self) -> Option<&dyn Large> {
        Some(self)
    }
}

impl<C: Collection> Large for C {
    fn append_page(
        &self,
        piece: &mut Piece,
        _last: bool,
        replies: &mut Replies<'_>,
        rows: &mut Rows,
        context: &Context,
    ) -> Result<()> {
        if C::DISTINCT && piece.seen.is_none() {
            piece.seen = Some(Box::default());
        }
        append_elements::<C>(piece, replies, rows, context).map(|_| ())
    }
}

/// Appends the elements of a page or of a whole key; returns how many the reply had.
fn append_elements<C: Collection>(
    piece: &mut Piece,
    replies: &mut Replies<'_>,
    rows: &mut Rows,
    context: &Context,
) -> Result<u64> {
    let wanted = wanted::<C>(context);
    // SCAN's kin always give both values.
    let pairs =
        C::VALUES.len() == 2 && (wanted == Wanted::Everything || matches!(piece.at, At::Cursor(_)));
    let elements = match wanted {
        Wanted::Count => piece.size,
        _ if pairs => replies.pairs()? as u64,
        _ => replies.array()? as u64,
    };
    let (from, total) = match piece.at {
        At::Whole => (0, elements),
        At::Index(from) => (from, piece.size),
        _ => (0, piece.size),
    };
    for nth in 0..elements {
        let element = Element {
            index: (from + nth) as i64,
            total: total as i64,
        };
        let first = match wanted {
            Wanted::Count => b"",
            _ => replies.bytes()?,
        };
        if let Some(seen) = &mut piece.seen
            && !Seen::insert(seen, first)
        {
            if pairs {
                replies.skip()?;
            }
            continue;
        }
        rows.bytes(&piece.key);
        C::lead(element, rows);
        rows.bytes(first);
        let second = if pairs { Some(replies.bytes()?) } else { None };
        C::rest(element, second, rows)?;
        end_row(piece, rows, context)?;
    }
    Ok(elements)
}

/// Appends those of the picked elements that the key has; returns how many. One that is gone has
/// none.
fn append_picked<C: Collection>(
    piece: &Piece,
    replies: &mut Replies<'_>,
    rows: &mut Rows,
    context: &Context,
) -> Result<usize> {
    let names = C::picked(context).map_or(&[][..], |(_, names)| names);
    if replies.array()? != names.len() {
        return Err(Error::Protocol("not as many values as names".to_owned()));
    }
    let mut had = 0;
    for (nth, name) in names.iter().enumerate() {
        let Some(value) = replies.bytes_or_nil()? else {
            continue;
        };
        let element = Element {
            index: nth as i64,
            total: names.len() as i64,
        };
        rows.bytes(&piece.key);
        C::lead(element, rows);
        rows.bytes(name);
        C::rest(element, Some(value), rows)?;
        end_row(piece, rows, context)?;
        had += 1;
    }
    Ok(had)
}

fn end_row(piece: &Piece, rows: &mut Rows, context: &Context) -> Result<()> {
    rows.long(piece.ttl_seconds())
        .long(context.scanned_at)
        .end_row()
}

impl Fetch {
    fn ask(&self, piece: &Piece, wanted: Wanted, to: &mut Commands) {
        let key = &piece.key;
        match (self, piece.at) {
            (Fetch::Scan { page, .. }, At::Cursor(cursor)) => {
                let count = piece.most.to_string();
                let cursor = cursor.to_string();
                to.push(&[
                    page.as_bytes(),
                    key,
                    cursor.as_bytes(),
                    b"COUNT",
                    count.as_bytes(),
                ]);
            }
            (Fetch::Scan { lean, .. }, _) if wanted == Wanted::FirstValues => {
                to.push(&[lean.as_bytes(), key]);
            }
            (Fetch::Scan { whole, .. }, _) => to.push(&[whole.as_bytes(), key]),
            (Fetch::Range { command, second }, at) => {
                let (from, through) = match at {
                    At::Index(from) => (from, (from + piece.most - 1).to_string()),
                    _ => (0, "-1".to_owned()),
                };
                let from = from.to_string();
                let mut arguments: Vec<&[u8]> =
                    vec![command.as_bytes(), key, from.as_bytes(), through.as_bytes()];
                if wanted == Wanted::Everything {
                    arguments.extend(second.iter().map(|option| option.as_bytes()));
                }
                to.push(&arguments);
            }
        }
    }
}
