//! The Python face, and the only place that knows pyo3. Its docstrings live in `_core.pyi`.

mod cells;
mod connector;
mod errors;
mod html;
mod records;
mod schema;
mod selection;
mod stream;
mod tables;
mod waiting;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{Error, Result};
use crate::options::{Kind, Mode, OPTIONS, ReadFrom, Scope};
use crate::permissions::{self, Grant};
use crate::tables::table;

#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::acl_rules;
    #[pymodule_export]
    use super::connector::LakeflowConnect;
    #[pymodule_export]
    use super::option_specs;
    #[pymodule_export]
    use super::records::Records;
    #[pymodule_export]
    use super::schema::Schema;
    #[pymodule_export]
    use super::selection::KeySelection;
    #[pymodule_export]
    use super::sentinel_acl_rules;
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
                Kind::Text
                | Kind::List
                | Kind::Nodes
                | Kind::Databases
                | Kind::Timestamp
                | Kind::Rules => ("string", &[]),
                Kind::Integer { .. } => ("integer", &[]),
                Kind::Seconds { .. } | Kind::Share => ("number", &[]),
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
            dict.set_item("tables", spec.tables)?;
            dict.set_item("doc", spec.doc)?;
            Ok(dict)
        })
        .collect()
}

/// The ACL rules that just suffice at Sentinels.
#[pyfunction]
fn sentinel_acl_rules() -> Vec<String> {
    permissions::sentinel_acl_rules()
}

/// The ACL rules that just suffice to read tables.
#[pyfunction]
#[pyo3(signature = (table_names, key_patterns, *, redis="7.0", mode="standalone", read_from="primary", selects=false))]
#[expect(clippy::needless_pass_by_value, reason = "as pyo3 hands them over")]
fn acl_rules(
    table_names: Vec<String>,
    key_patterns: Vec<String>,
    redis: &str,
    mode: &str,
    read_from: &str,
    selects: bool,
) -> PyResult<Vec<String>> {
    let names = table_names.iter();
    let tables = names.map(|name| table(name)).collect::<Result<Vec<_>>>()?;
    let version = redis.split_once('.').and_then(|(major, minor)| {
        let minor = minor.split('.').next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    let redis_version = version
        .filter(|version| *version >= (6, 0))
        .ok_or_else(|| {
            Error::configuration(format!(
                "{redis:?} is no version of Redis that knows users, such as 6.2 or 7.0"
            ))
        })?;
    for pattern in &key_patterns {
        // A rule ends at a space.
        if pattern.is_empty() || pattern.contains(char::is_whitespace) {
            return Err(Error::configuration(format!(
                "{pattern:?} is no key pattern of an ACL rule, which holds no spaces; a `?` stands for one"
            ))
            .into());
        }
    }
    let grant = Grant {
        tables: &tables,
        patterns: &key_patterns,
        redis_version,
        mode: match mode {
            "cluster" => Mode::Cluster,
            "sentinel" => Mode::Sentinel,
            "standalone" => Mode::Standalone,
            other => return Err(none_of(other, "standalone, cluster and sentinel")),
        },
        read_from: match read_from {
            "replica" => ReadFrom::Replica,
            "primary" => ReadFrom::Primary,
            other => return Err(none_of(other, "primary and replica")),
        },
        selects,
    };
    Ok(permissions::acl_rules(&grant))
}

fn none_of(given: &str, choices: &str) -> PyErr {
    Error::configuration(format!("{given:?} is none of {choices}")).into()
}
