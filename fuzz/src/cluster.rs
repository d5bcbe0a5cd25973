//! What the nodes of a cluster and Sentinels say of each other.

use lakeflow_redis::connection::values;
use lakeflow_redis::options::Address;
use lakeflow_redis::topology::{
    Slots, address_of, check_covered, healthy_replica, parse_own_line, parse_slots, slot_of,
};
use redis::Value;

use super::input::Input;
use super::replies::check_text;

/// The replies to CLUSTER NODES, CLUSTER SLOTS and SENTINEL SLAVES.
pub fn cluster(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(3) {
        0 => nodes(&String::from_utf8_lossy(input.rest())),
        1 => slots(input),
        _ => {
            for value in replies(input) {
                // As a client takes a reply that is a list.
                let replicas: Vec<Value> =
                    redis::FromRedisValue::from_redis_value(value).unwrap_or_default();
                for replica in &replicas {
                    let _ = healthy_replica(replica);
                }
            }
        }
    }
}

fn nodes(text: &str) {
    if let Some(own) = parse_own_line(text) {
        let owned = &own.holding.owned;
        assert_eq!(owned.len() + owned.missing().len(), Slots::all().len());
        assert!(own.holding.within(&Slots::default()).is_empty());
        let _ = (address_of(text, &own.id), own.holding.owned.to_text());
    }
    let _ = address_of(text, text.split(' ').next().unwrap_or_default());
    assert!(Slots::all().contains(slot_of(text.as_bytes())));
}

fn slots(mut input: Input<'_>) {
    let asked = match input.flag() {
        true => Address::Unix("/s".into()),
        false => Address::Tcp {
            host: "seed".to_owned(),
            port: 1,
        },
    };
    for value in replies(input) {
        let Ok(ranges) = redis::FromRedisValue::from_redis_value(value) else {
            continue;
        };
        let ranges: Vec<Vec<Value>> = ranges;
        match parse_slots(&ranges, &asked) {
            Ok(shards) => {
                let mut covered = Slots::default();
                for shard in &shards {
                    covered.extend(&shard.slots);
                }
                assert!(check_covered(&covered).is_ok() == covered.missing().is_empty());
            }
            Err(error) => check_text(&error),
        }
    }
}

/// Replies as they come to whoever asks one-off commands.
fn replies(mut input: Input<'_>) -> Vec<Value> {
    let commands = 1 + input.below(3);
    match values(&mut input.wire(), 0, commands) {
        Ok(values) => values,
        Err(error) => {
            check_text(&error);
            Vec::new()
        }
    }
}
