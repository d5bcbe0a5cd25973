//! `hashes`: one row a field.

use super::collection::{Collection, Element, Fetch};
use super::{Origin, Size, Spec};
use crate::columns::{Rows, Type, column, key};
use crate::error::Result;
use crate::resp::Replies;

pub struct Hashes;

impl Collection for Hashes {
    const SPEC: &'static Spec = &Spec {
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
    const FETCH: Fetch = Fetch::Scan {
        whole: "HGETALL",
        page: "HSCAN",
    };
    const VALUES: usize = 2;

    fn rest(_: Element, replies: &mut Replies<'_>, rows: &mut Rows) -> Result<()> {
        rows.bytes(replies.bytes()?);
        Ok(())
    }
}
