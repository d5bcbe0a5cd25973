//! What a reading thread does with its node: every key's rows, into batches.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::Message;
use super::job::{Job, Share};
use crate::columns::{Constant, Mark, Rows};
use crate::error::{Error, Result};
use crate::options::ReadOptions;
use crate::plan::report_unread;
use crate::receipt::{Count, Receipt};
use crate::resp::{Commands, Replies};
use crate::tables::{At, Context, Origin, Outcome, Piece, Size, Spec, Table};
use crate::topology::Node;
use crate::visit::{InPages, Redirected, Visited, Visitor, Wants, visit};

/// What a thread needs to read its part of one table.
pub struct Task {
    pub table: &'static dyn Table,
    pub context: Context,
    /// What stands in the columns that were appended to the table's own.
    pub constants: Vec<Constant>,
    /// How many others are read at the same time.
    pub beside: usize,
    /// For how long, in nanoseconds, batches waited for their consumer.
    pub held_up: Arc<Count>,
}

/// Reads one database of a node; its tasks are over then.
pub fn read_share(
    node: &mut Node,
    share: &mut Share,
    job: &Job,
    sender: &SyncSender<Message>,
) -> Visited {
    let mut visitors: Vec<TableVisitor> = Vec::new();
    for (place, task) in share.tasks.drain(..).enumerate() {
        visitors.push(TableVisitor::new(place, task, &job.read, sender));
    }
    let mut refs: Vec<&mut dyn Visitor> = Vec::new();
    for visitor in &mut visitors {
        refs.push(visitor);
    }
    let selected = node.connection.select(share.db);
    let mut visited = match selected {
        Ok(()) => visit(
            &mut node.connection,
            &mut share.work,
            &mut refs,
            &job.read,
            job.manner(),
        ),
        Err(error) => Visited {
            outcome: Err(error),
            redirected: None,
            clean: true,
        },
    };
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
    /// A key that was there a moment ago. Of a snapshot it is counted in the receipt, and no more.
    fn unread(&self, key: &[u8], why: &str) -> Result<()> {
        match self.task.table.spec().origin {
            Origin::Entries => report_unread(key, why, self.read, &self.task.context.receipt),
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
        table.append(pieces, replies, &mut self.rows, context)
    }

    fn missing(&mut self, key: &[u8]) -> Result<()> {
        self.unread(key, "is gone")
    }

    fn denied(&mut self, key: &[u8]) -> Result<()> {
        self.receipt().keys_denied.add(1);
        self.unread(key, "may not be read any more")
    }

    fn mark(&self) -> Option<Mark> {
        Some(self.rows.mark())
    }

    fn rewind(&mut self, mark: Mark) -> bool {
        self.rows.rewind(mark)
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

    fn hold(&mut self) -> Result<()> {
        self.rows.hold()
    }

    fn release(&mut self) -> Result<()> {
        self.rows.release()
    }

    fn undo(&mut self) -> bool {
        self.rows.undo()
    }
}

/// The keys that a table's rows are read from.
pub fn wants(spec: &Spec) -> Wants {
    match spec.origin {
        Origin::Keys { key_type, .. } => key_type.map_or(Wants::All, Wants::Type),
        Origin::Entries | Origin::Server => Wants::Nothing,
    }
}
