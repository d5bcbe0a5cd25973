//! Offsets come back as they went, whatever the keys are called.

use std::collections::{BTreeMap, BTreeSet};

use lakeflow_redis::offset::{
    EntryId, Position, Positions, Reached, Start, key_to_text, parse_end, parse_streams, streams,
    text_to_key,
};
use lakeflow_redis::options::Databases;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::{ids, numbers};

fn positions() -> impl Strategy<Value = Positions> {
    let added = || option::of(numbers());
    let after = prop_oneof![Just(EntryId::MIN), ids()];
    let fields = (
        ids(),
        added(),
        added(),
        after,
        any::<bool>(),
        option::of(ids()),
    );
    let position = fields.prop_map(|(id, added, since, after, anew, first)| Position {
        added,
        after,
        anew,
        first,
        id,
        since,
    });
    btree_map(keys(), position, 0..4)
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..6),
        "(base64:)?[a-zA-Z=\\PC]{0,4}".prop_map(String::into_bytes),
    ]
}

fn reached() -> impl Strategy<Value = Reached> {
    let databases = btree_map(0..3u32, positions(), 0..3);
    let servers = btree_set("[0-9a-f]{8}", 0..3);
    (databases, servers).prop_map(|(databases, servers)| Reached { databases, servers })
}

fn again(reached: &Reached) -> Reached {
    let text = streams(reached).to_string();
    let value = serde_json::from_str(&text).unwrap();
    match parse_streams(&value, &Databases::All).unwrap() {
        Start::Positions(again) => again,
        other => panic!("{text} is {other:?}"),
    }
}

proptest! {
    #[test]
    fn offsets_survive_json(reached in reached()) {
        prop_assert_eq!(&again(&reached), &reached);
        prop_assert_eq!(&parse_end(&streams(&reached), &Databases::All).unwrap(), &reached);
    }

    /// Spark compares the text.
    #[test]
    fn offsets_are_the_same_where_their_text_is(one in reached(), other in reached()) {
        let text = |reached: &Reached| streams(reached).to_string();
        prop_assert_eq!(text(&one) == text(&other), one == other);
        let written_again = text(&again(&one));
        prop_assert_eq!(written_again, text(&one));
    }

    #[test]
    fn keys_survive_and_differ(one in keys(), other in keys()) {
        prop_assert_eq!(text_to_key(&key_to_text(&one)), Some(one.clone()));
        prop_assert_eq!(key_to_text(&one) == key_to_text(&other), one == other);
    }

    #[test]
    fn an_end_that_brings_nothing_is_the_start(start in reached(), end in reached(), same in any::<bool>()) {
        let end = match same {
            true => Reached { databases: start.databases.clone(), ..end },
            false => end,
        };
        let begin = Start::Positions(start.clone());
        let reached = begin.unless_changed(&end);
        // What was read is kept in any case, and it is the very same offset where nothing was.
        prop_assert_eq!(&reached.databases, &end.databases);
        prop_assert_eq!(reached == start, start.databases == end.databases);
        prop_assert_eq!(&begin.unless_changed(&reached), &reached);
        prop_assert_eq!(&Start::Positions(reached.clone()).unless_changed(&end).databases, &end.databases);
        for start in [Start::Beginning, Start::After(EntryId::MIN)] {
            prop_assert_eq!(&start.unless_changed(&end), &end);
        }
    }

    #[test]
    fn processes_are_known_again(reached in reached(), run_id in "[0-9a-f]{40}", other in "[0-9a-f]{40}") {
        let mut at = reached.clone();
        at.was_at(&run_id);
        let start = Start::Positions(again(&at));
        prop_assert_eq!(start.knows(&run_id), Some(true));
        let knows = run_id[..8] == other[..8] || reached.servers.contains(&other[..8]);
        prop_assert_eq!(start.knows(&other), Some(knows));
    }

    #[test]
    fn an_offset_of_other_databases_is_refused(reached in reached(), read in btree_set(0..3u32, 1..3)) {
        let fits = reached.databases.keys().all(|db| read.contains(db));
        let read = Databases::These(read.into_iter().collect());
        prop_assert_eq!(parse_streams(&streams(&reached), &read).is_ok(), fits);
    }
}

#[test]
fn the_empty_offset_is_one() {
    let nothing = Reached {
        databases: BTreeMap::new(),
        servers: BTreeSet::new(),
    };
    assert_eq!(again(&nothing), nothing);
}
