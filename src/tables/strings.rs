//! `strings`: one row a key.

use super::{Context, Origin, Outcome, Piece, Size, Spec, Table, ttl_seconds};
use crate::columns::{Rows, Type, column, key};
use crate::error::Result;
use crate::resp::{Commands, Replies};

pub struct Strings;

static SPEC: Spec = Spec {
    name: "strings",
    origin: Origin::Keys {
        key_type: Some("string"),
        size: Some(Size::Bytes("STRLEN")),
    },
    columns: &[
        key("key_name", Type::Bytes),
        column("value", Type::Bytes),
        column("value_length", Type::Long),
        column("ttl_seconds", Type::Long),
        column("scanned_at", Type::Long),
    ],
    cursor_field: None,
};

impl Table for Strings {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn fetch(&self, piece: &Piece, to: &mut Commands) {
        to.push(&[b"TTL", &piece.key]);
        to.push(&[b"GET", &piece.key]);
    }

    fn append(
        &self,
        piece: Piece,
        replies: &mut Replies<'_>,
        rows: &mut Rows,
        context: &Context,
    ) -> Result<Outcome> {
        let ttl = ttl_seconds(replies)?;
        let Some(value) = replies.bytes_or_nil()? else {
            return Ok(Outcome::Gone);
        };
        rows.bytes(&piece.key)
            .bytes(value)
            .long(value.len() as i64)
            .long(ttl)
            .long(context.scanned_at)
            .end_row()?;
        Ok(Outcome::Done)
    }
}
