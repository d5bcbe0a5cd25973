//! `Records`, and the passes over it: rows, batches, and the Arrow C stream.

use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use arrow::array::{ArrayRef, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyTuple};
use pyo3_arrow::ffi::{
    ArrayIterator, to_array_pycapsules, to_schema_pycapsule, to_stream_pycapsule,
};

use super::cells::Names;
use super::html;
use super::schema::Schema;
use super::stream::{Pass, Stream};
use super::waiting::lock_attached;
use crate::offset::key_to_text;
use crate::receipt::Receipt;

#[pyclass(frozen, module = "lakeflow_redis")]
pub struct Records(pub Arc<Stream>);

#[pymethods]
impl Records {
    #[getter]
    fn schema(&self) -> Schema {
        Schema(self.0.schema.clone())
    }

    #[getter]
    fn receipt<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        receipt(py, self.0.table, &self.0.receipt)
    }

    #[getter]
    fn error(&self, py: Python<'_>) -> Option<PyErr> {
        self.0.failure(py)
    }

    fn batches(&self, py: Python<'_>) -> PyResult<Batches> {
        Ok(Batches(Mutex::new(self.0.begin(py)?)))
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<Rows> {
        Ok(Rows {
            names: Names::of(py, &self.0.schema),
            at: Mutex::new(RowsAt {
                pass: self.0.begin(py)?,
                batch: None,
            }),
        })
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.wait_ahead(py, true)?;
        Ok(usize::try_from(self.0.receipt.rows.get())?)
    }

    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        self.0.wait_ahead(py, false)?;
        Ok(self.0.receipt.rows.get() > 0)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = self.0.schema.clone();
        let field = Field::new("", DataType::Struct(schema.fields().clone()), false);
        let arrays = Arrays {
            pass: self.0.begin(py)?,
            home: std::thread::current().id(),
        };
        let reader = ArrayIterator::new(arrays, Arc::new(field));
        Ok(to_stream_pycapsule(py, Box::new(reader), requested_schema)?)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.0.schema.as_ref())?)
    }

    fn __repr__(&self) -> String {
        let receipt = &self.0.receipt;
        let columns: Vec<_> = self
            .0
            .schema
            .fields()
            .iter()
            .map(|f| f.name().as_str())
            .collect();
        let state = match receipt.state().complete {
            true => "",
            false => " read so far",
        };
        format!(
            "<Records of {}: {} rows{state}; {}>",
            self.0.table,
            receipt.rows.get(),
            columns.join(", ")
        )
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        self.0.wait_ahead(py, false)?;
        html::batch(&self.__repr__(), &self.0.schema, self.0.peek(py).as_ref())
    }
}

/// A receipt as a dict.
pub fn receipt<'py>(
    py: Python<'py>,
    table: &str,
    receipt: &Receipt,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("table", table)?;
    let state = receipt.state();
    dict.set_item("complete", state.complete)?;
    dict.set_item("seconds", state.seconds)?;
    dict.set_item("share_scanned", state.share_scanned)?;
    for (name, count) in receipt.counts() {
        dict.set_item(name, count)?;
    }
    dict.set_item("warnings", receipt.warnings())?;
    let mut gaps = Vec::new();
    for gap in receipt.gaps() {
        let entry = PyDict::new(py);
        entry.set_item("db", gap.db)?;
        entry.set_item("key_name", key_to_text(&gap.key))?;
        entry.set_item("why", gap.why)?;
        entry.set_item("after", gap.after)?;
        entry.set_item("entries", gap.entries)?;
        gaps.push(entry);
    }
    dict.set_item("gaps", gaps)?;
    Ok(dict)
}

/// An iterator over rows.
#[pyclass(frozen, module = "lakeflow_redis")]
pub struct Rows {
    names: Names,
    at: Mutex<RowsAt>,
}

struct RowsAt {
    pass: Pass,
    /// The batch at hand and the next row of it.
    batch: Option<(RecordBatch, usize)>,
}

#[pymethods]
impl Rows {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let mut at = lock_attached(py, &self.at);
        loop {
            if let Some((batch, row)) = &mut at.batch
                && *row < batch.num_rows()
            {
                *row += 1;
                return self.names.row(py, batch, *row - 1).map(Some);
            }
            at.batch = at.pass.next(py)?.map(|batch| (batch, 0));
            if at.batch.is_none() {
                return Ok(None);
            }
        }
    }
}

/// An iterator over batches, as pyarrow's.
#[pyclass(frozen, module = "lakeflow_redis")]
pub struct Batches(Mutex<Pass>);

#[pymethods]
impl Batches {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut pass = lock_attached(py, &self.0);
        pass.next(py)?
            .map(|batch| to_pyarrow(py, batch))
            .transpose()
    }
}

pub fn to_pyarrow(py: Python<'_>, batch: RecordBatch) -> PyResult<Bound<'_, PyAny>> {
    let pyarrow = py.import("pyarrow")?;
    pyarrow.call_method1("record_batch", (Batch(batch),))
}

/// A batch on its way to pyarrow.
#[pyclass(frozen, module = "lakeflow_redis")]
struct Batch(RecordBatch);

#[pymethods]
impl Batch {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let array = StructArray::from(self.0.clone());
        let field = Field::new(
            "",
            DataType::Struct(self.0.schema().fields().clone()),
            false,
        );
        Ok(to_array_pycapsules(
            py,
            Arc::new(field),
            &array,
            requested_schema,
        )?)
    }
}

/// A pass as the Arrow C stream interface wants it. Its errors are text there: `Records.error`
/// keeps the exception.
struct Arrays {
    pass: Pass,
    /// The thread that asked for the stream. Only there is it safe to take the GIL: another
    /// thread's consumer may hold it while it waits for this one.
    home: ThreadId,
}

impl Iterator for Arrays {
    type Item = Result<ArrayRef, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let attached = (std::thread::current().id() == self.home)
            .then(|| {
                Python::try_attach(|py| self.pass.next(py).map_err(|error| raise_again(py, &error)))
            })
            .flatten();
        let batch = match attached {
            Some(outcome) => outcome,
            None => self.pass.next_detached().map_err(|error| error.to_string()),
        };
        match batch {
            Ok(batch) => batch.map(|batch| Ok(Arc::new(StructArray::from(batch)) as ArrayRef)),
            // A NUL would end the C string, and pyo3-arrow's patience with it.
            Err(text) => Some(Err(ArrowError::ExternalError(
                text.replace('\0', "\\0").into(),
            ))),
        }
    }
}

/// The text of an error for the C stream. An interrupt is raised once more, for the consumer
/// makes an error of its own out of the text.
fn raise_again(py: Python<'_>, error: &PyErr) -> String {
    if !error.is_instance_of::<pyo3::exceptions::PyKeyboardInterrupt>(py) {
        return error.value(py).to_string();
    }
    // The last thing done here: it takes effect as soon as Python code runs again.
    let again = py
        .import("_thread")
        .and_then(|thread| thread.call_method0("interrupt_main"));
    match again {
        Ok(_) => "interrupted".to_owned(),
        Err(failed) => format!("interrupted, and not raised again: {failed}"),
    }
}
