//! `hashes`: one row a field.

use super::collection::{Collection, Element, Fetch};
use super::sends::{MEMORY_USAGE, Without, sends};
use super::{Context, Key, Origin, Spec};
use crate::columns::{Rows, Type, column, key};
use crate::error::Result;

pub struct Hashes;

impl Collection for Hashes {
    const SPEC: &'static Spec = &Spec {
        name: "hashes",
        origin: Origin::Keys {
            key_type: Some("hash"),
        },
        columns: &[
            key("key_name", Type::Bytes),
            key("field", Type::Bytes),
            column("value", Type::Bytes),
            column("ttl_seconds", Type::Long),
            column("scanned_at", Type::Long),
        ],
        cursor_field: None,
        sends: &[
            MEMORY_USAGE,
            sends("hlen", &[]),
            sends("hgetall", &[]),
            sends("hkeys", &[]).or(Without::But(
                "Without HKEYS, `columns` of `hashes` must name `value` where it names `field`.",
            )),
            sends("hmget", &["field"])
                .or(Without::But("Without HMGET, option `fields` is an error.")),
            sends("hscan", &["0"]),
        ],
    };
    const LENGTH: &'static str = "HLEN";
    const FETCH: Fetch = Fetch::Scan {
        whole: "HGETALL",
        lean: "HKEYS",
        page: "HSCAN",
    };
    const VALUES: &'static [&'static str] = &["field", "value"];

    fn picked(context: &Context) -> Option<(&'static str, &[Key])> {
        context.fields.as_deref().map(|fields| ("HMGET", fields))
    }

    fn rest(_: Element, second: Option<&[u8]>, rows: &mut Rows) -> Result<()> {
        rows.bytes(second.unwrap_or_default());
        Ok(())
    }
}
