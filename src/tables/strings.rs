//! `strings`: one row a key.

use super::sends::sends;
use super::{At, Context, Large, Origin, Outcome, Piece, Size, Spec, Table};
use crate::columns::{Rows, Type, column, key};
use crate::error::{Error, Result};
use crate::resp::{Commands, Replies};

/// Keys per MGET: most of what a command costs is saved by then, and none of them takes long.
const KEYS_PER_MGET: usize = 64;

pub struct Strings;

static SPEC: Spec = Spec {
    name: "strings",
    origin: Origin::Keys {
        key_type: Some("string"),
    },
    columns: &[
        key("key_name", Type::Bytes),
        column("value", Type::Bytes),
        column("value_length", Type::Long),
        column("ttl_seconds", Type::Long),
        column("scanned_at", Type::Long),
    ],
    cursor_field: None,
    sends: &[
        sends("strlen", &[]),
        sends("mget", &[]),
        sends("getrange", &["0", "0"]),
    ],
};

impl Strings {
    /// Whether a value is needed: also where an empty one may be that of a key that is gone.
    fn needs(piece: &Piece, context: &Context) -> bool {
        let of_unknown_length = context.asked.has("value_length") && piece.size == 0;
        context.asked.has("value") || of_unknown_length
    }

    fn end_row(piece: &Piece, length: u64, rows: &mut Rows, context: &Context) -> Result<()> {
        rows.long(length as i64)
            .long(piece.ttl_seconds())
            .long(context.scanned_at)
            .end_row()
    }
}

impl Table for Strings {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn size(&self, context: &Context) -> Option<Size> {
        let asked = context.asked.has("value") || context.asked.has("value_length");
        asked.then_some(Size::Bytes("STRLEN"))
    }

    fn bundle(&self) -> usize {
        KEYS_PER_MGET
    }

    fn first(&self, piece: &Piece, large: bool, context: &Context) -> Option<At> {
        let in_pages = large && Strings::needs(piece, context);
        Some(if in_pages { At::Byte(0) } else { At::Whole })
    }

    fn fetch(&self, pieces: &[Piece], context: &Context, to: &mut Commands) {
        if let [piece] = pieces
            && let At::Byte(from) = piece.at
        {
            let from_text = from.to_string();
            let through = (from + piece.most - 1).to_string();
            let range = [from_text.as_bytes(), through.as_bytes()];
            return to.push(&[b"GETRANGE", &piece.key, range[0], range[1]]);
        }
        let needed = pieces.iter().filter(|piece| Strings::needs(piece, context));
        let mut command: Vec<&[u8]> = vec![b"MGET"];
        command.extend(needed.map(|piece| &*piece.key));
        if command.len() > 1 {
            to.push(&command);
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
        let needed = pieces.iter().filter(|piece| Strings::needs(piece, context));
        let needed = needed.count();
        if needed > 0 && replies.array()? != needed {
            return Err(Error::Protocol("MGET gave too few values".to_owned()));
        }
        for piece in pieces {
            let mut length = piece.size;
            if Strings::needs(&piece, context) {
                // MGET gives nil for a key that became another type, too.
                let Some(value) = replies.bytes_or_nil()? else {
                    outcome.gone.push(piece.key);
                    continue;
                };
                length = value.len() as u64;
                rows.bytes(&piece.key).bytes(value);
            } else if piece.is_gone() {
                outcome.gone.push(piece.key);
                continue;
            } else {
                rows.bytes(&piece.key).bytes(b"");
            }
            Strings::end_row(&piece, length, rows, context)?;
        }
        Ok(outcome)
    }

    fn large(&self) -> Option<&dyn Large> {
        Some(self)
    }
}

/// A value of many pages is one cell, which grows from page to page.
impl Large for Strings {
    fn append_page(
        &self,
        piece: &mut Piece,
        last: bool,
        replies: &mut Replies<'_>,
        rows: &mut Rows,
        context: &Context,
    ) -> Result<()> {
        let At::Byte(from) = piece.at else {
            return Err(Error::Protocol(
                "a value is read in ranges of bytes".to_owned(),
            ));
        };
        if from == 0 {
            rows.bytes(&piece.key);
        }
        let length = rows.part(replies.bytes()?) as u64;
        if last {
            rows.bytes(b"");
            Strings::end_row(piece, length, rows, context)?;
        }
        Ok(())
    }
}
