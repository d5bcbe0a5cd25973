//! The tables: what each is called, which commands it asks of a key, and how its rows come
//! out of the replies. A table never sees a socket.
//!
//! A ninth table is one file beside these and one line in [`TABLES`].

mod collection;
mod hashes;
mod keys;
mod lists;
mod server_info;
mod sets;
mod sorted_sets;
mod streams;
mod strings;

use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use crate::columns::{Column, Rows};
use crate::error::{Error, Result};
use crate::offset::EntryId;
use crate::options::nearest;
use crate::receipt::Receipt;
use crate::resp::{Commands, Replies};
use crate::seen::Seen;

pub use streams::{after_page, entry_head, fetch_entries};

pub const TABLES: &[&dyn Table] = &[
    &keys::Keys,
    &strings::Strings,
    &hashes::Hashes,
    &lists::Lists,
    &sets::Sets,
    &sorted_sets::SortedSets,
    &streams::Streams,
    &server_info::ServerInfo,
];

/// The table of that name.
pub fn table(name: &str) -> Result<&'static dyn Table> {
    let known = TABLES.iter().find(|table| table.spec().name == name);
    known.copied().ok_or_else(|| {
        let names = TABLES.iter().map(|table| table.spec().name);
        Error::Configuration(format!("unknown table {name:?}{}", nearest(name, names)))
    })
}

#[derive(Debug)]
pub struct Spec {
    pub name: &'static str,
    pub origin: Origin,
    pub columns: &'static [Column],
    pub cursor_field: Option<&'static str>,
}

/// What a table's rows are read from.
#[derive(Debug)]
pub enum Origin {
    /// Every key that SCAN names: those of one type, or all.
    Keys {
        key_type: Option<&'static str>,
        /// The command that tells a key's size before it is fetched.
        size: Option<Size>,
    },
    /// Ranges of stream entries, planned from offsets.
    Entries,
    /// The server itself, asked once.
    Server,
}

#[derive(Clone, Copy, Debug)]
pub enum Size {
    Bytes(&'static str),
    Elements(&'static str),
}

impl Size {
    pub fn command(self) -> &'static str {
        match self {
            Size::Bytes(command) | Size::Elements(command) => command,
        }
    }
}

impl Spec {
    pub fn primary_keys(&self) -> impl Iterator<Item = &'static str> {
        self.columns
            .iter()
            .filter(|column| column.key)
            .map(|column| column.name)
    }

    /// `append` where an offset leads on, else `snapshot`.
    pub fn ingestion_type(&self) -> &'static str {
        match self.origin {
            Origin::Entries => "append",
            Origin::Keys { .. } | Origin::Server => "snapshot",
        }
    }
}

pub type Key = Box<[u8]>;

/// A part of a key, to be fetched in one go.
#[derive(Debug)]
pub struct Piece {
    pub key: Key,
    /// What the size command said: bytes of a string, elements of anything else.
    pub size: u64,
    pub at: At,
    /// How many elements may be asked for at once; more would weigh too much.
    pub most: u64,
    /// Members handed over so far, where pages of one key may repeat them.
    pub seen: Option<Box<Seen>>,
}

/// Where in its key a piece begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Whole,
    /// From this index on: LRANGE, ZRANGE.
    Index(u64),
    /// From this cursor on: HSCAN, SSCAN.
    Cursor(u64),
    /// Stream entries after one id, through another, so many at the most.
    Entries {
        after: EntryId,
        through: EntryId,
        left: u64,
    },
    /// A key's facts, without those optional ones (by bit) that the server refuses.
    Facts {
        refused: u8,
    },
}

impl Piece {
    pub fn new(key: Key, size: u64, at: At) -> Self {
        Piece {
            key,
            size,
            at,
            most: 1,
            seen: None,
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
}

/// What became of a piece.
pub enum Outcome {
    Done,
    /// The key was not there any more.
    Gone,
    /// The next part of the same key.
    More(Piece),
}

/// What is the same for all keys of one read.
pub struct Context {
    /// Unix seconds, the same in every row of a read.
    pub scanned_at: i64,
    pub receipt: Arc<Receipt>,
    /// The optional facts of a key that this server refused, by bit.
    pub refused: AtomicU8,
}

pub trait Table: Send + Sync {
    fn spec(&self) -> &'static Spec;

    /// The piece to begin a key of this size with; None where the size says that it is gone. A
    /// key of more than `whole` elements is too heavy for one reply.
    fn first(&self, key: Key, size: u64, _whole: u64, _: &Context) -> Option<Piece> {
        Some(Piece::new(key, size, At::Whole))
    }

    /// Asks for a piece.
    fn fetch(&self, piece: &Piece, to: &mut Commands);

    /// Appends the rows of a piece from the replies to what `fetch` asked. Replies that it
    /// leaves are dropped.
    fn append(
        &self,
        piece: Piece,
        replies: &mut Replies<'_>,
        rows: &mut Rows,
        context: &Context,
    ) -> Result<Outcome>;
}

/// TTL's reply as a column: null where the key does not expire (or is just gone).
fn ttl_seconds(replies: &mut Replies<'_>) -> Result<Option<i64>> {
    let ttl = replies.integer()?;
    Ok((ttl >= 0).then_some(ttl))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Type;

    #[test]
    fn every_table_has_a_primary_key_and_its_own_name() {
        let mut names: Vec<_> = TABLES.iter().map(|table| table.spec().name).collect();
        assert_eq!(
            names,
            [
                "keys",
                "strings",
                "hashes",
                "lists",
                "sets",
                "sorted_sets",
                "streams",
                "server_info"
            ]
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLES.len());
        for table in TABLES {
            assert!(table.spec().primary_keys().count() > 0);
            assert!(
                table
                    .spec()
                    .columns
                    .iter()
                    .all(|c| !c.key || c.kind != Type::Double)
            );
        }
    }

    #[test]
    fn unknown_tables_name_the_nearest() {
        let error = table("hash").err().unwrap().to_string();
        assert!(
            error.contains("\"hash\"") && error.contains("`hashes`"),
            "{error}"
        );
    }
}
