//! What there is to read for each table, so that its receipt can say how far it has come.

use std::sync::Arc;

use super::job::{Crew, Job};
use crate::scanned::Stretch;
use crate::tables::Origin;

impl Job {
    /// Begins to say how far each table has come, through all that is left to be read.
    ///
    /// Tables of keys have come as far as the scans that they share, and streams as far as their
    /// entries have, where it is known how many there are. Of a server itself nothing is known before its end.
    pub(super) fn measure(&self, crews: &mut [Crew]) {
        let mut stretches: Vec<Vec<Arc<Stretch>>> = vec![Vec::new(); self.tables.len()];
        for crew in crews {
            for share in &mut crew.shares {
                let keyspace = crew.node.server.databases.get(&share.db);
                let scans = share
                    .work
                    .measure_scans(keyspace.map_or(0, |keyspace| keyspace.keys));
                for (place, task) in share.tasks.iter_mut().enumerate() {
                    task.stretch = match task.table.spec().origin {
                        Origin::Keys { .. } => scans.clone(),
                        Origin::Entries => {
                            task.due = share.work.due(place);
                            Arc::new(Stretch::new(task.due.unwrap_or_default()))
                        }
                        Origin::Server => Arc::default(),
                    };
                    stretches[place].push(task.stretch.clone());
                }
            }
        }
        for (target, stretches) in self.tables.iter().zip(stretches) {
            target.receipt.scanned.begin(stretches);
        }
    }
}
