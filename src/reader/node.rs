//! What a reading thread does with its node: every key's rows, into batches.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::Message;
use super::job::{Job, Share};
use super::resume::visit_on;
use crate::columns::{Constant, Rows};
use crate::connection::Cancel;
use crate::error::{Error, Result};
use crate::options::ReadOptions;
use crate::plan::{Stream, report_unread};
use crate::receipt::{Count, Receipt};
use crate::resp::{Commands, Replies};
use crate::scanned::Stretch;
use crate::tables::{At, Context, Origin, Outcome, Piece, Size, Spec, Table};
use crate::topology::Node;
use crate::visit::{InPages, Redirected, Visited, Visitor, Wants};

/// What a thread needs to read its part of one table.
pub struct Task {
    /// The database that it is of.
    pub db: u32,
    pub table: &'static dyn Table,
    pub context: Context,
    /// What stands in the columns that were appended to the table's own.
    pub constants: Vec<Constant>,
    /// How many others are read at the same time.
    pub beside: usize,
    /// For how long, in nanoseconds, batches waited for their consumer.
    pub held_up: Arc<Count>,
    /// Where it is said how far it has come.
    pub stretch: Arc<Stretch>,
    /// Entries that are to come, where it has those of ranges and it is known how many.
    pub due: Option<u64>,
}

/// Reads one database of a node; its tasks are over then.
pub fn read_share(
    node: &mut Node,
    share: &mut Share,
    job: &Job,
    sender: &SyncSender<Message>,
    cancel: &Cancel,
) -> Visited {
    let mut visitors: Vec<TableVisitor> = Vec::new();
    for (place, task) in share.tasks.drain(..).enumerate() {
        visitors.push(TableVisitor::new(place, task, &job.read, sender));
    }
    let mut refs: Vec<&mut dyn Visitor> = Vec::new();
    for visitor in &mut visitors {
        refs.push(visitor);
    }
    let mut visited = visit_on(node, share.db, &mut share.work, &mut refs, job, cancel);
    if visited.outcome.is_err() {
        share.work.forget_undone();
    }
    // Also what was read before an error: where it is clean, nobody reads it again.
    if visited.clean || visited.outcome.is_ok() {
        for visitor in &mut visitors {
            let table = visitor.table();
            let closed = visitor.rows.close();
            // The rows are lost with it, which what came before may not hide: that may be mendable.
            if let Err(error) = closed {
                visited.outcome = Err(error.at(format!("table {table}")));
            }
        }
    }
    if visited.outcome.is_ok() {
        for visitor in &visitors {
            visitor.task.stretch.reached(Some(1.0));
        }
    }
    visited.outcome = visited.outcome.map_err(|error| error.at(&node.name));
    visited.redirected = visited.redirected.map(|redirected| Redirected {
        error: redirected.error.at(&node.name),
        ..redirected
    });
    visited
}

/// Appends every key's rows.
struct TableVisitor<'a> {
    task: Task,
    rows: Rows,
    read: &'a ReadOptions,
}

impl<'a> TableVisitor<'a> {
    fn new(place: usize, task: Task, read: &'a ReadOptions, sender: &SyncSender<Message>) -> Self {
        let spec = task.table.spec();
        let (batches, held_up) = (sender.clone(), task.held_up.clone());
        // Nobody to hand a batch to means that the reader was dropped.
        let hand_over = move |batch| {
            let began = Instant::now();
            let sent = batches.send(Message::Batch(place, batch));
            held_up.add(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
            sent.map_err(|_| Error::Interrupted)
        };
        let rows = Rows::new(
            spec.name,
            task.context.asked.clone(),
            read,
            task.context.receipt.clone(),
            task.beside,
            Box::new(hand_over),
        );
        TableVisitor {
            rows: rows.with_constants(task.constants.clone()),
            read,
            task,
        }
    }
}

impl TableVisitor<'_> {
    fn stream<'k>(&self, key: &'k [u8]) -> Stream<'k> {
        let db = self.task.db;
        Stream { db, key }
    }

    /// A key that was there a moment ago. Of a snapshot it is counted in the receipt, and no more.
    fn unread(&self, key: &[u8], why: &str) -> Result<()> {
        match self.task.table.spec().origin {
            Origin::Entries => {
                report_unread(self.stream(key), why, self.read, &self.task.context.receipt)
            }
            Origin::Keys { .. } | Origin::Server => Ok(()),
        }
    }
}

impl Visitor for TableVisitor<'_> {
    fn table(&self) -> &'static str {
        self.task.table.spec().name
    }

    fn receipt(&self) -> &Receipt {
        &self.task.context.receipt
    }

    fn wants(&self) -> Wants {
        wants(self.task.table.spec())
    }

    fn size(&self) -> Option<Size> {
        self.task.table.size(&self.task.context)
    }

    fn asks_ttl(&self) -> bool {
        self.task.context.asks_ttl()
    }

    fn bundle(&self) -> usize {
        self.task.table.bundle()
    }

    fn taken(&self) -> u64 {
        self.rows.taken()
    }

    fn held_up(&self) -> Duration {
        Duration::from_nanos(self.task.held_up.get())
    }

    fn whole_bytes(&self) -> u64 {
        self.task.table.whole_bytes()
    }

    fn first(&self, piece: &Piece, large: bool) -> Option<At> {
        self.task.table.first(piece, large, &self.task.context)
    }

    fn fetch(&self, pieces: &[Piece], to: &mut Commands) {
        self.task.table.fetch(pieces, &self.task.context, to);
    }

    fn take(&mut self, pieces: Vec<Piece>, replies: &mut Replies<'_>) -> Result<Outcome> {
        let Task { table, context, .. } = &self.task;
        let outcome = table.append(pieces, replies, &mut self.rows, context);
        if let Some(due) = self.task.due {
            let share = self.rows.taken() as f64 / due.max(1) as f64;
            self.task.stretch.reached(Some(share));
        }
        outcome
    }

    fn missing(&mut self, key: &[u8]) -> Result<()> {
        self.unread(key, "is gone")
    }

    fn denied(&mut self, key: &[u8]) -> Result<()> {
        self.receipt().keys_denied.add(1);
        self.unread(key, "may not be read any more")
    }

    fn hold(&mut self) -> Result<()> {
        self.rows.hold()
    }

    fn release(&mut self) -> Result<()> {
        self.rows.release()
    }

    fn undo(&mut self) -> Result<bool> {
        self.rows.undo()
    }

    fn in_pages(&mut self) -> Option<&mut dyn InPages> {
        self.task.table.large()?;
        Some(self)
    }
}

impl InPages for TableVisitor<'_> {
    fn take_page(
        &mut self,
        piece: &mut Piece,
        last: bool,
        replies: &mut Replies<'_>,
    ) -> Result<()> {
        let Task { table, context, .. } = &self.task;
        match table.large() {
            Some(large) => large.append_page(piece, last, replies, &mut self.rows, context),
            None => Ok(()),
        }
    }
}

/// The keys that a table's rows are read from.
pub fn wants(spec: &Spec) -> Wants {
    match spec.origin {
        Origin::Keys { key_type, .. } => key_type.map_or(Wants::All, Wants::Type),
        Origin::Entries | Origin::Server => Wants::Nothing,
    }
}
