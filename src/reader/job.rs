//! What is to be read: the tables, the nodes, and of each node its databases.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::datatypes::SchemaRef;
use serde_json::Value;

use super::node::{Task, wants};
use super::{Part, Wanted, appended};
use crate::columns::{Asked, Constant};
use crate::connection::{Cancel, pause};
use crate::error::{Error, Result};
use crate::inspect;
use crate::offset::{self, Reached, Start};
use crate::options::{Databases, Options, ReadOptions};
use crate::plan::{self, Draft, Place};
use crate::receipt::Receipt;
use crate::tables::{self, At, Context, Key, Origin, Piece, Table};
use crate::topology::{self, Found, Holding, Node, Slots, Topology, is_passing, patience};
use crate::visit::{Earlier, Known, Manner, Owed, Work};

/// How often a plan is made anew because the servers changed while it was made …
const PLANS: usize = 10;
/// … and how long to wait in between.
const PLAN_PAUSE: Duration = Duration::from_millis(300);

/// How far a read comes, by table; nowhere in those that have no positions.
type Ends = Vec<Reached>;

/// What is the same for all nodes, and in all passes.
pub struct Job {
    pub topology: Arc<dyn Topology>,
    pub read: ReadOptions,
    /// How long to look for servers that are just changing.
    pub patience: Duration,
    tables: Vec<Target>,
    databases: Databases,
    /// Unix seconds.
    scanned_at: i64,
}

/// A table, and where its rows go.
struct Target {
    table: &'static dyn Table,
    asked: Asked,
    schema: SchemaRef,
    receipt: Arc<Receipt>,
    start: Option<Start>,
}

/// A node with what is to be read of it.
pub struct Crew {
    pub node: Node,
    /// The part of a cluster's keys that is to be read here; None where that is all.
    pub holding: Option<Holding>,
    pub shares: Vec<Share>,
}

/// What is yet to be read, and what was.
#[derive(Default)]
pub struct Progress {
    /// Keys that passes before have read, by database.
    pub earlier: BTreeMap<u32, Earlier>,
    /// The slots that are yet to be read; None where it is all keys.
    pub slots: Option<Slots>,
    /// Keys that some of the tables have had, and others not, by database.
    pub owed: BTreeMap<u32, Owed>,
}

/// What is to be read of one database of a node.
pub struct Share {
    pub db: u32,
    pub work: Work,
    pub tasks: Vec<Task>,
}

