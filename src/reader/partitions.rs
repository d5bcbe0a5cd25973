//! A read that is divided for a distributed engine, and one of its parts.

use std::collections::HashSet;

use serde_json::Value;

use super::job::{Crew, Job};
use super::{Reader, Wanted, start_reading};
use crate::connection::Cancel;
use crate::error::{Error, Result};
use crate::offset::{self, Start};
use crate::options::Options;
use crate::partition::Partition;
use crate::plan::{self, Stretch};
use crate::scan::Share;
use crate::tables::{self, Origin};
use crate::topology::{Node, slot_of};
use crate::visit::{Earlier, Known};

/// Keys that are asked for to see how a server's cursors go.
const TRIED_KEYS: u64 = 10;

/// The offset after all that is there now, or as much of it as a cap allows.
pub fn latest_offset(
    table: &str,
    start: &Value,
    options: &Options,
    cancel: &Cancel,
) -> Result<Value> {
    let (_, _, mut ends) = Job::begin(&[Wanted { table, start }], options, cancel)?;
    Ok(ends.pop().unwrap_or_default())
}

/// The parts of a read between two offsets; up to now where the end is null.
pub fn partitions(
    table: &str,
    start: &Value,
    end: &Value,
    options: &Options,
    cancel: &Cancel,
) -> Result<Vec<Value>> {
    let spec = tables::table(table)?.spec();
    let wanted = [Wanted { table, start }];
    let partitions = match spec.origin {
        Origin::Entries => {
            let (job, nodes, end) = match end {
                Value::Null => {
                    let (job, crews, mut ends) = Job::begin(&wanted, options, cancel)?;
                    let nodes = crews.into_iter().map(|crew| crew.node).collect();
                    (job, nodes, ends.pop().unwrap_or_default())
                }
                given => {
                    offset::parse_streams(given, &options.databases()?)?;
                    let (job, nodes) = Job::connect(&wanted, options, cancel)?;
                    (job, nodes, given.clone())
                }
            };
            of_streams(&job, nodes, spec.name, &end)?
        }
        Origin::Keys { .. } => {
            offset::check_snapshot(end, spec.name)?;
            let (job, nodes) = Job::connect(&wanted, options, cancel)?;
            Job::check_closed(&nodes)?;
            of_keys(&job, nodes, spec.name)?
        }
        Origin::Server => {
            offset::check_snapshot(end, spec.name)?;
            let (_, nodes) = Job::connect(&wanted, options, cancel)?;
            let servers = nodes.iter();
            servers
                .map(|node| Partition::of_server(spec.name, node))
                .collect()
        }
    };
    Ok(partitions.iter().map(Partition::to_json).collect())
}

/// What came to streams between two offsets, by the node where they are.
fn of_streams(job: &Job, nodes: Vec<Node>, table: &str, end: &Value) -> Result<Vec<Partition>> {
    let reached = match offset::parse_streams(end, &job.databases)? {
        Start::Positions(reached) => reached,
        // As Spark asks before there is anything.
        Start::Beginning => return Ok(Vec::new()),
        Start::After(_) => {
            return Err(Error::Configuration(
                "an end of streams is an offset that a read or latest_offset returned; \
                 `{\"entry_id\": …}` is for starts"
                    .to_owned(),
            ));
        }
    };
    let start = job.start();
    let bound = plan::bound(&job.read, start);
    let mut partitions = Vec::new();
    for mut node in nodes {
        for (db, positions) in &reached.databases {
            let read = start.positions(*db);
            let here = positions.iter().filter(|(key, _)| node.owns(key));
            let stretches = here.filter_map(|(key, end)| {
                let read = read.and_then(|read| read.get(key)).copied();
                Stretch::between(key, read, *end, bound)
            });
            let stretches = stretches.collect();
            let parts = plan::divide(&mut node, *db, stretches, &job.read);
            let parts = parts.map_err(|error| error.at(&node.name))?;
            let parts = parts.into_iter();
            partitions.extend(parts.map(|ranges| Partition::of_ranges(table, *db, ranges)));
        }
    }
    Ok(partitions)
}

/// The keys of each database of each node, divided by the order of SCAN's cursors.
fn of_keys(job: &Job, nodes: Vec<Node>, table: &str) -> Result<Vec<Partition>> {
    let mut partitions = Vec::new();
    for mut node in nodes {
        for db in job.databases_of(&node) {
            let shares = shares(job, &mut node, db).map_err(|error| error.at(&node.name))?;
            match shares.is_empty() {
                true => partitions.push(Partition::of_keys(table, &node, db, None)),
                false => {
                    let of_share = |share| Partition::of_keys(table, &node, db, Some(share));
                    partitions.extend(shares.into_iter().map(of_share));
                }
            }
        }
    }
    Ok(partitions)
}

