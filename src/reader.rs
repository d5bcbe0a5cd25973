//! A read as a stream of record batches: one thread a node reads ahead into a bounded channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde_json::Value;

use crate::columns::{self, Rows};
use crate::connection::Cancel;
use crate::error::{Error, Result, show};
use crate::offset;
use crate::options::{Options, ReadOptions};
use crate::plan::plan;
use crate::receipt::Receipt;
use crate::resp::{Commands, Replies};
use crate::tables::{self, Context, Key, Origin, Outcome, Piece, Size, Table};
use crate::topology::{self, Node};
use crate::visit::{Visitor, Work, visit};

/// Batches that may wait for the consumer. Two keep both sides busy; more only cost memory.
const BATCHES_AHEAD: usize = 2;

/// What a reading thread says.
enum Message {
    Batch(RecordBatch),
    Failed(Error),
    /// This thread's part is read to its end.
    Done,
}

/// Record batches as they are read. Dropping it ends the read.
pub struct Reader {
    schema: SchemaRef,
    receipt: Arc<Receipt>,
    receiver: Receiver<Message>,
    /// Threads that have not said `Done`; 0 when the stream has ended.
    reading: usize,
    stop: Arc<AtomicBool>,
    /// The process whose thread reads.
    process: u32,
}

/// What a consumer that cannot wait for ever is told.
pub enum Next {
    Batch(RecordBatch),
    End,
    /// Nothing yet.
    Waiting,
}

impl Reader {
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    pub fn receipt(&self) -> Arc<Receipt> {
        self.receipt.clone()
    }

    /// The next batch, if it comes within the time. After an error the stream has ended.
    pub fn next_within(&mut self, time: Duration) -> Result<Next> {
        if self.process != std::process::id() {
            return Err(self.fail(Error::Forked));
        }
        while self.reading > 0 {
            let message = self.receiver.recv_timeout(time);
            match message {
                Ok(Message::Batch(batch)) => return Ok(Next::Batch(batch)),
                Ok(Message::Done) => self.reading -= 1,
                Ok(Message::Failed(error)) => return Err(self.fail(error)),
                Err(RecvTimeoutError::Timeout) => return Ok(Next::Waiting),
                Err(RecvTimeoutError::Disconnected) => return Err(self.fail(Error::ReaderGone)),
            }
        }
        if !self.stop.load(Relaxed) {
            self.receipt.end(true);
        }
        Ok(Next::End)
    }

    fn fail(&mut self, error: Error) -> Error {
        self.stop();
        error
    }

