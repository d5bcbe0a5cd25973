//! A read as a stream of record batches: threads read ahead into a bounded channel.

mod job;
mod measure;
mod node;
mod partitions;
mod passes;
mod resume;
mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde_json::Value;

use crate::columns::{Asked, Column, Type, key};
use crate::connection::Cancel;
use crate::error::{Error, Result};
use crate::options::{Databases, Mode, Options};
use crate::receipt::Receipt;
use crate::retry::Retries;
use crate::tables::{self, Origin, Spec};
use crate::topology;

use job::{Crew, Job};

pub use partitions::{latest_offset, partitions, read_partition};

/// Batches that may wait for the consumer. Two keep both sides busy; more only cost memory.
const BATCHES_AHEAD: usize = 2;

/// What the reading threads say.
enum Message {
    /// Of the table with this place among those that are read.
    Batch(usize, RecordBatch),
    Failed(Error),
    /// All is read to its end.
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
    /// Whether more may come.
    reading: bool,
    stop: Arc<AtomicBool>,
    /// The process whose threads read.
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
        if !self.reading {
            return Ok(Next::End);
        }
        match self.receiver.recv_timeout(time) {
            Ok(Message::Batch(table, batch)) => Ok(Next::Batch(table, batch)),
            Ok(Message::Done) => {
                self.reading = false;
                self.end(true);
                Ok(Next::End)
            }
            Ok(Message::Failed(error)) => Err(self.fail(error)),
            Err(RecvTimeoutError::Timeout) => Ok(Next::Waiting),
            Err(RecvTimeoutError::Disconnected) => Err(self.fail(Error::ReaderGone)),
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        self.stop();
        error
    }

    /// Ends the read where it is.
    pub fn stop(&mut self) {
        self.reading = false;
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
///
/// Where `mode` is `auto`, the server is asked whether it is part of a cluster, but only for the
/// one table whose columns depend on it.
pub fn asked(table: &str, options: &Options, cancel: &Cancel) -> Result<Asked> {
    let spec = tables::table(table)?.spec();
    let sharded = match spec.origin {
        Origin::Server => is_sharded(options, cancel)?,
        Origin::Keys { .. } | Origin::Entries => false,
    };
    let appended = appended(spec, &options.databases()?, sharded);
    Asked::of(spec.name, spec.columns, &appended, &options.read()?)
}

fn is_sharded(options: &Options, cancel: &Cancel) -> Result<bool> {
    Ok(match options.mode()? {
        Mode::Cluster => true,
        Mode::Standalone | Mode::Sentinel => false,
        Mode::Auto => topology::is_sharded(&options.connection()?, cancel)?,
    })
}

/// The columns that tell rows apart where a read has several databases, or a table several
/// servers.
fn appended(spec: &Spec, databases: &Databases, sharded: bool) -> Vec<Column> {
    match spec.origin {
        Origin::Server if sharded => vec![key("node", Type::Text)],
        Origin::Server => Vec::new(),
        Origin::Keys { .. } | Origin::Entries if databases.may_be_many() => {
            vec![key("db", Type::Long)]
        }
        Origin::Keys { .. } | Origin::Entries => Vec::new(),
    }
}

/// The schema of a table under these options.
pub fn schema(table: &str, options: &Options, cancel: &Cancel) -> Result<SchemaRef> {
    Ok(asked(table, options, cancel)?.schema(&options.read()?))
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
    let retries = Retries::new(options.connection()?.retry_deadline);
    let (job, crews, ends) = Job::begin(wanted, options, &retries, cancel)?;
    let reader = start_reading(job, crews)?;
    Ok((reader, ends))
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

fn start_reading(job: Job, crews: Vec<Crew>) -> Result<Reader> {
    let (sender, receiver) = mpsc::sync_channel(BATCHES_AHEAD);
    let stop: Arc<AtomicBool> = Arc::default();
    let reader = Reader {
        parts: job.parts(),
        receiver,
        reading: true,
        stop: stop.clone(),
        process: std::process::id(),
    };
    let cancel: Cancel = Arc::new(move || stop.load(Relaxed));
    std::thread::Builder::new()
        .name("lakeflow-redis".to_owned())
        .spawn(move || {
            let last = match passes::read(&job, crews, &sender, &cancel) {
                Ok(()) => Message::Done,
                Err(error) => Message::Failed(error),
            };
            // A consumer that is gone wants no last word.
            sender.send(last).unwrap_or_default();
        })
        .map_err(Error::NoThread)?;
    Ok(reader)
}
