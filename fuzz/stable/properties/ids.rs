//! Ids are ordered, written and read as the numbers that they are.

use lakeflow_redis::offset::EntryId;
use proptest::prelude::*;

use super::{ids, numbers};

proptest! {
    #[test]
    fn ids_are_in_the_order_of_their_numbers(one in ids(), other in ids()) {
        prop_assert_eq!(one.cmp(&other), (one.ms, one.seq).cmp(&(other.ms, other.seq)));
        prop_assert_eq!(one.cmp(&other), one.number().cmp(&other.number()));
        prop_assert_eq!(EntryId::from_number(one.number()), one);
    }

    #[test]
    fn neighbours_are_next_to_each_other(id in ids(), ms in numbers()) {
        prop_assert_eq!(id.next().map(EntryId::number), id.number().checked_add(1));
        prop_assert_eq!(id.previous().number(), id.number().saturating_sub(1));
        let first = EntryId { ms, seq: 0 };
        prop_assert_eq!(EntryId::before(ms), first.previous());
    }

    #[test]
    fn what_is_written_is_read_again(id in ids()) {
        prop_assert_eq!(EntryId::parse(id.to_string().as_bytes()), Some(id));
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(serde_json::from_str::<EntryId>(&json).unwrap(), id);
        let short = (id.seq == 0).then(|| id.ms.to_string());
        prop_assert!(short.is_none_or(|short| EntryId::parse(short.as_bytes()) == Some(id)));
    }

    #[test]
    fn only_numbers_are_ids(text in "[-+0-9 a]{0,6}|[0-9]{18,21}(-[0-9]{0,21})?") {
        let number = |text: &str| match text.starts_with('+') {
            true => None,
            false => text.parse().ok(),
        };
        let expected = match text.split_once('-') {
            Some((ms, seq)) => number(ms).zip(number(seq)),
            None => number(&text).map(|ms| (ms, 0)),
        };
        let expected = expected.map(|(ms, seq)| EntryId { ms, seq });
        prop_assert_eq!(EntryId::parse(text.as_bytes()), expected);
    }
}
