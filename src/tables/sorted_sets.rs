//! `sorted_sets`: one row a member, in the order of its score.

use super::{At, Context, Key, Origin, Outcome, Piece, Size, Spec, Table, paging, ttl_seconds};
use crate::columns::{Rows, Type, column, key};
use crate::error::{Error, Result, show};
use crate::resp::{Commands, Replies};

pub struct SortedSets;

static SPEC: Spec = Spec {
    name: "sorted_sets",
    origin: Origin::Keys {
        key_type: Some("zset"),
        size: Some(Size::Elements("ZCARD")),
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
};

impl Table for SortedSets {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn first(&self, key: Key, size: u64, _: &Context) -> Option<Piece> {
        paging::first(key, size, At::Index(0))
    }

    fn fetch(&self, piece: &Piece, to: &mut Commands) {
        to.push(&[b"TTL", &piece.key]);
        paging::fetch_range(piece, b"ZRANGE", &[b"WITHSCORES"], to);
    }

    fn append(
        &self,
        piece: Piece,
        replies: &mut Replies<'_>,
        rows: &mut Rows,
        context: &Context,
    ) -> Result<Outcome> {
        let ttl = ttl_seconds(replies)?;
        paging::append_members(piece, replies, rows, 2, |page, rank, replies, rows| {
            rows.double(score(replies.bytes()?)?)
                .long(rank as i64)
                .long(page.total as i64)
                .long(ttl)
                .long(context.scanned_at)
                .end_row()
        })
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
