//! `TableBatches`: the batches of several tables as they come out of one scan.

use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::errors::{ConsumedError, to_python};
use super::records::{receipt, to_pyarrow};
use super::schema::Schema;
use super::stream::Warnings;
use super::waiting::{SLICE, lock_attached};
use crate::error::Error;
use crate::error::lock;
use crate::reader::{Next, Part, Reader};

#[pyclass(frozen, module = "lakeflow_redis")]
pub struct TableBatches {
    parts: Vec<(Part, Warnings)>,
    state: Mutex<State>,
}

enum State {
    Flowing(Reader),
    Over,
    Failed(Arc<Error>),
}

impl TableBatches {
    pub fn new(reader: Reader) -> Self {
        let parts = reader.parts().iter();
        TableBatches {
            parts: parts
                .map(|part| (part.clone(), Warnings::default()))
                .collect(),
            state: Mutex::new(State::Flowing(reader)),
        }
    }

    fn pull(&self) -> Result<Next, Arc<Error>> {
        let mut state = lock(&self.state);
        let next = match &mut *state {
            State::Flowing(reader) => reader.next_within(SLICE),
            State::Over => return Ok(Next::End),
            State::Failed(error) => return Err(error.clone()),
        };
        match next {
            Ok(Next::End) => {
                *state = State::Over;
                Ok(Next::End)
            }
            Ok(next) => Ok(next),
            Err(error) => {
                let error = Arc::new(error);
                *state = State::Failed(error.clone());
                Err(error)
            }
        }
    }

    /// The place of a table, and its next batch.
    fn next(&self, py: Python<'_>) -> PyResult<Option<(usize, RecordBatch)>> {
        loop {
            // Not while a batch is at hand: a warning may be an error, and would take it along.
            self.warn(py)?;
            match py
                .detach(|| self.pull())
                .map_err(|error| to_python(&error))?
            {
                Next::Batch(place, batch) => return Ok(Some((place, batch))),
                Next::End => {
                    self.warn(py)?;
                    return Ok(None);
                }
                Next::Waiting => py.check_signals()?,
            }
        }
    }

    fn check_unread(&self, py: Python<'_>) -> PyResult<()> {
        match *lock_attached(py, &self.state) {
            State::Over => Err(ConsumedError::new_err(
                "these batches were read already, and they are read once; call read_tables again",
            )),
            State::Flowing(_) | State::Failed(_) => Ok(()),
        }
    }

    fn warn(&self, py: Python<'_>) -> PyResult<()> {
        for (part, warnings) in &self.parts {
            warnings.issue(py, &part.receipt)?;
        }
        Ok(())
    }
}

#[pymethods]
impl TableBatches {
    #[getter]
    fn schemas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (part, _) in &self.parts {
            dict.set_item(part.table, Schema(part.schema.clone()))?;
        }
        Ok(dict)
    }

    #[getter]
    fn receipts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (part, _) in &self.parts {
            dict.set_item(part.table, receipt(py, part.table, &part.receipt)?)?;
        }
        Ok(dict)
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        slf.get().check_unread(slf.py())?;
        Ok(slf.clone())
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some((place, batch)) = self.next(py)? else {
            return Ok(None);
        };
        let table = self.parts[place].0.table.into_pyobject(py)?;
        PyTuple::new(py, [table.into_any(), to_pyarrow(py, batch)?]).map(Some)
    }

    /// Reads what is left into tables.
    fn read_all<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        let py = slf.py();
        let this = slf.get();
        this.check_unread(py)?;
        let pyarrow_table = py.import("pyarrow")?.getattr("Table")?;
        let mut batches: Vec<Vec<Bound<'py, PyAny>>> = Vec::new();
        batches.resize_with(this.parts.len(), Vec::new);
        while let Some((place, batch)) = this.next(py)? {
            batches[place].push(to_pyarrow(py, batch)?);
        }
        let tables = PyDict::new(py);
        for ((part, _), batches) in this.parts.iter().zip(batches) {
            let schema = py
                .import("pyarrow")?
                .call_method1("schema", (Schema(part.schema.clone()),))?;
            let table = pyarrow_table.call_method1("from_batches", (batches, schema))?;
            tables.set_item(part.table, table)?;
        }
        Ok(tables)
    }

    fn __repr__(&self) -> String {
        let tables = self.parts.iter().map(|(part, _)| {
            let rows = part.receipt.rows.get();
            format!("{}: {rows} rows", part.table)
        });
        format!(
            "<TableBatches of {}>",
            tables.collect::<Vec<_>>().join(", ")
        )
    }
}
