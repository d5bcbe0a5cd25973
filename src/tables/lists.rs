//! `lists`: one row an element, with its index.

use super::collection::{Collection, Element, Fetch};
use super::{Origin, Size, Spec};
use crate::columns::{Rows, Type, column, key};
use crate::error::Result;
use crate::resp::Replies;

pub struct Lists;

impl Collection for Lists {
    const SPEC: &'static Spec = &Spec {
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
    const FETCH: Fetch = Fetch::Range {
        command: "LRANGE",
        options: &[],
    };
    const VALUES: usize = 1;
    const DISTINCT: bool = false;

    fn lead(element: Element, rows: &mut Rows) {
        rows.long(element.index);
    }

    fn rest(element: Element, _: &mut Replies<'_>, rows: &mut Rows) -> Result<()> {
        rows.long(element.total);
        Ok(())
    }
}
