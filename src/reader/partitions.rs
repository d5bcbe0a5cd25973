//! A read that is divided for a distributed engine, and one of its parts.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::job::{Crew, Job};
use super::{Reader, Wanted, start_reading};
use crate::connection::{Cancel, Connection};
use crate::error::{Error, Result};
use crate::offset::{self, Positions};
use crate::options::Options;
use crate::partition::{NodeThen, Partition};
use crate::plan::{self, EntryRange};
use crate::retry::Retries;
use crate::scan::CursorRange;
use crate::tables::{self, Origin};
use crate::topology::{Node, has_spoken, is_said_to_pass};
use crate::visit::{Earlier, Known};

/// Keys that are asked for to see how a server's cursors go.
const TRIED_KEYS: u64 = 10;

/// The offset after all that is there now, or as much of it as a cap allows; no further than another
/// one, where that is not null.
pub fn latest_offset(
    table: &str,
    start: &Value,
    end: &Value,
    options: &Options,
    cancel: &Cancel,
) -> Result<Value> {
    let spec = tables::table(table)?.spec();
    let retries = Retries::new(options.connection()?.retry_deadline);
    let (mut job, nodes) = Job::connect(&[Wanted { table, start }], options, &retries, cancel)?;
    match spec.origin {
        Origin::Keys { .. } | Origin::Server => offset::check_snapshot(end, spec.name)?,
        Origin::Entries if end.is_null() => {}
        Origin::Entries => job.target = Some(offset::parse_end(end, &job.databases)?),
    }
    let (_, mut ends) = job.plan_offsets(nodes, cancel)?;
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
    let partitions = from_the_start(options, cancel, |retries| {
        divided((table, start, end), options, retries, cancel)
    })?;
    let written = partitions.iter().map(|one| one.to_json(spec.name));
    Ok(written.collect())
}

/// What takes several answers, beginning with a connection; again where one of them does not come.
fn from_the_start<T>(
    options: &Options,
    cancel: &Cancel,
    give: impl Fn(&Retries) -> Result<T>,
) -> Result<T> {
    let retries = Retries::new(options.connection()?.retry_deadline);
    let mut trouble = retries.begin();
    trouble.patiently(cancel, has_spoken, || give(&retries))
}

fn divided(
    (table, start, end): (&str, &Value, &Value),
    options: &Options,
    retries: &Retries,
    cancel: &Cancel,
) -> Result<Vec<Partition>> {
    let wanted = [Wanted { table, start }];
    let spec = tables::table(table)?.spec();
    Ok(match spec.origin {
        Origin::Entries => {
            let (job, nodes, end) = match end {
                Value::Null => {
                    let (job, crews, mut ends) = Job::begin(&wanted, options, retries, cancel)?;
                    let nodes = crews.into_iter().map(|crew| crew.node).collect();
                    (job, nodes, ends.pop().unwrap_or_default())
                }
                given => {
                    offset::parse_streams(given, &options.databases()?)?;
                    let (job, nodes) = Job::connect(&wanted, options, retries, cancel)?;
                    (job, nodes, given.clone())
                }
            };
            of_streams(&job, nodes, &end)?
        }
        Origin::Keys { .. } => {
            offset::check_snapshot(end, spec.name)?;
            let (job, nodes) = Job::connect(&wanted, options, retries, cancel)?;
            Job::check_closed(&nodes)?;
            of_keys(&job, nodes)?
        }
        Origin::Server => {
            offset::check_snapshot(end, spec.name)?;
            let (job, nodes) = Job::connect(&wanted, options, retries, cancel)?;
            let servers = nodes.iter().map(|node| Partition::Server {
                node: NodeThen::of(node),
                scanned_at: job.scanned_at,
            });
            servers.collect()
        }
    })
}

/// What came to streams between two offsets, by the node where they are.
fn of_streams(job: &Job, nodes: Vec<Node>, end: &Value) -> Result<Vec<Partition>> {
    let end = offset::parse_end(end, &job.databases)?;
    if end.databases.is_empty() {
        // As Spark asks before there is anything.
        return Ok(Vec::new());
    }
    let start = job.start();
    let bound = plan::bound(&job.read, start);
    let mut databases: BTreeSet<u32> = end.databases.keys().copied().collect();
    databases.extend(start.databases());
    let none = Positions::new();
    let mut partitions = Vec::new();
    for mut node in nodes {
        let known = start.knows(&node.server.run_id);
        for db in &databases {
            let read = start.positions(*db).unwrap_or(&none);
            let reached = end.databases.get(db).unwrap_or(&none);
            // One that the end does not know was gone when that was planned.
            let keys: BTreeSet<&Vec<u8>> = read.keys().chain(reached.keys()).collect();
            let here = keys.into_iter().filter(|key| node.owns(key));
            let ranges = here.filter_map(|key| {
                let (read, end) = (read.get(key).copied(), reached.get(key).copied());
                EntryRange::between(key, read, end, bound, known)
            });
            let ranges = ranges.collect();
            let parts = plan::divide(&mut node, *db, ranges, &job.read);
            let parts = parts.map_err(|error| error.at(&node.name))?.into_iter();
            partitions.extend(parts.map(|ranges| Partition::Entries { db: *db, ranges }));
        }
    }
    Ok(partitions)
}

/// The keys of each database of each node, divided by the order of SCAN's cursors.
fn of_keys(job: &Job, nodes: Vec<Node>) -> Result<Vec<Partition>> {
    let mut partitions = Vec::new();
    for mut node in nodes {
        for db in job.databases_of(&node) {
            let ranges = cursor_ranges(job, &mut node, db).map_err(|error| error.at(&node.name))?;
            let of_range = |cursors| Partition::Keys {
                node: NodeThen::of(&node),
                db,
                cursors,
                scanned_at: job.scanned_at,
            };
            match ranges.is_empty() {
                true => partitions.push(of_range(None)),
                false => partitions.extend(ranges.into_iter().map(Some).map(of_range)),
            }
        }
    }
    Ok(partitions)
}

