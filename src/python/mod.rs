//! The Python face, and the only place that knows pyo3. Its docstrings live in `_core.pyi`.

mod cells;
mod connector;
mod errors;
mod html;
mod records;
mod schema;
mod stream;
mod tables;
mod waiting;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::options::{Kind, OPTIONS, Scope};

#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::connector::LakeflowConnect;
    #[pymodule_export]
    use super::option_specs;
    #[pymodule_export]
    use super::records::Records;
    #[pymodule_export]
    use super::schema::Schema;
    #[pymodule_export]
    use super::tables::TableBatches;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// The table of options as dicts.
#[pyfunction]
fn option_specs(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    OPTIONS
        .iter()
        .map(|spec| {
            let (kind, choices): (_, &[&str]) = match spec.kind {
                Kind::Text | Kind::List => ("string", &[]),
                Kind::Integer { .. } => ("integer", &[]),
                Kind::Seconds | Kind::Share => ("number", &[]),
                Kind::Flag => ("boolean", &["true", "false"]),
                Kind::Choice(choices) => ("string", choices),
            };
            let scope = match spec.scope {
                Scope::Connection => "connection",
                Scope::Table => "table",
            };
            let dict = PyDict::new(py);
            dict.set_item("name", spec.name)?;
            dict.set_item("type", kind)?;
            dict.set_item("choices", choices)?;
            dict.set_item("default", spec.default)?;
            dict.set_item("scope", scope)?;
            dict.set_item("secret", spec.secret)?;
            dict.set_item("doc", spec.doc)?;
            Ok(dict)
        })
        .collect()
}