    /// Ends the read where it is.
    pub fn stop(&mut self) {
        self.reading = 0;
        self.stop.store(true, Relaxed);
        self.receipt.end(false);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// The schema of a table under these options.
pub fn schema(table: &str, options: &Options) -> Result<SchemaRef> {
    let columns = tables::table(table)?.spec().columns;
    Ok(columns::schema(columns, &options.read()?))
}

/// Reads a table from an offset on: the batches, and the offset after them.
///
/// All that can fail at once does: options, offset, connection, and for streams the plan.
pub fn read_table(
    table: &str,
    start: &Value,
    options: &Options,
    cancel: &Cancel,
) -> Result<(Reader, Value)> {
    let table = tables::table(table)?;
    let spec = table.spec();
    let read = options.read()?;
    let connect = options.connection()?;
    let receipt = Arc::new(Receipt::default());
    let scanned_at = now();
    let (works, offset) = match &spec.origin {
        Origin::Keys { key_type, .. } => {
            offset::check_snapshot(start, spec.name)?;
            let works = topology::nodes(&connect, cancel)?
                .into_iter()
                .map(|node| {
                    let work = Work::keys(&node.server, *key_type, &read);
                    (node, work)
                })
                .collect();
            (works, offset::snapshot(scanned_at))
        }
        Origin::Server => {
            offset::check_snapshot(start, spec.name)?;
            let works = topology::nodes(&connect, cancel)?
                .into_iter()
                .map(|node| {
                    let whole = Piece::new(Key::default(), 0, tables::At::Whole);
                    (node, Work::pieces([whole]))
                })
                .collect();
            (works, offset::snapshot(scanned_at))
        }
        Origin::Entries => {
            let start = offset::parse_streams(start, connect.db)?;
            let mut end = offset::Positions::new();
            let mut works = Vec::new();
            for mut node in topology::nodes(&connect, cancel)? {
                let plan = plan(&mut node, &start, &read, &receipt)
                    .map_err(|error| error.at(format!("{}: table {}", node.name, spec.name)))?;
                end.extend(plan.end);
                works.push((node, Work::pieces(plan.pieces)));
            }
            (works, offset::streams(connect.db, &end))
        }
    };
    let context = Context {
        scanned_at,
        receipt,
        refused: AtomicU8::new(0),
    };
    Ok((start_reading(table, works, read, context)?, offset))
}

fn start_reading(
    table: &'static dyn Table,
    works: Vec<(Node, Work)>,
    read: ReadOptions,
    context: Context,
) -> Result<Reader> {
    let (sender, receiver) = mpsc::sync_channel(BATCHES_AHEAD);
    let reader = Reader {
        schema: columns::schema(table.spec().columns, &read),
        receipt: context.receipt.clone(),
        receiver,
        reading: works.len(),
        stop: Arc::default(),
        process: std::process::id(),
    };
    let context = Arc::new(context);
    let read = Arc::new(read);
    for (mut node, work) in works {
        let stop = reader.stop.clone();
        node.connection
            .set_cancel(Arc::new(move || stop.load(Relaxed)));
        let (sender, context, read) = (sender.clone(), context.clone(), read.clone());
        std::thread::Builder::new()
            .name("lakeflow-redis".to_owned())
            .spawn(move || read_node(table, node, work, &read, &context, &sender))
            .map_err(Error::Unreachable)?;
    }
    Ok(reader)
}

/// A reading thread's whole life.
fn read_node(
    table: &'static dyn Table,
    mut node: Node,
    work: Work,
    read: &ReadOptions,
    context: &Context,
    sender: &SyncSender<Message>,
) {
    let spec = table.spec();
    let batches = sender.clone();
    // Nobody to hand a batch to means that the reader was dropped.
    let hand_over = move |batch| {
        let sent = batches.send(Message::Batch(batch));
        sent.map_err(|_| Error::Interrupted)
    };
    let receipt = context.receipt.clone();
    let mut visitor = TableVisitor {
        table,
        read,
        context,
        rows: Rows::new(spec.name, spec.columns, read, receipt, Box::new(hand_over)),
    };
    let outcome = visit(&mut node.connection, work, &mut visitor, &context.receipt)
        .and_then(|()| visitor.rows.close());
    let last = match outcome {
        Ok(()) => Message::Done,
        Err(error) => Message::Failed(error.at(format!("{}: table {}", node.name, spec.name))),
    };
    // A consumer that is gone wants no last word.
    sender.send(last).unwrap_or_default();
}

/// Appends every key's rows.
struct TableVisitor<'a> {
    table: &'static dyn Table,
    read: &'a ReadOptions,
    context: &'a Context,
    rows: Rows,
}

impl Visitor for TableVisitor<'_> {
    fn size(&self) -> Option<Size> {
        match self.table.spec().origin {
            Origin::Keys { size, .. } => size,
            Origin::Entries | Origin::Server => None,
        }
    }

    fn taken(&self) -> u64 {
        self.rows.taken()
    }

    fn first(&mut self, key: Key, size: u64, whole: u64) -> Option<Piece> {
        self.table.first(key, size, whole, self.context)
    }

    fn fetch(&self, piece: &Piece, to: &mut Commands) {
        self.table.fetch(piece, to);
    }

    fn take(&mut self, piece: Piece, replies: &mut Replies<'_>) -> Result<Outcome> {
        self.table
            .append(piece, replies, &mut self.rows, self.context)
    }

    fn missing(&mut self, key: &[u8]) -> Result<()> {
        match self.table.spec().origin {
            Origin::Entries if self.read.fail_on_data_loss => Err(Error::DataLoss(format!(
                "stream {} is gone, with entries that the read had planned; option \
                 `fail_on_data_loss=false` goes on without them",
                show(key)
            ))),
            // Counted in the receipt, as was asked for.
            _ => Ok(()),
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
