//! Cells of a record batch as Python objects: str, bytes, int, float or None.

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use pyo3::{IntoPyObjectExt as _, Py};

/// The names of a batch's columns, made once for all its rows.
pub struct Names(Vec<Py<PyString>>);

impl Names {
    pub fn of(py: Python<'_>, schema: &arrow::datatypes::Schema) -> Self {
        let intern = |name: &String| PyString::intern(py, name).unbind();
        Names(schema.fields().iter().map(|f| intern(f.name())).collect())
    }

    /// One row as a dict, in the columns' order.
    pub fn row<'py>(
        &self,
        py: Python<'py>,
        batch: &RecordBatch,
        row: usize,
    ) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, column) in self.0.iter().zip(batch.columns()) {
            dict.set_item(name, cell(py, column, row)?)?;
        }
        Ok(dict)
    }
}

fn cell<'py>(py: Python<'py>, column: &ArrayRef, row: usize) -> PyResult<Bound<'py, PyAny>> {
    if column.is_null(row) {
        return Ok(py.None().into_bound(py));
    }
    match column.data_type() {
        DataType::Int64 => column
            .as_primitive::<Int64Type>()
            .value(row)
            .into_bound_py_any(py),
        DataType::Float64 => column
            .as_primitive::<Float64Type>()
            .value(row)
            .into_bound_py_any(py),
        DataType::Binary => Ok(PyBytes::new(py, column.as_binary::<i32>().value(row)).into_any()),
        _ => Ok(PyString::new(py, column.as_string::<i32>().value(row)).into_any()),
    }
}
