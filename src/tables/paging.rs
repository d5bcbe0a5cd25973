//! Keys too large for one reply are read in pages; this is what those tables share.

use super::{At, Key, Outcome, Piece};
use crate::columns::Rows;
use crate::error::Result;
use crate::resp::{Commands, Replies};
use crate::seen::Seen;

/// A key with at most so many elements is read by one command, and so at one moment. Ten
/// thousand small elements keep a server busy for about two milliseconds.
const WHOLE_ELEMENTS: u64 = 10_000;
/// A page of a larger one: long enough to be cheap, short enough not to be noticed.
const PAGE_ELEMENTS: u64 = 2_000;

/// The first piece of a collection whose pages begin at `page`; an empty one does not exist.
pub fn first(key: Key, size: u64, page: At) -> Option<Piece> {
    let at = match size {
        0 => return None,
        1..=WHOLE_ELEMENTS => At::Whole,
        _ => page,
    };
    let mut piece = Piece::new(key, size, at);
    piece.seen = (at != At::Whole).then(Box::default);
    Some(piece)
}

/// Asks for a piece by the command for a whole key, or the one for a page of it.
pub fn fetch_scan(piece: &Piece, whole: &[u8], page: &[u8], to: &mut Commands) {
    let key = &piece.key;
    match piece.at {
        At::Cursor(cursor) => {
            let (cursor, count) = (cursor.to_string(), PAGE_ELEMENTS.to_string());
            to.push(&[page, key, cursor.as_bytes(), b"COUNT", count.as_bytes()]);
        }
        _ => to.push(&[whole, key]),
    }
}

/// Asks for a piece by a command that takes a range of indexes.
pub fn fetch_range(piece: &Piece, command: &[u8], options: &[&[u8]], to: &mut Commands) {
    let (from, through) = match piece.at {
        At::Index(from) => (from, (from + PAGE_ELEMENTS - 1).to_string()),
        _ => (0, "-1".to_owned()),
    };
    let from = from.to_string();
    let mut arguments = vec![command, &piece.key, from.as_bytes(), through.as_bytes()];
    arguments.extend_from_slice(options);
    to.push(&arguments);
}

/// The head of a page: what follows in the replies are `elements` elements.
pub struct Page {
    pub elements: u64,
    /// The index of the first.
    pub index: u64,
    /// How many the key has in all, as far as is known.
    pub total: u64,
    next: Option<At>,
}

impl Page {
    /// Reads the head; an element is so many values.
    pub fn read(piece: &Piece, replies: &mut Replies<'_>, values: usize) -> Result<Page> {
        let mut next = None;
        let mut index = 0;
        if let At::Cursor(_) = piece.at {
            replies.array()?;
            let cursor = replies.cursor()?;
            next = (cursor != 0).then_some(At::Cursor(cursor));
        }
        let elements = match values {
            2 => replies.pairs()?,
            _ => replies.array()?,
        } as u64;
        if let At::Index(from) = piece.at {
            index = from;
            // A key that grows faster than it is read must not be read for ever.
            let more = elements == PAGE_ELEMENTS && from + elements < piece.size;
            next = more.then_some(At::Index(from + elements));
        }
        Ok(Page {
            elements,
            index,
            total: if piece.at == At::Whole {
                elements
            } else {
                piece.size
            },
            next,
        })
    }

    /// What comes after this page, once its elements have been taken.
    pub fn outcome(self, mut piece: Piece) -> Outcome {
        match self.next {
            Some(next) => {
                piece.at = next;
                Outcome::More(piece)
            }
            None if self.elements == 0
                && matches!(piece.at, At::Whole | At::Index(0) | At::Cursor(0)) =>
            {
                Outcome::Gone
            }
            None => Outcome::Done,
        }
    }
}

/// Appends a row for each member of a page, of `values` values each: key and member first,
/// then what `rest` takes. A member that an earlier page of the key had is dropped.
pub fn append_members(
    mut piece: Piece,
    replies: &mut Replies<'_>,
    rows: &mut Rows,
    values: usize,
    mut rest: impl FnMut(&Page, u64, &mut Replies<'_>, &mut Rows) -> Result<()>,
) -> Result<Outcome> {
    let page = Page::read(&piece, replies, values)?;
    for element in 0..page.elements {
        let member = replies.bytes()?;
        if let Some(seen) = &mut piece.seen
            && !Seen::insert(seen, member)
        {
            for _ in 1..values {
                replies.skip()?;
            }
            continue;
        }
        rows.bytes(&piece.key).bytes(member);
        rest(&page, page.index + element, replies, rows)?;
    }
    Ok(page.outcome(piece))
}