impl Job {
    /// Connects and plans: what is to be read of which node, and the offset after each table.
    pub fn begin(
        wanted: &[Wanted<'_>],
        options: &Options,
        cancel: &Cancel,
    ) -> Result<(Job, Vec<Crew>, Vec<Value>)> {
        let read = options.read()?;
        let connect = options.connection()?;
        let databases = options.databases()?;
        let scanned_at = now();
        // What can be said without a server comes first.
        let mut starts = Vec::new();
        for one in wanted {
            let spec = tables::table(one.table)?.spec();
            if starts.iter().any(|(name, _)| *name == spec.name) {
                let text = format!("table {} is asked for twice", spec.name);
                return Err(Error::Configuration(text));
            }
            // Whatever the servers are, unknown columns are none of theirs.
            Asked::of(
                spec.name,
                spec.columns,
                &appended(spec, &databases, true),
                &read,
            )?;
            let start = match spec.origin {
                Origin::Entries => Some(offset::parse_streams(one.start, &databases)?),
                Origin::Keys { .. } | Origin::Server => {
                    offset::check_snapshot(one.start, spec.name)?;
                    None
                }
            };
            starts.push((spec.name, start));
        }
        let Found { topology, nodes } = topology::find(&connect, cancel)?;
        let sharded = topology.is_sharded();
        let mut targets = Vec::new();
        for (name, start) in starts {
            let table = tables::table(name)?;
            let spec = table.spec();
            let appended = appended(spec, &databases, sharded);
            let asked = Asked::of(spec.name, spec.columns, &appended, &read)?;
            targets.push(Target {
                table,
                schema: asked.schema(&read),
                asked,
                receipt: Arc::default(),
                start,
            });
        }
        let job = Job {
            patience: patience(&connect),
            topology,
            read,
            tables: targets,
            databases,
            scanned_at,
        };
        if sharded {
            topology::check_database(&job.databases)?;
        }
        if let Some(left_out) = inspect::left_out(&nodes) {
            job.warn(&left_out);
        }
        let (crews, ends) = job.plan(nodes, cancel)?;
        if let Some(first) = job.tables.first() {
            for warning in job.topology.warnings() {
                first.receipt.warn(&warning);
            }
        }
        let offsets = job.tables.iter().zip(&ends);
        let offsets = offsets.map(|(target, ends)| match target.start {
            Some(_) => offset::streams(ends),
            None => offset::snapshot(scanned_at),
        });
        let offsets = offsets.collect();
        Ok((job, crews, offsets))
    }

    pub fn parts(&self) -> Vec<Part> {
        let parts = self.tables.iter().map(|target| Part {
            table: target.table.spec().name,
            schema: target.schema.clone(),
            receipt: target.receipt.clone(),
        });
        parts.collect()
    }

    /// Whether all rows come from keys that scans name, so that another pass may go on where one
    /// breaks off.
    pub fn only_scans(&self) -> bool {
        let origins = self.tables.iter().map(|target| &target.table.spec().origin);
        origins
            .into_iter()
            .all(|origin| matches!(origin, Origin::Keys { .. }))
    }

    pub fn manner(&self) -> Manner {
        Manner {
            on_denied: self.read.on_denied,
            one_slot: self.topology.is_sharded(),
            resumable: self.topology.changes() && self.only_scans(),
        }
    }

    /// Says something that concerns all tables.
    pub fn warn(&self, message: &str) {
        for target in &self.tables {
            target.receipt.warn(message);
        }
    }

    /// The first pass: with the ranges of streams, which are planned while nothing moves.
    fn plan(&self, mut nodes: Vec<Node>, cancel: &Cancel) -> Result<(Vec<Crew>, Ends)> {
        let mut tried = 1;
        loop {
            let mut crews = Vec::new();
            let count = nodes.len();
            for node in nodes {
                crews.push(self.crew(node, count, &Progress::default())?);
            }
            let mut ends = vec![Reached::default(); self.tables.len()];
            // What a plan counts that comes to nothing is not to be counted.
            let receipts: Vec<Arc<Receipt>> = self.tables.iter().map(|_| Arc::default()).collect();
            self.add_servers(&mut crews);
            if !self.tables.iter().any(|target| target.start.is_some()) {
                return Ok((crews, ends));
            }
            let planned_so_far = self
                .check_closed(&crews)
                .and_then(|()| self.add_streams(&mut crews, &mut ends, &receipts));
            let planned = crews.iter_mut().map(|crew| &mut crew.node).collect();
            let moved = match planned_so_far {
                Ok(()) => match self.topology.moved(planned, cancel) {
                    Ok(None) => {
                        for (target, planned) in self.tables.iter().zip(&receipts) {
                            target.receipt.add(planned);
                        }
                        return Ok((crews, ends));
                    }
                    Ok(Some(moved)) => Error::TopologyChanged(moved.what),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let again = self.topology.changes() && is_passing(&moved);
            if !again || tried == PLANS {
                return Err(moved);
            }
            tried += 1;
            pause(PLAN_PAUSE, cancel)?;
            nodes = self.topology.nodes(cancel)?;
        }
    }

    /// Streams are planned node by node, and one that is just moving would be on none or on two.
    fn check_closed(&self, crews: &[Crew]) -> Result<()> {
        for crew in crews {
            let holding = crew.node.state.holding.as_ref();
            let open = holding.and_then(|holding| holding.leaving.keys().next());
            if let Some(slot) = open {
                return Err(Error::TopologyChanged(format!(
                    "{}: slot {slot} is being moved to another node, or was left so, and streams are \
                     read only while none is; read again when it is done, end it by `redis-cli \
                     --cluster fix`, or leave out the table `streams`",
                    crew.node.name
                )));
            }
        }
        Ok(())
    }

    /// What scans are to name at a node, beside so many nodes in all.
    pub fn crew(&self, mut node: Node, nodes: usize, progress: &Progress) -> Result<Crew> {
        let holding = match (&node.state.holding, &progress.slots) {
            (Some(holding), Some(slots)) => Some(holding.within(slots)),
            (holding, _) => holding.clone(),
        };
        let databases: Vec<u32> = match &self.databases {
            // None of the slots that are left to be read is here, and no key that is owed.
            _ if holding.as_ref().is_some_and(Holding::is_empty)
                && !progress
                    .owed
                    .values()
                    .flatten()
                    .any(|(key, _)| node.owns(key)) =>
            {
                Vec::new()
            }
            Databases::These(numbers) => numbers.clone(),
            Databases::All if node.server.databases.is_empty() => vec![0],
            Databases::All => node.server.databases.keys().copied().collect(),
        };
        let mut shares = Vec::new();
        for db in databases {
            // One that is out of range is an error now, and not when its turn comes.
            let selected = node.connection.select(db);
            selected.map_err(|error| error.at(&node.name))?;
            let earlier = progress.earlier.get(&db).cloned();
            let known = Known::new(holding.clone(), earlier.unwrap_or_default());
            let mut share = self.share(&node, nodes, db, known);
            if let (Some(holding), Some(_)) = (&holding, &progress.slots) {
                share.work.list(holding)?;
            }
            let owed = progress.owed.get(&db).into_iter().flatten();
            share
                .work
                .owe(owed.filter(|(key, _)| node.owns(key)).cloned());
            shares.push(share);
        }
        Ok(Crew {
            node,
            holding,
            shares,
        })
    }

    /// The keys of one database that the tables want.
    pub fn share(&self, node: &Node, nodes: usize, db: u32, known: Known) -> Share {
        let specs = self.tables.iter().map(|one| one.table.spec());
        let wants: Vec<_> = specs.map(wants).collect();
        let work = Work::select(&node.server, self.read.selection.of(db), &wants, known);
        let beside = self.tables.len() * nodes - 1;
        let tasks = self.tables.iter().enumerate().map(|(place, one)| Task {
            table: one.table,
            context: Context {
                scanned_at: self.scanned_at,
                receipt: one.receipt.clone(),
                asked: one.asked.clone(),
                fields: self.read.fields.clone(),
                keys_expire: node.server.keys_expire(db),
                tells_types: work.told_by() == Some(place),
                refused: AtomicU8::new(0),
            },
            constants: match one.table.spec().origin {
                Origin::Server if self.topology.is_sharded() => {
                    vec![Constant::Text(node.name.clone())]
                }
                Origin::Keys { .. } | Origin::Entries if self.databases.may_be_many() => {
                    vec![Constant::Long(db.into())]
                }
                _ => Vec::new(),
            },
            beside,
            held_up: Arc::default(),
        });
        let tasks = tasks.collect();
        Share { db, work, tasks }
    }

    /// Adds each server itself, once, for the tables that are about it.
    fn add_servers(&self, crews: &mut [Crew]) {
        for (place, one) in self.tables.iter().enumerate() {
            if !matches!(one.table.spec().origin, Origin::Server) {
                continue;
            }
            for share in crews.iter_mut().filter_map(|crew| crew.shares.first_mut()) {
                let piece = Piece::new(Key::default(), 0, At::Whole);
                share.work.add([Piece {
                    table: place,
                    ..piece
                }]);
            }
        }
    }

    /// Whether the streams that were read had all entries that were there when they were planned.
    pub fn check_streams(&self, crews: &mut [Crew]) -> Result<()> {
        for crew in crews {
            for share in &mut crew.shares {
                for (place, one) in self.tables.iter().enumerate() {
                    let short = share
                        .work
                        .short
                        .extract_if(.., |(_, visitor)| *visitor == place);
                    let short: Vec<_> = short.map(|(short, _)| short).collect();
                    plan::check_short(&mut crew.node, share.db, &short, &self.read, &one.receipt)
                        .map_err(|error| error.at(&crew.node.name))?;
                }
            }
        }
        Ok(())
    }

    /// Adds the planned ranges of streams, and says where they end.
    fn add_streams(
        &self,
        crews: &mut [Crew],
        ends: &mut Ends,
        receipts: &[Arc<Receipt>],
    ) -> Result<()> {
        for (table, one) in self.tables.iter().enumerate() {
            let Some(start) = &one.start else {
                continue;
            };
            let mut drafts: Vec<Draft> = Vec::new();
            for (node, crew) in crews.iter_mut().enumerate() {
                ends[table].was_at(&crew.node.server.run_id);
                for share in &crew.shares {
                    let place = Place { node, db: share.db };
                    let node = &mut crew.node;
                    let drafted = node.connection.select(share.db).and_then(|()| {
                        plan::draft(node, place, start, &self.read, &receipts[table])
                    });
                    drafts.push(drafted.map_err(|error| error.at(&crew.node.name))?);
                }
            }
            let mut nodes: Vec<&mut Node> = crews.iter_mut().map(|crew| &mut crew.node).collect();
            for plan in plan::plans(drafts, &mut nodes, &self.read)? {
                let Place { node, db } = plan.place;
                ends[table]
                    .databases
                    .entry(db)
                    .or_default()
                    .extend(plan.end);
                let mut shares = crews[node].shares.iter_mut();
                if let Some(share) = shares.find(|share| share.db == db) {
                    let pieces = plan.pieces.into_iter();
                    share.work.add(pieces.map(|piece| Piece { table, ..piece }));
                }
            }
        }
        Ok(())
    }
}

/// Unix seconds.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}
