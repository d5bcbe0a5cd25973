//! The tables: what each is called, which commands it asks of a key, and how its rows come
//! out of the replies. A table never sees a socket.
//!
//! A ninth table is one file beside these and one line in [`TABLES`].

mod collection;
mod entry_fields;
mod hashes;
mod keys;
mod lists;
mod piece;
mod sends;
mod server_info;
mod sets;
mod sorted_sets;
mod streams;
mod strings;

use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use crate::columns::{Asked, Column, Rows};
use crate::error::{Error, Result};
use crate::offset::EntryId;
use crate::options::nearest;
use crate::receipt::Receipt;
use crate::resp::{Commands, Replies};

pub use piece::{At, Check, Piece};
pub use sends::{Sends, Without, sends, takes_key};
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
        Error::configuration(format!("unknown table {name:?}{}", nearest(name, names)))
    })
}

#[derive(Debug)]
pub struct Spec {
    pub name: &'static str,
    pub origin: Origin,
    pub columns: &'static [Column],
    pub cursor_field: Option<&'static str>,
    /// The commands that are sent for this table alone.
    pub sends: &'static [Sends],
}

/// What a table's rows are read from.
#[derive(Debug)]
pub enum Origin {
    /// Every key that SCAN names: those of one type, or all.
    Keys { key_type: Option<&'static str> },
    /// Ranges of stream entries, planned from offsets.
    Entries,
    /// The server itself, asked once.
    Server,
}

/// How to ask for a key's size.
#[derive(Clone, Copy, Debug)]
pub enum Size {
    /// By this command, which tells bytes.
    Bytes(&'static str),
    /// By this command, which tells elements.
    Elements(&'static str),
    /// By MEMORY USAGE, which costs no more and tells bytes (of large keys an estimate, from a
    /// few elements); where that is refused, by this command, which tells elements.
    Memory { or: &'static str },
}

impl Size {
    /// The command that tells the exact length.
    pub fn exact(self) -> &'static str {
        match self {
            Size::Bytes(command) | Size::Elements(command) | Size::Memory { or: command } => {
                command
            }
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

pub const TTL_OF_NO_KEY: i64 = -2;

/// What became of pieces that were fetched together.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Keys that were not there any more.
    pub gone: Vec<Key>,
    /// Keys that had nothing of what was asked for, and may have been gone.
    pub empty: Vec<Key>,
    /// The next part of the same key.
    pub more: Option<Piece>,
    /// A range of entries that ended before all had come that were there when it was planned.
    pub short: Option<Short>,
    /// Facts that were found out for the other tables that are read along.
    pub facts: Vec<Facts>,
}

/// Entries of a stream that went while it was read.
#[derive(Clone, Debug)]
pub struct Short {
    pub key: Key,
    /// Where the range began.
    pub start: EntryId,
    /// How many, where that is known.
    pub entries: Option<u64>,
}

/// What one table finds out of a key for the others.
#[derive(Debug)]
pub struct Facts {
    pub key: Key,
    pub key_type: Box<[u8]>,
    /// TTL's reply, where it was asked.
    pub ttl: Option<i64>,
}

impl Outcome {
    pub fn gone(key: Key) -> Self {
        Outcome {
            gone: vec![key],
            ..Outcome::default()
        }
    }

    pub fn more(piece: Piece) -> Self {
        Outcome {
            more: Some(piece),
            ..Outcome::default()
        }
    }
}

/// What is the same for all keys that one table reads from one node.
pub struct Context {
    /// Unix seconds, the same in every row of a read.
    pub scanned_at: i64,
    pub receipt: Arc<Receipt>,
    pub asked: Asked,
    /// The fields to read of hashes; None for all.
    pub fields: Option<Vec<Key>>,
    /// Whether keys of the database may expire: if none did when the read began, none is asked.
    pub keys_expire: bool,
    /// Whether `keys` tells each key's type for the other tables that are read along.
    pub tells_types: bool,
    /// The optional facts of a key that this server refused, by bit.
    pub refused: AtomicU8,
}

impl Context {
    pub fn asks_ttl(&self) -> bool {
        self.keys_expire && self.asked.has("ttl_seconds")
    }
}

pub trait Table: Send + Sync {
    fn spec(&self) -> &'static Spec;

    /// The command that tells a key's size before it is fetched, where that has no bound of its
    /// own.
    fn size(&self, _: &Context) -> Option<Size> {
        None
    }

    /// How many pieces may be fetched by one command.
    fn bundle(&self) -> usize {
        1
    }

    /// Where to begin a key, which may be too large for one reply; None where its size says that
    /// it is gone.
    fn first(&self, _: &Piece, _large: bool, _: &Context) -> Option<At> {
        Some(At::Whole)
    }

    /// Above so many bytes a key counts as large, however much a reply may hold.
    fn whole_bytes(&self) -> u64 {
        u64::MAX
    }

    /// Asks for pieces: one, or up to a bundle of whole keys.
    fn fetch(&self, pieces: &[Piece], context: &Context, to: &mut Commands);

    /// Appends the rows of pieces from the replies to what `fetch` asked. Replies that it
    /// leaves are dropped.
    fn append(
        &self,
        pieces: Vec<Piece>,
        replies: &mut Replies<'_>,
        rows: &mut Rows,
        context: &Context,
    ) -> Result<Outcome>;

    /// All commands that are sent to read this table.
    fn sends(&self) -> Vec<Sends> {
        sends::all_of(self.spec(), self.large().is_some())
    }

    /// How keys that are too large for one reply are read, where `first` may say so.
    fn large(&self) -> Option<&dyn Large> {
        None
    }
}

/// Reads keys page by page; `Table::fetch` asks for a page as for any piece.
pub trait Large {
    /// Appends what a page holds: the reply to a range, or what follows the cursor in that of
    /// SCAN's kin.
    fn append_page(
        &self,
        piece: &mut Piece,
        last: bool,
        replies: &mut Replies<'_>,
        rows: &mut Rows,
        context: &Context,
    ) -> Result<()>;
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
