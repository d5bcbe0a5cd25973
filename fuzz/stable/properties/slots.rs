//! Sets of slots are sets.

use std::collections::BTreeSet;

use lakeflow_redis::topology::{SLOTS, Slots, parse_own_line};
use proptest::collection::vec;
use proptest::prelude::*;

/// Some ranges, as a server gives them and as it should not: empty ones, and slots that are none.
fn ranges() -> impl Strategy<Value = Vec<(u16, u16)>> {
    let near = |slot: u16| {
        (
            Just(slot),
            slot.saturating_sub(3)..=slot.saturating_add(200),
        )
    };
    vec((0..SLOTS + 100).prop_flat_map(near), 0..8)
}

fn both_of(ranges: &[(u16, u16)]) -> (Slots, BTreeSet<u16>) {
    let mut slots = Slots::default();
    let mut model = BTreeSet::new();
    for (first, last) in ranges {
        slots.insert(*first..=*last);
        model.extend((*first..=*last).filter(|slot| *slot < SLOTS));
    }
    (slots, model)
}

fn listed(slots: &Slots) -> BTreeSet<u16> {
    slots.iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn they_hold_what_was_put_in(ranges in ranges(), probe in 0..u16::MAX) {
        let (slots, model) = both_of(&ranges);
        prop_assert_eq!(&listed(&slots), &model);
        prop_assert_eq!(slots.len() as usize, model.len());
        prop_assert_eq!(slots.is_empty(), model.is_empty());
        prop_assert_eq!(slots.contains(probe), model.contains(&probe));
        let missing: BTreeSet<u16> = (0..SLOTS).filter(|slot| !model.contains(slot)).collect();
        prop_assert_eq!(&listed(&slots.missing()), &missing);
    }

    #[test]
    fn two_of_them_are_put_together_as_sets_are(one in ranges(), other in ranges()) {
        let ((one, a), (other, b)) = (both_of(&one), both_of(&other));
        prop_assert_eq!(listed(&one.both(&other)), &a & &b);
        prop_assert_eq!(listed(&one.difference(&other)), &a ^ &b);
        let mut all = one.clone();
        all.extend(&other);
        prop_assert_eq!(listed(&all), &a | &b);
        prop_assert_eq!(one == other, a == b);
    }

    #[test]
    fn a_node_says_them_as_they_are_written(ranges in ranges()) {
        let (slots, _) = both_of(&ranges);
        let written = slots.to_text().replace(',', " ");
        let line = format!("aa h:1@2 myself,master - 0 0 7 connected {written}");
        prop_assert_eq!(parse_own_line(&line).unwrap().holding.owned, slots);
    }
}
