//! What hashes, lists, sets and sorted sets share: a key of many elements, read whole by one
//! command or, where it is too large for one reply, in pages.

use super::{At, Context, Key, Outcome, Piece, Spec, Table, ttl_seconds};
use crate::columns::Rows;
use crate::error::Result;
use crate::resp::{Commands, Replies};
use crate::seen::Seen;

/// A key with at most so many elements is read by one command, and so at one moment. Ten
/// thousand small elements keep a server busy for about two milliseconds.
const WHOLE_ELEMENTS: u64 = 10_000;
/// A key with so few is, however heavy they are thought to be.
const FEW_ELEMENTS: u64 = 128;
/// A page of a larger one: long enough to be cheap, short enough not to be noticed.
const PAGE_ELEMENTS: u64 = 2_000;

/// A table with a row for each element of a key. Its columns begin with the key and end with
/// `ttl_seconds` and `scanned_at`.
pub trait Collection: Send + Sync {
    const SPEC: &'static Spec;
    const FETCH: Fetch;
    /// How many values of a reply are one element.
    const VALUES: usize;
    /// Whether no two elements of a key are equal, so that one which comes again in a later
    /// page is the same one.
    const DISTINCT: bool = true;

    /// Appends the cells between the key and the element's first value.
    fn lead(_element: Element, _rows: &mut Rows) {}

    /// Appends the cells after the element's first value, out of its other values.
    fn rest(element: Element, replies: &mut Replies<'_>, rows: &mut Rows) -> Result<()>;
}

/// The commands that fetch a collection.
pub enum Fetch {
    /// One for all elements, and one that goes by a cursor and may repeat elements.
    Scan {
        whole: &'static str,
        page: &'static str,
    },
    /// One that takes a range of indexes, with what is to stand after it.
    Range {
        command: &'static str,
        options: &'static [&'static str],
    },
}

/// Where an element stands in its key.
#[derive(Clone, Copy)]
pub struct Element {
    pub index: i64,
    /// How many elements the key has, as far as is known.
    pub total: i64,
}

impl<C: Collection> Table for C {
    fn spec(&self) -> &'static Spec {
        C::SPEC
    }

    /// An empty collection does not exist.
    fn first(&self, key: Key, size: u64, whole: u64, _: &Context) -> Option<Piece> {
        let at = match (size, C::FETCH) {
            (0, _) => return None,
            (1..=WHOLE_ELEMENTS, _) if size <= whole.max(FEW_ELEMENTS) => At::Whole,
            (_, Fetch::Scan { .. }) => At::Cursor(0),
            (_, Fetch::Range { .. }) => At::Index(0),
        };
        let mut piece = Piece::new(key, size, at);
        piece.seen = (at != At::Whole && C::DISTINCT).then(Box::default);
        Some(piece)
    }

    fn fetch(&self, piece: &Piece, to: &mut Commands) {
        to.push(&[b"TTL", &piece.key]);
        C::FETCH.ask(piece, to);
    }

    fn append(
        &self,
        mut piece: Piece,
        replies: &mut Replies<'_>,
        rows: &mut Rows,
        context: &Context,
    ) -> Result<Outcome> {
        let ttl = ttl_seconds(replies)?;
        let page = Page::read(&piece, replies, C::VALUES)?;
        for nth in 0..page.elements {
            let element = Element {
                index: (page.index + nth) as i64,
                total: page.total as i64,
            };
            let first = replies.bytes()?;
            if let Some(seen) = &mut piece.seen
                && !Seen::insert(seen, first)
            {
                for _ in 1..C::VALUES {
                    replies.skip()?;
                }
                continue;
            }
            rows.bytes(&piece.key);
            C::lead(element, rows);
            rows.bytes(first);
            C::rest(element, replies, rows)?;
            rows.long(ttl).long(context.scanned_at).end_row()?;
        }
        Ok(page.outcome(piece))
    }
}

impl Fetch {
    fn ask(&self, piece: &Piece, to: &mut Commands) {
        let key = &piece.key;
        match (self, piece.at) {
            (Fetch::Scan { page, .. }, At::Cursor(cursor)) => {
                let count = piece.page(PAGE_ELEMENTS).to_string();
                let cursor = cursor.to_string();
                to.push(&[
                    page.as_bytes(),
                    key,
                    cursor.as_bytes(),
                    b"COUNT",
                    count.as_bytes(),
                ]);
            }
            (Fetch::Scan { whole, .. }, _) => to.push(&[whole.as_bytes(), key]),
            (Fetch::Range { command, options }, at) => {
                let (from, through) = match at {
                    At::Index(from) => (from, (from + piece.page(PAGE_ELEMENTS) - 1).to_string()),
                    _ => (0, "-1".to_owned()),
                };
                let from = from.to_string();
                let mut arguments: Vec<&[u8]> =
                    vec![command.as_bytes(), key, from.as_bytes(), through.as_bytes()];
                arguments.extend(options.iter().map(|option| option.as_bytes()));
                to.push(&arguments);
            }
        }
    }
}

/// The head of a page: what follows in the replies are `elements` elements.
struct Page {
    elements: u64,
    /// The index of the first.
    index: u64,
    total: u64,
    next: Option<At>,
}

impl Page {
    /// Reads the head; an element is so many values.
    fn read(piece: &Piece, replies: &mut Replies<'_>, values: usize) -> Result<Page> {
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
            let more = elements == piece.page(PAGE_ELEMENTS) && from + elements < piece.size;
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
    fn outcome(self, mut piece: Piece) -> Outcome {
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
