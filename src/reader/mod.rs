//! A read as a stream of record batches: one thread a node reads ahead into a bounded channel.

mod node;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde_json::Value;

use crate::columns::Asked;
use crate::connection::Cancel;
use crate::error::{Error, Result};
use crate::offset;
use crate::options::{Options, ReadOptions};
use crate::plan::plan;
use crate::receipt::Receipt;
use crate::tables::{self, At, Context, Key, Origin, Piece, Table};
use crate::topology::{self, Node};
use crate::visit::{Wants, Work};

use node::{Task, read_node, wants};

/// Batches that may wait for the consumer. Two keep both sides busy; more only cost memory.
const BATCHES_AHEAD: usize = 2;

/// What a reading thread says.
enum Message {
    /// Of the table with this place among those that are read.
    Batch(usize, RecordBatch),
    Failed(Error),
    /// This thread's part is read to its end.
    Done,
}

/// One of the tables that are read, as a consumer knows it.
#[derive(Clone)]
pub struct Part {
    pub table: &'static str,
    pub schema: SchemaRef,
    pub receipt: Arc<Receipt>,
}

/// Record batches of one or more tables, as they are read. Dropping it ends the read.
pub struct Reader {
    parts: Vec<Part>,
    receiver: Receiver<Message>,
    /// Threads that have not said `Done`; 0 when the stream has ended.
    reading: usize,
    stop: Arc<AtomicBool>,
    /// The process whose thread reads.
    process: u32,
}

/// What a consumer that cannot wait for ever is told.
pub enum Next {
    /// Of the table with this place among those that are read.
    Batch(usize, RecordBatch),
    End,
    /// Nothing yet.
    Waiting,
}

