//! What is fetched at a time: a key, or a part of one.

use super::{Key, TTL_OF_NO_KEY};
use crate::offset::EntryId;
use crate::seen::Seen;

/// A part of a key, to be fetched in one go.
#[derive(Debug)]
pub struct Piece {
    pub key: Key,
    /// The place of its table among those that are read together.
    pub table: usize,
    /// Bytes of a string, elements of anything else, where they were asked for.
    pub size: u64,
    /// What its reply may come to, where that is known.
    pub bytes: Option<u64>,
    /// What an element of it weighs, where that is known.
    pub each: Option<u64>,
    pub at: At,
    /// How many elements may be asked for at once; more would weigh too much.
    pub most: u64,
    /// TTL's reply, where it was asked.
    pub ttl: Option<i64>,
    /// Members handed over so far, where pages of one key may repeat them.
    pub seen: Option<Box<Seen>>,
    /// Whether it is not to be asked for together with others.
    pub alone: bool,
}

/// Where in its key a piece begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Not begun: `Table::first` says where.
    Start,
    Whole,
    /// From this index on: LRANGE, ZRANGE.
    Index(u64),
    /// From this byte on: GETRANGE.
    Byte(u64),
    /// From this cursor on: HSCAN, SSCAN.
    Cursor(u64),
    /// Stream entries after one id, through another, so many at the most.
    Entries {
        after: EntryId,
        through: EntryId,
        left: u64,
        /// Where the whole range begins.
        start: EntryId,
        check: Check,
    },
    /// A key's facts, without those optional ones (by bit) that the server refuses.
    Facts {
        refused: u8,
    },
}

/// How to see that all entries of a range come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Nothing,
    /// So many are yet to come.
    Due(u64),
    /// The next page begins with this entry. It may have come already, and does not come again then.
    Begins(EntryId),
}

impl Check {
    /// By a count, where there is one.
    pub fn of(entries: Option<u64>) -> Self {
        entries.map_or(Check::Nothing, Check::Due)
    }
}

impl At {
    /// The first entry of a range.
    pub fn one_entry(after: EntryId, through: EntryId) -> Self {
        At::Entries {
            after,
            through,
            left: 1,
            start: after,
            check: Check::Nothing,
        }
    }

    /// Whether it is one of the pages of a key that is too large for one reply.
    pub fn is_page(self) -> bool {
        matches!(self, At::Index(_) | At::Byte(_) | At::Cursor(_))
    }
}

impl Piece {
    pub fn new(key: Key, size: u64, at: At) -> Self {
        Piece {
            key,
            table: 0,
            size,
            bytes: None,
            each: None,
            at,
            most: 1,
            ttl: None,
            seen: None,
            alone: false,
        }
    }

    /// The same, for a second try by itself.
    #[must_use]
    pub fn again_alone(&self) -> Self {
        Piece {
            key: self.key.clone(),
            seen: None,
            alone: true,
            ..*self
        }
    }

    /// How many elements to ask for where a page has so many at the most.
    pub fn page(&self, longest: u64) -> u64 {
        let left = match self.at {
            At::Entries { left, .. } => left,
            _ => u64::MAX,
        };
        self.most.min(longest).min(left).max(1)
    }

    /// The time to live as a column: null where the key does not expire (or is just gone).
    pub fn ttl_seconds(&self) -> Option<i64> {
        self.ttl.filter(|ttl| *ttl >= 0)
    }

    /// How many entries are yet to come, where that is known.
    pub fn due(&self) -> Option<u64> {
        match self.at {
            At::Entries {
                check: Check::Due(due),
                left,
                ..
            } => Some(due.min(left)),
            _ => None,
        }
    }

    /// Whether it is known how large it is.
    pub fn has_size(&self) -> bool {
        self.bytes.is_some() || self.size > 0 || matches!(self.at, At::Entries { .. })
    }

    /// Whether TTL was asked and found no key.
    pub fn is_gone(&self) -> bool {
        self.ttl == Some(TTL_OF_NO_KEY)
    }
}
