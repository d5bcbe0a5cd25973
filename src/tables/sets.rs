//! `sets`: one row a member.

use super::collection::{Collection, Element, Fetch};
use super::{Origin, Size, Spec};
use crate::columns::{Rows, Type, column, key};
use crate::error::Result;
use crate::resp::Replies;

pub struct Sets;

impl Collection for Sets {
    const SPEC: &'static Spec = &Spec {
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
    const FETCH: Fetch = Fetch::Scan {
        whole: "SMEMBERS",
        page: "SSCAN",
    };
    const VALUES: usize = 1;

    fn rest(element: Element, _: &mut Replies<'_>, rows: &mut Rows) -> Result<()> {
        rows.long(element.total);
        Ok(())
    }
}
