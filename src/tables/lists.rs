//! `lists`: one row an element, with its index.

use super::collection::{Collection, Element, Fetch};
use super::sends::{MEMORY_USAGE, sends};
use super::{Origin, Spec};
use crate::columns::{Rows, Type, column, key};
use crate::error::Result;

pub struct Lists;

impl Collection for Lists {
    const SPEC: &'static Spec = &Spec {
        name: "lists",
        origin: Origin::Keys {
            key_type: Some("list"),
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
        sends: &[
            MEMORY_USAGE,
            sends("llen", &[]),
            sends("lrange", &["0", "0"]),
        ],
    };
    const LENGTH: &'static str = "LLEN";
    const FETCH: Fetch = Fetch::Range {
        command: "LRANGE",
        second: &[],
    };
    const VALUES: &'static [&'static str] = &["value"];
    const DISTINCT: bool = false;
    /// A list packs small numbers into three bytes each: these are some forty thousand.
    const WHOLE_BYTES: u64 = 128 * 1024;

    fn lead(element: Element, rows: &mut Rows) {
        rows.long(element.index);
    }

    fn rest(element: Element, _: Option<&[u8]>, rows: &mut Rows) -> Result<()> {
        rows.long(element.total);
        Ok(())
    }
}
