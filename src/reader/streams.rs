//! The ranges of streams that a read covers: planned at first, and looked at again in the end.

use std::sync::Arc;
use std::time::Duration;

use super::job::{Crew, Job, Progress};
use crate::connection::{Cancel, pause};
use crate::error::{Error, Result};
use crate::offset::Reached;
use crate::plan::{self, Draft, Place};
use crate::receipt::Receipt;
use crate::tables::Piece;
use crate::topology::{Node, is_passing};

/// How often a plan is made anew because the servers changed while it was made …
const PLANS: usize = 10;
/// … and how long to wait in between.
const PLAN_PAUSE: Duration = Duration::from_millis(300);

/// How far a read comes, by table; nowhere in those that have no positions.
type Ends = Vec<Reached>;

impl Job {
    /// The first pass: with the ranges of streams, which are planned while nothing moves.
    pub(super) fn plan(&self, mut nodes: Vec<Node>, cancel: &Cancel) -> Result<(Vec<Crew>, Ends)> {
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
                .check_streams_closed(&crews)
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
    fn check_streams_closed(&self, crews: &[Crew]) -> Result<()> {
        let nodes = crews.iter().map(|crew| &crew.node);
        Job::check_closed(nodes).map_err(|error| error.at("table streams, which may be left out"))
    }

    /// What is read node by node, each on its own, is read only while no slot moves.
    pub(super) fn check_closed<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Result<()> {
        for node in nodes {
            let holding = node.state.holding.as_ref();
            let open = holding.and_then(|holding| holding.leaving.keys().next());
            if let Some(slot) = open {
                return Err(Error::TopologyChanged(format!(
                    "{}: slot {slot} is being moved to another node, or was left so, and this is \
                     read only while none is; read again when it is done, or end it by `redis-cli \
                     --cluster fix`",
                    node.name
                )));
            }
        }
        Ok(())
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
                        let reach = (start, self.target.as_ref());
                        plan::draft(node, place, reach, &self.read, &receipts[table])
                    });
                    drafts.push(drafted.map_err(|error| error.at(&crew.node.name))?);
                }
            }
            let mut nodes: Vec<&mut Node> = crews.iter_mut().map(|crew| &mut crew.node).collect();
            for plan in plan::plans(drafts, &mut nodes, &self.read)? {
                let Place { node, db } = plan.place;
                if !plan.end.is_empty() {
                    let positions = ends[table].databases.entry(db).or_default();
                    positions.extend(plan.end);
                }
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
