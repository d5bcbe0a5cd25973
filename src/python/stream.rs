//! A stream of batches that is read once, or kept and read often: what stands behind `Records`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use pyo3::prelude::*;

use super::errors::{ConsumedError, LakeflowRedisWarning, to_python};
use super::waiting::{SLICE, lock_attached};
use crate::error::Error;
use crate::error::lock;
use crate::reader::{Next, Part, Reader};
use crate::receipt::Receipt;

/// Batches on their way from a reader to any number of Python objects.
pub struct Stream {
    pub table: &'static str,
    pub schema: SchemaRef,
    pub receipt: Arc<Receipt>,
    state: Mutex<State>,
    warnings: Warnings,
}

enum State {
    /// Batches come from the reader, those that were looked at ahead of time first.
    Flowing {
        reader: Reader,
        ahead: VecDeque<RecordBatch>,
        /// A pass has begun.
        begun: bool,
        /// A batch has left.
        given: bool,
    },
    /// What was left when `len()` was asked; all of it where nothing had been given before.
    Kept {
        batches: Vec<RecordBatch>,
        all: bool,
    },
    Over,
    Failed(Arc<Error>),
}

impl Stream {
    /// Of a reader's one table.
    pub fn new(part: Part, reader: Reader) -> Arc<Self> {
        Arc::new(Stream {
            table: part.table,
            schema: part.schema,
            receipt: part.receipt,
            state: Mutex::new(State::Flowing {
                reader,
                ahead: VecDeque::new(),
                begun: false,
                given: false,
            }),
            warnings: Warnings::default(),
        })
    }

    /// Begins a pass, if one may begin.
    pub fn begin(self: &Arc<Self>, py: Python<'_>) -> PyResult<Pass> {
        let stream = self.clone();
        match &mut *lock_attached(py, &self.state) {
            State::Flowing { begun, .. } if !*begun => *begun = true,
            State::Kept { all: true, .. } => {}
            State::Failed(error) => return Err(to_python(error)),
            State::Flowing { .. } | State::Kept { .. } | State::Over => {
                return Err(ConsumedError::new_err(format!(
                    "these records of {} were read already, and a stream is read once; call \
                     len(records) before the first pass to keep them, or read_table again",
                    self.table
                )));
            }
        }
        Ok(Pass { stream, kept: 0 })
    }

    /// The next batch for a pass that has had so many of the kept ones.
    fn pull(&self, kept: &mut usize) -> Result<Next, Arc<Error>> {
        let mut state = lock(&self.state);
        let next = match &mut *state {
            State::Kept { batches, .. } => {
                let Some(batch) = batches.get(*kept) else {
                    return Ok(Next::End);
                };
                *kept += 1;
                return Ok(Next::Batch(0, batch.clone()));
            }
            State::Over => return Ok(Next::End),
            State::Failed(error) => return Err(error.clone()),
            State::Flowing {
                reader,
                ahead,
                given,
                ..
            } => {
                let next = match ahead.pop_front() {
                    Some(batch) => Ok(Next::Batch(0, batch)),
                    None => reader.next_within(SLICE),
                };
                *given |= matches!(next, Ok(Next::Batch(..)));
                next
            }
        };
        match next {
            Ok(Next::End) => {
                *state = State::Over;
                Ok(Next::End)
            }
            Ok(next) => Ok(next),
            Err(error) => Err(fail(&mut state, error)),
        }
    }

