//! `keys`: one row a key, with what the server knows about it.

use std::sync::atomic::Ordering::Relaxed;

use super::{At, Context, Key, Origin, Outcome, Piece, Spec, Table, ttl_seconds};
use crate::columns::{Rows, Type, column, key};
use crate::error::{Error, Result};
use crate::resp::{Commands, Replies};

pub struct Keys;

static SPEC: Spec = Spec {
    name: "keys",
    origin: Origin::Keys {
        key_type: None,
        size: None,
    },
    columns: &[
        key("key_name", Type::Bytes),
        column("key_type", Type::Text),
        column("ttl_seconds", Type::Long),
        column("memory_bytes", Type::Long),
        column("encoding", Type::Text),
        column("refcount", Type::Long),
        column("idle_time_seconds", Type::Long),
        column("scanned_at", Type::Long),
    ],
    cursor_field: None,
};

/// A fact that a server may refuse to tell; its column is null then.
#[derive(Clone, Copy)]
struct Fact {
    column: &'static str,
    command: [&'static [u8]; 2],
    bit: u8,
}

const IDLE: Fact = Fact {
    column: "idle_time_seconds",
    command: [b"OBJECT", b"IDLETIME"],
    bit: 1,
};
const MEMORY: Fact = Fact {
    column: "memory_bytes",
    command: [b"MEMORY", b"USAGE"],
    bit: 2,
};
const ENCODING: Fact = Fact {
    column: "encoding",
    command: [b"OBJECT", b"ENCODING"],
    bit: 4,
};
const REFCOUNT: Fact = Fact {
    column: "refcount",
    command: [b"OBJECT", b"REFCOUNT"],
    bit: 8,
};

impl Table for Keys {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn first(&self, key: Key, size: u64, _: u64, context: &Context) -> Option<Piece> {
        let refused = context.refused.load(Relaxed);
        Some(Piece::new(key, size, At::Facts { refused }))
    }

    fn fetch(&self, piece: &Piece, to: &mut Commands) {
        to.push(&[b"TYPE", &piece.key]);
        // Idle time comes before whatever might touch the key.
        IDLE.ask(piece, to);
        to.push(&[b"TTL", &piece.key]);
        MEMORY.ask(piece, to);
        ENCODING.ask(piece, to);
        REFCOUNT.ask(piece, to);
    }

    fn append(
        &self,
        piece: Piece,
        replies: &mut Replies<'_>,
        rows: &mut Rows,
        context: &Context,
    ) -> Result<Outcome> {
        let key_type = replies.bytes()?;
        if key_type == b"none" {
            return Ok(Outcome::Gone);
        }
        rows.bytes(&piece.key).bytes(key_type);
        let idle = IDLE.integer(&piece, replies, context)?;
        rows.long(ttl_seconds(replies)?);
        rows.long(MEMORY.integer(&piece, replies, context)?);
        if ENCODING.asked(&piece) {
            let encoding = ENCODING.told(replies.bytes_or_nil(), context)?.flatten();
            rows.bytes_or_null(encoding);
        } else {
            rows.bytes_or_null(None);
        }
        rows.long(REFCOUNT.integer(&piece, replies, context)?)
            .long(idle)
            .long(context.scanned_at)
            .end_row()?;
        Ok(Outcome::Done)
    }
}

impl Fact {
    fn asked(self, piece: &Piece) -> bool {
        !matches!(piece.at, At::Facts { refused } if refused & self.bit != 0)
    }

    fn ask(self, piece: &Piece, to: &mut Commands) {
        if self.asked(piece) {
            let [command, subcommand] = self.command;
            to.push(&[command, subcommand, &piece.key]);
        }
    }

    fn integer(
        self,
        piece: &Piece,
        replies: &mut Replies<'_>,
        context: &Context,
    ) -> Result<Option<i64>> {
        if !self.asked(piece) {
            return Ok(None);
        }
        Ok(self.told(replies.integer_or_nil(), context)?.flatten())
    }

    /// The fact, or None where the server will not tell it: then keys after this one are not
    /// asked for it, and one warning says so.
    fn told<T>(self, reply: Result<T>, context: &Context) -> Result<Option<T>> {
        let why = match reply {
            Ok(value) => return Ok(Some(value)),
            Err(Error::PermissionDenied { message, .. }) => message,
            // No permission on 5.0 and before, LFU policy, a renamed or removed command.
            Err(Error::Refused { code, message }) if code == "ERR" => message,
            Err(error) => return Err(error),
        };
        if context.refused.fetch_or(self.bit, Relaxed) & self.bit != 0 {
            return Ok(None);
        }
        let [command, subcommand] = self.command.map(String::from_utf8_lossy);
        context.receipt.warn(&format!(
            "table keys: column {} is null, since the server refuses {command} {subcommand}: {why}",
            self.column
        ));
        Ok(None)
    }
}
