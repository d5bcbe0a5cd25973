//! `sorted_sets`: one row a member, in the order of its score.

use super::collection::{Collection, Element, Fetch};
use super::sends::{MEMORY_USAGE, sends};
use super::{Origin, Spec};
use crate::columns::{Rows, Type, column, key};
use crate::error::{Error, Result, show};

pub struct SortedSets;

impl Collection for SortedSets {
    const SPEC: &'static Spec = &Spec {
        name: "sorted_sets",
        origin: Origin::Keys {
            key_type: Some("zset"),
        },
        columns: &[
            key("key_name", Type::Bytes),
            key("member", Type::Bytes),
            column("score", Type::Double),
            column("rank", Type::Long),
            column("zset_cardinality", Type::Long),
            column("ttl_seconds", Type::Long),
            column("scanned_at", Type::Long),
        ],
        cursor_field: None,
        sends: &[
            MEMORY_USAGE,
            sends("zcard", &[]),
            sends("zrange", &["0", "0"]),
        ],
    };
    const LENGTH: &'static str = "ZCARD";
    const FETCH: Fetch = Fetch::Range {
        command: "ZRANGE",
        second: &["WITHSCORES"],
    };
    const VALUES: &'static [&'static str] = &["member", "score"];

    fn rest(element: Element, second: Option<&[u8]>, rows: &mut Rows) -> Result<()> {
        rows.double(second.map_or(Ok(f64::NAN), score)?)
            .long(element.index)
            .long(element.total);
        Ok(())
    }
}

/// A score as Redis writes it: a decimal number, `inf`, `-inf` or (corrupt, but seen) `nan`.
fn score(text: &[u8]) -> Result<f64> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::Protocol(format!("{} is no score", show(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_all_kinds() {
        assert_eq!(score(b"inf").unwrap(), f64::INFINITY);
        assert_eq!(score(b"-inf").unwrap(), f64::NEG_INFINITY);
        assert!(score(b"nan").unwrap().is_nan());
        assert_eq!(score(b"4.9406564584124654e-324").unwrap(), 5e-324);
        assert!(score(b"-0").unwrap().is_sign_negative());
        assert!(score(b"x").is_err());
    }
}
