//! A table's columns for anything that speaks Arrow.

use arrow::datatypes::SchemaRef;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::ffi::to_schema_pycapsule;

#[pyclass(frozen, module = "lakeflow_redis")]
pub struct Schema(pub SchemaRef);

#[pymethods]
impl Schema {
    #[getter]
    fn names(&self) -> Vec<&str> {
        let fields = self.0.fields().iter();
        fields.map(|field| field.name().as_str()).collect()
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.0.as_ref())?)
    }

    fn __len__(&self) -> usize {
        self.0.fields().len()
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast::<Schema>()
            .is_ok_and(|other| other.get().0 == self.0)
    }

    fn __repr__(&self) -> String {
        let fields = self.0.fields().iter().map(|field| {
            let required = if field.is_nullable() { "" } else { " not null" };
            format!("{}: {}{required}", field.name(), field.data_type())
        });
        format!("<Schema {}>", fields.collect::<Vec<_>>().join(", "))
    }
}
