//! What holds of any value, tried with many.

mod commands;
mod globs;
mod ids;
mod offsets;
mod paging;
mod parts;
mod slots;

use lakeflow_redis::offset::EntryId;
use proptest::prelude::*;

/// Numbers of 64 bits, among them those where something carries over.
fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![0..4u64, u64::MAX - 3..=u64::MAX, any::<u64>()]
}

fn ids() -> impl Strategy<Value = EntryId> {
    (numbers(), numbers()).prop_map(|(ms, seq)| EntryId { ms, seq })
}