    /// Reads a batch ahead, or all of them, within a slice of time; false when there is more
    /// to wait for.
    fn look_ahead(&self, all: bool) -> Result<bool, Arc<Error>> {
        let mut state = lock(&self.state);
        let (next, given) = match &mut *state {
            State::Failed(error) => return Err(error.clone()),
            State::Kept { .. } | State::Over => return Ok(true),
            State::Flowing { ahead, .. } if !all && !ahead.is_empty() => return Ok(true),
            State::Flowing {
                reader,
                ahead,
                given,
                ..
            } => match reader.next_within(SLICE) {
                Ok(Next::Batch(_, batch)) => {
                    ahead.push_back(batch);
                    return Ok(!all);
                }
                Ok(Next::Waiting) => return Ok(false),
                Ok(Next::End) => (Ok(std::mem::take(ahead)), *given),
                Err(error) => (Err(error), *given),
            },
        };
        match next {
            Ok(left) => {
                *state = State::Kept {
                    batches: left.into(),
                    all: !given,
                };
                Ok(true)
            }
            Err(error) => Err(fail(&mut state, error)),
        }
    }

    /// `look_ahead` until it is done, without the GIL and with an eye on signals.
    pub fn wait_ahead(&self, py: Python<'_>, all: bool) -> PyResult<()> {
        loop {
            let done = py.detach(|| self.look_ahead(all));
            self.warn(py)?;
            if done.map_err(|error| to_python(&error))? {
                return Ok(());
            }
            py.check_signals()?;
        }
    }

    /// The batch that would come next, if it is here already.
    pub fn peek(&self, py: Python<'_>) -> Option<RecordBatch> {
        match &*lock_attached(py, &self.state) {
            State::Flowing { ahead, .. } => ahead.front().cloned(),
            State::Kept { batches, all: true } => batches.first().cloned(),
            State::Kept { .. } | State::Over | State::Failed(_) => None,
        }
    }

    /// What ended the stream early.
    pub fn failure(&self, py: Python<'_>) -> Option<PyErr> {
        match &*lock_attached(py, &self.state) {
            State::Failed(error) => Some(to_python(error)),
            State::Flowing { .. } | State::Kept { .. } | State::Over => None,
        }
    }

    fn warn(&self, py: Python<'_>) -> PyResult<()> {
        self.warnings.issue(py, &self.receipt)
    }
}

/// How many of a receipt's warnings were issued.
#[derive(Default)]
pub struct Warnings(AtomicUsize);

impl Warnings {
    /// Issues the new ones as Python warnings.
    pub fn issue(&self, py: Python<'_>, receipt: &Receipt) -> PyResult<()> {
        let warnings = receipt.warnings();
        let issued = self.0.swap(warnings.len(), Relaxed);
        for message in warnings.iter().skip(issued) {
            let message = std::ffi::CString::new(message.as_str())?;
            PyErr::warn(py, &py.get_type::<LakeflowRedisWarning>(), &message, 1)?;
        }
        Ok(())
    }
}

fn fail(state: &mut State, error: Error) -> Arc<Error> {
    let error = Arc::new(error);
    *state = State::Failed(error.clone());
    error
}

/// One pass over a stream.
pub struct Pass {
    pub stream: Arc<Stream>,
    /// How many of the kept batches this pass has had.
    kept: usize,
}

impl Pass {
    /// The next batch, without the GIL while it waits, and with an eye on signals.
    pub fn next(&mut self, py: Python<'_>) -> PyResult<Option<RecordBatch>> {
        loop {
            // Not while a batch is at hand: a warning may be an error, and would take it along.
            self.stream.warn(py)?;
            let next = py.detach(|| self.stream.pull(&mut self.kept));
            match next.map_err(|error| to_python(&error))? {
                Next::Batch(_, batch) => return Ok(Some(batch)),
                Next::End => {
                    self.stream.warn(py)?;
                    return Ok(None);
                }
                Next::Waiting => py.check_signals()?,
            }
        }
    }

    /// The next batch, for a thread that does not belong to Python.
    pub fn next_detached(&mut self) -> Result<Option<RecordBatch>, Arc<Error>> {
        loop {
            match self.stream.pull(&mut self.kept)? {
                Next::Batch(_, batch) => return Ok(Some(batch)),
                Next::End => return Ok(None),
                Next::Waiting => {}
            }
        }
    }
}
