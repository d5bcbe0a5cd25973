//! What is to be read: the tables, the nodes, and of each node its databases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::datatypes::SchemaRef;
use serde_json::Value;

use super::node::{Task, wants};
use super::{Part, Wanted, appended};
use crate::columns::{Asked, Constant};
use crate::connection::Cancel;
use crate::error::{Error, Result};
use crate::inspect;
use crate::offset::{self, Reached, Start};
use crate::options::{Databases, Options, ReadOptions};
use crate::receipt::Receipt;
use crate::retry::Retries;
use crate::scanned::Scanned;
use crate::tables::{self, At, Context, Key, Origin, Piece, Table};
use crate::topology::{self, Found, Holding, Node, Slots, Topology, is_passing};
use crate::visit::{Earlier, Known, Manner, Owed, Work};

/// What is the same for all nodes, and in all passes.
pub struct Job {
    pub topology: Arc<dyn Topology>,
    pub read: ReadOptions,
    pub retries: Retries,
    pub(super) tables: Vec<Target>,
    /// Beyond which no stream is read, where it is fixed.
    pub target: Option<Reached>,
    /// Whether others read the rest of what it is a part of.
    pub is_part: bool,
    pub databases: Databases,
    /// Unix seconds.
    pub scanned_at: i64,
}

/// A table, and where its rows go.
pub(super) struct Target {
    table: &'static dyn Table,
    asked: Asked,
    schema: SchemaRef,
    pub receipt: Arc<Receipt>,
    pub start: Option<Start>,
}

/// A node with what is to be read of it.
pub struct Crew {
    pub node: Node,
    /// The part of a cluster's keys that is to be read here; None where that is all.
    pub holding: Option<Holding>,
    pub shares: Vec<Share>,
}

impl Crew {
    /// The slots that were being moved when the node was found.
    pub fn open(&self) -> Slots {
        self.holding.as_ref().map(Holding::open).unwrap_or_default()
    }
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
        retries: &Retries,
        cancel: &Cancel,
    ) -> Result<(Job, Vec<Crew>, Vec<Value>)> {
        let (job, nodes) = Job::connect(wanted, options, retries, cancel)?;
        let (crews, offsets) = job.plan_offsets(nodes, cancel)?;
        Ok((job, crews, offsets))
    }

    /// Plans: what is to be read of which node, and the offset after each table.
    pub fn plan_offsets(
        &self,
        nodes: Vec<Node>,
        cancel: &Cancel,
    ) -> Result<(Vec<Crew>, Vec<Value>)> {
        let (crews, ends) = self.plan(nodes, cancel)?;
        self.tell_warnings();
        let offsets = self.tables.iter().zip(&ends);
        let offsets = offsets.map(|(target, ends)| match &target.start {
            Some(start) => offset::streams(&start.unless_changed(ends)),
            None => offset::snapshot(self.scanned_at),
        });
        Ok((crews, offsets.collect()))
    }

    /// Connects to the nodes to read.
    pub fn connect(
        wanted: &[Wanted<'_>],
        options: &Options,
        retries: &Retries,
        cancel: &Cancel,
    ) -> Result<(Job, Vec<Node>)> {
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
                return Err(Error::configuration(text));
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
        let Found { topology, nodes } = topology::find(&connect, retries, cancel)?;
        let sharded = topology.is_sharded();
        let mut targets = Vec::new();
        // Tables of keys come out of the same scans.
        let scanned: Arc<Scanned> = Arc::default();
        for (name, start) in starts {
            let table = tables::table(name)?;
            let spec = table.spec();
            let appended = appended(spec, &databases, sharded);
            let asked = Asked::of(spec.name, spec.columns, &appended, &read)?;
            targets.push(Target {
                table,
                schema: asked.schema(&read),
                asked,
                receipt: {
                    let scanned = match spec.origin {
                        Origin::Keys { .. } => scanned.clone(),
                        Origin::Entries | Origin::Server => Arc::default(),
                    };
                    Arc::new(Receipt::new(scanned, retries.count()))
                },
                start,
            });
        }
        let job = Job {
            retries: retries.clone(),
            topology,
            read,
            tables: targets,
            target: None,
            is_part: false,
            databases,
            scanned_at,
        };
        if sharded {
            topology::check_database(&job.databases)?;
        }
        if let Some(left_out) = inspect::left_out(&nodes) {
            job.warn(&left_out);
        }
        Ok((job, nodes))
    }

    /// Says what was noticed while connecting.
    pub fn tell_warnings(&self) {
        if let Some(first) = self.tables.first() {
            for warning in self.topology.warnings() {
                first.receipt.warn(&warning);
            }
        }
    }

    /// From where streams are read, where they are what is read.
    pub fn start(&self) -> &Start {
        let start = self.tables.first().and_then(|target| target.start.as_ref());
        start.unwrap_or(&Start::Beginning)
    }

    /// The databases to read of a node.
    pub fn databases_of(&self, node: &Node) -> Vec<u32> {
        match &self.databases {
            Databases::These(numbers) => numbers.clone(),
            Databases::All => {
                let mut numbers: BTreeSet<u32> = node.server.databases.keys().copied().collect();
                // One whose streams are all gone is not there any more.
                let starts = self
                    .tables
                    .iter()
                    .filter_map(|target| target.start.as_ref());
                numbers.extend(starts.flat_map(Start::databases));
                if numbers.is_empty() {
                    numbers.insert(0);
                }
                numbers.into_iter().collect()
            }
        }
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
            leaves_moved: self.only_scans(),
        }
    }

    /// Whether what failed may go better at another try, or in another pass. A server that stands alone
    /// and is silent was waited for already.
    pub fn may_mend(&self, error: &Error) -> bool {
        let tries = error.is_topology() || !self.retries.are_none();
        let waits = self.topology.changes() || !error.is_timeout();
        is_passing(error) && tries && waits && !error.is_given_up()
    }

    /// Says something that concerns all tables.
    pub fn warn(&self, message: &str) {
        for target in &self.tables {
            target.receipt.warn(message);
        }
    }

    /// What scans are to name at a node, beside so many nodes in all.
    pub fn crew(&self, mut node: Node, nodes: usize, progress: &Progress) -> Result<Crew> {
        let holding = match (&node.state.holding, &progress.slots) {
            (Some(holding), Some(slots)) => Some(holding.within(slots)),
            (holding, _) => holding.clone(),
        };
        let owed = || progress.owed.values().flatten();
        let databases = match &holding {
            // None of the slots that are left to be read is here, and no key that is owed.
            Some(holding) if holding.is_empty() && !owed().any(|(key, _)| node.owns(key)) => {
                Vec::new()
            }
            _ => self.databases_of(&node),
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
            db,
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
            stretch: Arc::default(),
            due: None,
        });
        let tasks = tasks.collect();
        Share { db, work, tasks }
    }

    /// Adds each server itself, once, for the tables that are about it.
    pub(super) fn add_servers(&self, crews: &mut [Crew]) {
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
}

/// Unix seconds.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}