impl Reader {
    /// The tables, in the order in which they were asked for.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The next batch, if it comes within the time. After an error the stream has ended.
    pub fn next_within(&mut self, time: Duration) -> Result<Next> {
        if self.process != std::process::id() {
            return Err(self.fail(Error::Forked));
        }
        while self.reading > 0 {
            let message = self.receiver.recv_timeout(time);
            match message {
                Ok(Message::Batch(table, batch)) => return Ok(Next::Batch(table, batch)),
                Ok(Message::Done) => self.reading -= 1,
                Ok(Message::Failed(error)) => return Err(self.fail(error)),
                Err(RecvTimeoutError::Timeout) => return Ok(Next::Waiting),
                Err(RecvTimeoutError::Disconnected) => return Err(self.fail(Error::ReaderGone)),
            }
        }
        if !self.stop.load(Relaxed) {
            self.end(true);
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
        self.end(false);
    }

    fn end(&self, complete: bool) {
        for part in &self.parts {
            part.receipt.end(complete);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// The columns of a table that the options ask for.
pub fn asked(table: &str, options: &Options) -> Result<Asked> {
    let spec = tables::table(table)?.spec();
    Asked::of(spec.name, spec.columns, &options.read()?)
}

/// The schema of a table under these options.
pub fn schema(table: &str, options: &Options) -> Result<SchemaRef> {
    Ok(asked(table, options)?.schema(&options.read()?))
}

/// A table to read, and the offset to read it from.
pub struct Wanted<'a> {
    pub table: &'a str,
    pub start: &'a Value,
}

/// Reads tables from their offsets on, each node's keys in one scan: the batches, and the
/// offset after each table.
///
/// All that can fail at once does: options, offsets, connection, and for streams the plan.
pub fn read_tables(
    wanted: &[Wanted<'_>],
    options: &Options,
    cancel: &Cancel,
) -> Result<(Reader, Vec<Value>)> {
    let read = options.read()?;
    let connect = options.connection()?;
    let scanned_at = now();
    let mut tables: Vec<&'static dyn Table> = Vec::new();
    let mut parts = Vec::new();
    for one in wanted {
        let table = tables::table(one.table)?;
        let spec = table.spec();
        if parts.iter().any(|part: &Part| part.table == spec.name) {
            let text = format!("table {} is asked for twice", spec.name);
            return Err(Error::Configuration(text));
        }
        match spec.origin {
            Origin::Entries => drop(offset::parse_streams(one.start, connect.db)?),
            Origin::Keys { .. } | Origin::Server => offset::check_snapshot(one.start, spec.name)?,
        }
        parts.push(Part {
            table: spec.name,
            schema: Asked::of(spec.name, spec.columns, &read)?.schema(&read),
            receipt: Arc::default(),
        });
        tables.push(table);
    }
    let mut ends = vec![offset::Positions::new(); wanted.len()];
    let mut works = Vec::new();
    for mut node in topology::nodes(&connect, cancel)? {
        let wants: Vec<Wants> = tables.iter().map(|table| wants(table.spec())).collect();
        let mut work = if wants.iter().any(|wants| *wants != Wants::Nothing) {
            Work::scan(&node.server, &wants, &read)
        } else {
            Work::pieces([])
        };
        let keys_expire = node
            .keys_expire(connect.db)
            .map_err(|error| error.at(&node.name))?;
        let mut tasks = Vec::new();
        for (place, table) in tables.iter().enumerate() {
            let spec = table.spec();
            let receipt = parts[place].receipt.clone();
            let mut pieces = match spec.origin {
                Origin::Keys { .. } => Vec::new(),
                Origin::Server => vec![Piece::new(Key::default(), 0, At::Whole)],
                Origin::Entries => {
                    let start = offset::parse_streams(wanted[place].start, connect.db)?;
                    let plan = plan(&mut node, &start, &read, &receipt)
                        .map_err(|error| error.at(&node.name))?;
                    ends[place].extend(plan.end);
                    plan.pieces
                }
            };
            for piece in &mut pieces {
                piece.table = place;
            }
            work.add(pieces);
            let context = Context {
                scanned_at,
                receipt,
                asked: Asked::of(spec.name, spec.columns, &read)?,
                fields: read.fields.clone(),
                keys_expire,
                tells_types: work.told_by() == Some(place),
                refused: AtomicU8::new(0),
            };
            tasks.push(Task {
                table: *table,
                context,
                held_up: Arc::default(),
            });
        }
        works.push((node, work, tasks));
    }
    let offsets = tables.iter().zip(&ends);
    let offsets = offsets.map(|(table, end)| match table.spec().origin {
        Origin::Entries => offset::streams(connect.db, end),
        Origin::Keys { .. } | Origin::Server => offset::snapshot(scanned_at),
    });
    let offsets = offsets.collect();
    Ok((start_reading(parts, works, &read)?, offsets))
}

/// Reads one table.
pub fn read_table(
    table: &str,
    start: &Value,
    options: &Options,
    cancel: &Cancel,
) -> Result<(Reader, Value)> {
    let (reader, mut offsets) = read_tables(&[Wanted { table, start }], options, cancel)?;
    Ok((reader, offsets.pop().unwrap_or_default()))
}

fn start_reading(
    parts: Vec<Part>,
    works: Vec<(Node, Work, Vec<Task>)>,
    read: &ReadOptions,
) -> Result<Reader> {
    let (sender, receiver) = mpsc::sync_channel(BATCHES_AHEAD);
    let reader = Reader {
        parts,
        receiver,
        reading: works.len(),
        stop: Arc::default(),
        process: std::process::id(),
    };
    for (mut node, work, tasks) in works {
        let stop = reader.stop.clone();
        node.connection
            .set_cancel(Arc::new(move || stop.load(Relaxed)));
        let (sender, read) = (sender.clone(), read.clone());
        std::thread::Builder::new()
            .name("lakeflow-redis".to_owned())
            .spawn(move || {
                let last = match read_node(node, work, tasks, &read, &sender) {
                    Ok(()) => Message::Done,
                    Err(error) => Message::Failed(error),
                };
                // A consumer that is gone wants no last word.
                sender.send(last).unwrap_or_default();
            })
            .map_err(Error::Unreachable)?;
    }
    Ok(reader)
}

/// Unix seconds.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}
