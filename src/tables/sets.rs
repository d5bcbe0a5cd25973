//! `sets`: one row a member.

use super::{At, Context, Key, Origin, Outcome, Piece, Size, Spec, Table, paging, ttl_seconds};
use crate::columns::{Rows, Type, column, key};
use crate::error::Result;
use crate::resp::{Commands, Replies};

pub struct Sets;

static SPEC: Spec = Spec {
    name: "sets",
    origin: Origin::Keys {
        key_type: Some("set"),
        size: Some(Size::Elements("SCARD")),
    },
    columns: &[
        key("key_name", Type::Bytes),
        key("member", Type::Bytes),
        column("set_cardinality", Type::Long),
        column("ttl_seconds", Type::Long),
        column("scanned_at", Type::Long),
    ],
    cursor_field: None,
};

impl Table for Sets {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn first(&self, key: Key, size: u64, _: &Context) -> Option<Piece> {
        paging::first(key, size, At::Cursor(0))
    }

    fn fetch(&self, piece: &Piece, to: &mut Commands) {
        to.push(&[b"TTL", &piece.key]);
        paging::fetch_scan(piece, b"SMEMBERS", b"SSCAN", to);
    }

    fn append(
        &self,
        piece: Piece,
        replies: &mut Replies<'_>,
        rows: &mut Rows,
        context: &Context,
    ) -> Result<Outcome> {
        let ttl = ttl_seconds(replies)?;
        paging::append_members(piece, replies, rows, 1, |page, _, _, rows| {
            rows.long(page.total as i64)
                .long(ttl)
                .long(context.scanned_at)
                .end_row()
        })
    }
}
