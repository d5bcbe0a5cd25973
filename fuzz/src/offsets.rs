//! Offsets and partitions, which come back from wherever a checkpoint was kept.

use lakeflow_redis::offset::{Start, check_snapshot, parse_end, parse_streams, streams};
use lakeflow_redis::options::Databases;
use lakeflow_redis::partition::Partition;
use lakeflow_redis::scan::CursorRange;
use lakeflow_redis::tables::TABLES;
use serde_json::Value;

use super::replies::check_text;

/// What is read of an offset or a partition is written so that it is read again.
pub fn offsets(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    if let Err(error) = check_snapshot(&value, "hashes") {
        check_text(&error);
    }
    for read in [Databases::All, Databases::These(vec![0, 3])] {
        match parse_streams(&value, &read) {
            Ok(Start::Positions(reached)) => {
                let written = streams(&reached);
                assert_eq!(parse_end(&written, &read).ok(), Some(reached));
            }
            Ok(Start::Beginning | Start::After(_)) => {}
            Err(error) => check_text(&error),
        }
        let _ = parse_end(&value, &read);
    }
    for table in TABLES {
        let spec = table.spec();
        match Partition::parse(&value, spec.name, &spec.origin) {
            Ok(partition) => {
                let written = partition.to_json(spec.name);
                let again = Partition::parse(&written, spec.name, &spec.origin);
                assert_eq!(again.ok(), Some(partition.clone()));
                if let Partition::Keys {
                    cursors: Some(range),
                    ..
                } = partition
                {
                    cursors(range);
                }
            }
            Err(error) => check_text(&error),
        }
    }
}

/// A range begins with its first cursor and is over with its last.
fn cursors(range: CursorRange) {
    assert!(range.is_valid());
    assert!(!range.is_over(range.begin()) || range.is_first());
    assert!(range.is_over(0) && range.end().is_none_or(|end| range.is_over(end)));
    assert!(
        range
            .end()
            .is_none_or(|end| CursorRange::in_order(range.begin(), end))
    );
}
