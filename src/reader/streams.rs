//! The ranges of streams that a read covers: planned at first, and looked at again in the end.

use std::sync::Arc;

use super::job::{Crew, Job, Progress};
use super::resume::ask_on;
use crate::connection::Cancel;
use crate::error::{Error, Result};
use crate::offset::Reached;
use crate::plan::{self, Draft, Place};
use crate::receipt::Receipt;
use crate::tables::Piece;
use crate::topology::{Node, is_passing};

/// How far a read comes, by table; nowhere in those that have no positions.
type Ends = Vec<Reached>;

impl Job {
    /// The first pass: with the ranges of streams, which are planned while nothing moves. Where something
    /// did, the plan is made anew.
    pub(super) fn plan(&self, mut nodes: Vec<Node>, cancel: &Cancel) -> Result<(Vec<Crew>, Ends)> {
        let mut trouble = self.retries.begin();
        loop {
            let error = match self.plan_once(nodes, cancel) {
                Ok(planned) => return Ok(planned),
                Err(error) => error,
            };
            if !self.may_mend(&error) {
                return Err(trouble.give_up(error));
            }
            trouble.wait(error, cancel)?;
            nodes = trouble.patiently(cancel, is_passing, || self.topology.nodes(cancel))?;
        }
    }

    /// A plan, unless something moved meanwhile.
    fn plan_once(&self, nodes: Vec<Node>, cancel: &Cancel) -> Result<(Vec<Crew>, Ends)> {
        let count = nodes.len();
        let crews = nodes
            .into_iter()
            .map(|node| self.crew(node, count, &Progress::default()));
        let mut crews: Vec<Crew> = crews.collect::<Result<_>>()?;
        let mut ends = vec![Reached::default(); self.tables.len()];
        self.add_servers(&mut crews);
        if !self.tables.iter().any(|target| target.start.is_some()) {
            return Ok((crews, ends));
        }
        self.check_streams_closed(&crews)?;
        // What a plan counts that comes to nothing is not to be counted.
        let receipts: Vec<Arc<Receipt>> = self.tables.iter().map(|_| Arc::default()).collect();
        self.add_streams(&mut crews, &mut ends, &receipts)?;
        let planned = crews.iter_mut().map(|crew| &mut crew.node).collect();
        if let Some(moved) = self.topology.moved(planned, cancel)? {
            return Err(Error::TopologyChanged(moved.what));
        }
        for (target, planned) in self.tables.iter().zip(&receipts) {
            target.receipt.add(planned);
        }
        Ok((crews, ends))
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
    pub fn check_streams(&self, crews: &mut [Crew], cancel: &Cancel) -> Result<()> {
        for Crew { node, shares, .. } in crews {
            for share in shares {
                for (place, one) in self.tables.iter().enumerate() {
                    let short = share
                        .work
                        .short
                        .extract_if(.., |(_, visitor)| *visitor == place);
                    let short: Vec<_> = short.map(|(short, _)| short).collect();
                    let (db, receipt) = (share.db, &one.receipt);
                    let checked = ask_on(node, self, cancel, |node| {
                        plan::check_short(node, db, &short, &self.read, receipt)
                    });
                    checked.map_err(|error| error.at(&node.name))?;
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
