//! `keys`: one row a key, with what the server knows about it.

use std::sync::atomic::Ordering::Relaxed;

use super::sends::{TYPE, Without, sends};
use super::{At, Context, Facts, Key, Origin, Outcome, Piece, Spec, Table};
use crate::columns::{Rows, Type, column, key};
use crate::error::{Denied, Error, Result};
use crate::resp::{Commands, Replies};

pub struct Keys;

static SPEC: Spec = Spec {
    name: "keys",
    origin: Origin::Keys { key_type: None },
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
    sends: &[
        TYPE,
        sends("object|idletime", &[]).or(Without::Null(IDLE.column)),
        sends("memory|usage", &[]).or(Without::Null(MEMORY.column)),
        sends("object|encoding", &[]).or(Without::Null(ENCODING.column)),
        sends("object|refcount", &[]).or(Without::Null(REFCOUNT.column)),
    ],
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

    fn first(&self, _: &Piece, _: bool, context: &Context) -> Option<At> {
        let refused = context.refused.load(Relaxed);
        Some(At::Facts { refused })
    }

    fn fetch(&self, pieces: &[Piece], context: &Context, to: &mut Commands) {
        for piece in pieces {
            // Idle time comes before whatever might touch the key.
            IDLE.ask(piece, context, to);
            if asks_type(context) {
                to.push(&[b"TYPE", &piece.key]);
            }
            MEMORY.ask(piece, context, to);
            ENCODING.ask(piece, context, to);
            REFCOUNT.ask(piece, context, to);
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
        for piece in pieces {
            let mut gone = piece.is_gone();
            let idle = IDLE.integer(&piece, replies, context, &mut gone)?;
            let mut key_type = Key::default();
            if asks_type(context) {
                key_type = replies.bytes()?.into();
                gone |= *key_type == *b"none";
            }
            let memory = MEMORY.integer(&piece, replies, context, &mut gone)?;
            let mut encoding = None;
            if ENCODING.asked(&piece, context) {
                let told = ENCODING.told(replies.bytes_or_nil(), context)?;
                gone |= told == Some(None);
                encoding = told.flatten().map(Key::from);
            }
            let refcount = REFCOUNT.integer(&piece, replies, context, &mut gone)?;
            if gone {
                outcome.gone.push(piece.key);
                continue;
            }
            rows.bytes(&piece.key)
                .bytes(&key_type)
                .long(piece.ttl_seconds())
                .long(memory)
                .bytes_or_null(encoding.as_deref())
                .long(refcount)
                .long(idle)
                .long(context.scanned_at)
                .end_row()?;
            if context.tells_types {
                outcome.facts.push(Facts {
                    key: piece.key,
                    key_type,
                    ttl: piece.ttl,
                });
            }
        }
        Ok(outcome)
    }
}

fn asks_type(context: &Context) -> bool {
    context.tells_types || context.asked.has("key_type")
}

impl Fact {
    fn asked(self, piece: &Piece, context: &Context) -> bool {
        let refused = matches!(piece.at, At::Facts { refused } if refused & self.bit != 0);
        !refused && context.asked.has(self.column)
    }

    fn ask(self, piece: &Piece, context: &Context, to: &mut Commands) {
        if self.asked(piece, context) {
            let [command, subcommand] = self.command;
            to.push(&[command, subcommand, &piece.key]);
        }
    }

    /// The fact; nil says that the key is gone.
    fn integer(
        self,
        piece: &Piece,
        replies: &mut Replies<'_>,
        context: &Context,
        gone: &mut bool,
    ) -> Result<Option<i64>> {
        if !self.asked(piece, context) {
            return Ok(None);
        }
        let told = self.told(replies.integer_or_nil(), context)?;
        *gone |= told == Some(None);
        Ok(told.flatten())
    }

    /// The fact, or None where the server will not tell it: then keys after this one are not
    /// asked for it, and one warning says so.
    fn told<T>(self, reply: Result<T>, context: &Context) -> Result<Option<T>> {
        let why = match reply {
            Ok(value) => return Ok(Some(value)),
            Err(Error::PermissionDenied {
                message,
                denied: Denied::Command,
                ..
            }) => message,
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