/// How to divide a node's database, where that is wanted, and can be done.
fn cursor_ranges(job: &Job, node: &mut Node, db: u32) -> Result<Vec<CursorRange>> {
    node.connection.select(db)?;
    // The nodes of a cluster are parts already, and newer ones have a table a slot.
    if job.topology.is_sharded() {
        return Ok(Vec::new());
    }
    let keys = node.server.databases.get(&db);
    let ranges = CursorRange::divide(keys.map_or(0, |known| known.keys), job.read.partitions);
    if ranges.is_empty() || !has_transactions(&mut node.connection)? {
        return Ok(Vec::new());
    }
    let mut named: HashSet<Vec<u8>> = HashSet::new();
    for range in &ranges {
        let mut command = redis::cmd("SCAN");
        command.arg(range.begin()).arg("COUNT").arg(TRIED_KEYS);
        let (next, keys): (u64, HashSet<Vec<u8>>) = node.connection.query(&command)?;
        let strange = !range.goes_on(next) || !CursorRange::in_order(range.begin(), next);
        if strange || !named.is_disjoint(&keys) {
            return Ok(Vec::new());
        }
        named.extend(keys);
    }
    Ok(ranges)
}

/// Whether the user may send what cuts a page at the end of a range.
fn has_transactions(connection: &mut Connection) -> Result<bool> {
    let mut allowed = true;
    for command in ["MULTI", "EXEC"] {
        let answer: Result<redis::Value> = connection.query(&redis::cmd(command));
        match answer {
            Err(error) if error.is_refusal() && !is_said_to_pass(&error) => allowed = false,
            answer => drop(answer?),
        }
    }
    if !allowed {
        // Where only one of them is refused.
        let answer: Result<redis::Value> = connection.query(&redis::cmd("DISCARD"));
        answer.map(drop).or_else(|error| match error.is_refusal() {
            true => Ok(()),
            false => Err(error),
        })?;
    }
    Ok(allowed)
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
    if let Some(db) = partition.db()
        && !options.databases()?.includes(db)
    {
        return Err(Error::configuration(format!(
            "the partition is of database {db}, which the options do not read"
        )));
    }
    let (job, crews) = from_the_start(options, cancel, |retries| {
        begin(table, &partition, options, retries, cancel)
    })?;
    job.tell_warnings();
    start_reading(job, crews)
}

fn begin(
    table: &str,
    partition: &Partition,
    options: &Options,
    retries: &Retries,
    cancel: &Cancel,
) -> Result<(Job, Vec<Crew>)> {
    let start = &Value::Null;
    let (mut job, nodes) = Job::connect(&[Wanted { table, start }], options, retries, cancel)?;
    let crews = match partition {
        Partition::Server { node, scanned_at } => {
            job.scanned_at = *scanned_at;
            let mut crews = vec![job.crew_of(find(nodes, node)?, 0)?];
            job.add_servers(&mut crews);
            crews
        }
        Partition::Keys {
            node,
            db,
            cursors,
            scanned_at,
        } => {
            job.is_part = true;
            job.scanned_at = *scanned_at;
            let found = find(nodes, node)?;
            node.check(&found, cursors.is_some())?;
            Job::check_closed([&found])?;
            let mut crew = job.crew_of(found, *db)?;
            for (share, range) in crew.shares.iter_mut().zip(cursors) {
                share.work.narrow(*range);
            }
            vec![crew]
        }
        Partition::Entries { db, ranges } => {
            job.is_part = true;
            job.crews_of_ranges(nodes, *db, ranges)?
        }
    };
    Ok((job, crews))
}

fn find(nodes: Vec<Node>, then: &NodeThen) -> Result<Node> {
    let node = nodes.into_iter().find(|node| then.is(node));
    node.ok_or_else(|| {
        Error::TopologyChanged(
            "a node that the read was divided by is not there any more; divide it again, which in \
             Spark is to load the table again"
                .to_owned(),
        )
    })
}

impl Job {
    /// A node with one of its databases.
    fn crew_of(&self, mut node: Node, db: u32) -> Result<Crew> {
        let holding = node.state.holding.clone();
        let known = Known::new(holding.clone(), Earlier::default());
        let selected = node.connection.select(db);
        selected.map_err(|error| error.at(&node.name))?;
        let shares = vec![self.share(&node, 1, db, known)];
        Ok(Crew {
            node,
            holding,
            shares,
        })
    }

    /// The nodes where streams are of which ranges are to be read.
    fn crews_of_ranges(
        &self,
        nodes: Vec<Node>,
        db: u32,
        ranges: &[EntryRange],
    ) -> Result<Vec<Crew>> {
        Job::check_closed(&nodes)?;
        let mut crews = Vec::new();
        for node in nodes {
            let here = ranges.iter().filter(|range| node.owns(&range.key));
            let here: Vec<&EntryRange> = here.collect();
            if here.is_empty() {
                continue;
            }
            let mut crew = self.crew_of(node, db)?;
            for (share, target) in crew.shares.iter_mut().zip(&self.tables) {
                let receipt = &target.receipt;
                let pieces = plan::pieces(&mut crew.node, db, &here, &self.read, receipt);
                let pieces = pieces.map_err(|error| error.at(&crew.node.name))?;
                share.work.add(pieces);
            }
            crews.push(crew);
        }
        Ok(crews)
    }
}
