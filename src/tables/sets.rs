//! `sets`: one row a member.

use super::collection::{Collection, Element, Fetch};
use super::sends::{MEMORY_USAGE, sends};
use super::{Origin, Spec};
use crate::columns::{Rows, Type, column, key};
use crate::error::Result;

pub struct Sets;

impl Collection for Sets {
    const SPEC: &'static Spec = &Spec {
        name: "sets",
        origin: Origin::Keys {
            key_type: Some("set"),
        },
        columns: &[
            key("key_name", Type::Bytes),
            key("member", Type::Bytes),
            column("set_cardinality", Type::Long),
            column("ttl_seconds", Type::Long),
            column("scanned_at", Type::Long),
        ],
        cursor_field: None,
        sends: &[
            MEMORY_USAGE,
            sends("scard", &[]),
            sends("smembers", &[]),
            sends("sscan", &["0"]),
        ],
    };
    const LENGTH: &'static str = "SCARD";
    const FETCH: Fetch = Fetch::Scan {
        whole: "SMEMBERS",
        lean: "SMEMBERS",
        page: "SSCAN",
    };
    const VALUES: &'static [&'static str] = &["member"];

    fn rest(element: Element, _: Option<&[u8]>, rows: &mut Rows) -> Result<()> {
        rows.long(element.total);
        Ok(())
    }
}
