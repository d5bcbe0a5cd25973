//! `lists`: one row an element, with its index.

use super::{At, Context, Key, Origin, Outcome, Piece, Size, Spec, Table, paging, ttl_seconds};
use crate::columns::{Rows, Type, column, key};
use crate::error::Result;
use crate::resp::{Commands, Replies};

pub struct Lists;

static SPEC: Spec = Spec {
    name: "lists",
    origin: Origin::Keys {
        key_type: Some("list"),
        size: Some(Size::Elements("LLEN")),
    },
    columns: &[
        key("key_name", Type::Bytes),
        key("list_index", Type::Long),
        column("value", Type::Bytes),
        column("list_length", Type::Long),
        column("ttl_seconds", Type::Long),
        column("scanned_at", Type::Long),
    ],
    cursor_field: None,
};

impl Table for Lists {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn first(&self, key: Key, size: u64, _: &Context) -> Option<Piece> {
        paging::first(key, size, At::Index(0))
    }

    fn fetch(&self, piece: &Piece, to: &mut Commands) {
        to.push(&[b"TTL", &piece.key]);
        paging::fetch_range(piece, b"LRANGE", &[], to);
    }

    fn append(
        &self,
        piece: Piece,
        replies: &mut Replies<'_>,
        rows: &mut Rows,
        context: &Context,
    ) -> Result<Outcome> {
        let ttl = ttl_seconds(replies)?;
        let page = paging::Page::read(&piece, replies, 1)?;
        for element in 0..page.elements {
            rows.bytes(&piece.key)
                .long((page.index + element) as i64)
                .bytes(replies.bytes()?)
                .long(page.total as i64)
                .long(ttl)
                .long(context.scanned_at)
                .end_row()?;
        }
        Ok(page.outcome(piece))
    }
}
