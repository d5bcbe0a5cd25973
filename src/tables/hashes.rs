//! `hashes`: one row a field.

use super::{At, Context, Key, Origin, Outcome, Piece, Size, Spec, Table, paging, ttl_seconds};
use crate::columns::{Rows, Type, column, key};
use crate::error::Result;
use crate::resp::{Commands, Replies};

pub struct Hashes;

static SPEC: Spec = Spec {
    name: "hashes",
    origin: Origin::Keys {
        key_type: Some("hash"),
        size: Some(Size::Elements("HLEN")),
    },
    columns: &[
        key("key_name", Type::Bytes),
        key("field", Type::Bytes),
        column("value", Type::Bytes),
        column("ttl_seconds", Type::Long),
        column("scanned_at", Type::Long),
    ],
    cursor_field: None,
};

impl Table for Hashes {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn first(&self, key: Key, size: u64, _: &Context) -> Option<Piece> {
        paging::first(key, size, At::Cursor(0))
    }

    fn fetch(&self, piece: &Piece, to: &mut Commands) {
        to.push(&[b"TTL", &piece.key]);
        paging::fetch_scan(piece, b"HGETALL", b"HSCAN", to);
    }

    fn append(
        &self,
        piece: Piece,
        replies: &mut Replies<'_>,
        rows: &mut Rows,
        context: &Context,
    ) -> Result<Outcome> {
        let ttl = ttl_seconds(replies)?;
        paging::append_members(piece, replies, rows, 2, |_, _, replies, rows| {
            rows.bytes(replies.bytes()?)
                .long(ttl)
                .long(context.scanned_at)
                .end_row()
        })
    }
}