/// The shares of a node's database, where it is to be divided and its cursors are known to allow it.
fn shares(job: &Job, node: &mut Node, db: u32) -> Result<Vec<Share>> {
    node.connection.select(db)?;
    // The nodes of a cluster are shares already, and newer ones have a table a slot.
    if job.topology.is_sharded() {
        return Ok(Vec::new());
    }
    let keys = node.server.databases.get(&db);
    let shares = Share::divide(keys.map_or(0, |known| known.keys), job.read.partitions);
    let mut named: HashSet<Vec<u8>> = HashSet::new();
    for share in &shares {
        let mut command = redis::cmd("SCAN");
        command.arg(share.begin()).arg("COUNT").arg(TRIED_KEYS);
        let (next, keys): (u64, HashSet<Vec<u8>>) = node.connection.query(&command)?;
        let strange = !share.goes_on(next) || !Share::in_order(share.begin(), next);
        if strange || !named.is_disjoint(&keys) {
            return Ok(Vec::new());
        }
        named.extend(keys);
    }
    Ok(shares)
}

/// Reads one of the parts.
pub fn read_partition(
    table: &str,
    partition: &Value,
    options: &Options,
    cancel: &Cancel,
) -> Result<Reader> {
    let spec = tables::table(table)?.spec();
    let partition = Partition::parse(partition, spec.name, &spec.origin)?;
    if let Some(db) = partition.db
        && !options.databases()?.includes(db)
    {
        return Err(Error::Configuration(format!(
            "the partition is of database {db}, which the options do not read"
        )));
    }
    let start = &Value::Null;
    let (mut job, nodes) = Job::connect(&[Wanted { table, start }], options, cancel)?;
    job.whole = false;
    // That of a server itself is any.
    let db = partition.db.unwrap_or_default();
    let mut crews = match (&partition.ranges, &partition.node) {
        (Some(ranges), _) => job.crews_of_ranges(nodes, db, ranges)?,
        (None, Some(then)) => {
            let node = nodes.into_iter().find(|node| then.is(node));
            let node = node.ok_or_else(|| {
                Error::TopologyChanged(
                    "a node that the read was divided by is not there any more; divide it again"
                        .to_owned(),
                )
            })?;
            then.check(&node, partition.share)?;
            Job::check_closed(std::slice::from_ref(&node))?;
            vec![job.crew_of(node, db, partition.share)?]
        }
        (None, None) => Vec::new(),
    };
    job.add_servers(&mut crews);
    job.tell_warnings();
    start_reading(job, crews)
}

impl Job {
    /// A node, with a part of one of its databases.
    fn crew_of(&self, mut node: Node, db: u32, share: Option<Share>) -> Result<Crew> {
        let holding = node.state.holding.clone();
        let known = Known::new(holding.clone(), Earlier::default());
        let selected = node.connection.select(db);
        selected.map_err(|error| error.at(&node.name))?;
        let mut of_db = self.share(&node, 1, db, known);
        if let Some(share) = share {
            of_db.work.narrow(share);
        }
        Ok(Crew {
            node,
            holding,
            shares: vec![of_db],
        })
    }

    /// The nodes where streams are of which ranges are to be read.
    fn crews_of_ranges(&self, nodes: Vec<Node>, db: u32, ranges: &[Stretch]) -> Result<Vec<Crew>> {
        Job::check_closed(&nodes)?;
        let mut crews = Vec::new();
        for node in nodes {
            let here = |range: &&Stretch| {
                let holding = node.state.holding.as_ref();
                holding.is_none_or(|holding| holding.owned.contains(slot_of(&range.key)))
            };
            let here: Vec<&Stretch> = ranges.iter().filter(here).collect();
            if here.is_empty() {
                continue;
            }
            let mut crew = self.crew_of(node, db, None)?;
            for share in &mut crew.shares {
                let receipt = &self.tables[0].receipt;
                let pieces = plan::pieces(&mut crew.node, db, &here, &self.read, receipt);
                let pieces = pieces.map_err(|error| error.at(&crew.node.name))?;
                share.work.add(pieces);
            }
            crews.push(crew);
        }
        Ok(crews)
    }
}
