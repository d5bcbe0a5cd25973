//! `LakeflowConnect`.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};
use serde_json::Value;

use super::errors::ConfigurationError;
use super::html;
use super::records::Records;
use super::schema::Schema;
use super::selection::KeySelection;
use super::stream::Stream;
use super::tables::TableBatches;
use super::waiting::interruptible;
use crate::inspect::inspect;
use crate::options::Options;
use crate::reader::{Reader, Wanted};
use crate::retry::Retries;
use crate::tables::{TABLES, table};
use crate::{reader, topology};

#[pyclass(frozen, module = "lakeflow_redis")]
pub struct LakeflowConnect {
    options: Options,
}

#[pymethods]
impl LakeflowConnect {
    #[new]
    fn new(options: &Bound<'_, PyAny>) -> PyResult<Self> {
        let options = Options::for_connector(pairs(options, "options")?)?;
        Ok(LakeflowConnect { options })
    }

    fn test_connection<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let outcome = interruptible(py, |cancel| {
            Ok(self.options.connection().and_then(|options| {
                let mut found =
                    topology::find(&options, &Retries::new(options.retry_deadline), cancel)?;
                let databases = self.options.databases()?;
                for node in &mut found.nodes {
                    node.select_each(&databases)?;
                }
                let nodes = found
                    .nodes
                    .iter()
                    .map(|node| format!("{} at {}, {databases}", node.server, node.name));
                let nodes: Vec<_> = nodes.collect();
                let warnings = found.topology.warnings();
                let warnings = warnings.iter().map(|warning| format!("; {warning}"));
                Ok(nodes.join("; ") + &warnings.collect::<String>())
            }))
        })?;
        let (status, message) = match outcome {
            Ok(nodes) => ("success", format!("connected to {nodes}")),
            Err(error) => ("error", error.to_string()),
        };
        let result = PyDict::new(py);
        result.set_item("status", status)?;
        result.set_item("message", message)?;
        Ok(result)
    }

    fn inspect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let found = interruptible(py, |cancel| inspect(&self.options, cancel))?;
        to_python(py, &found)
    }

    #[staticmethod]
    fn list_tables() -> Vec<&'static str> {
        TABLES.iter().map(|table| table.spec().name).collect()
    }

    #[pyo3(signature = (table_name, table_options=None))]
    fn get_table_schema(
        &self,
        py: Python<'_>,
        table_name: &str,
        table_options: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Schema> {
        let options = self.for_read(table_options)?;
        let schema = interruptible(py, |cancel| reader::schema(table_name, &options, cancel))?;
        Ok(Schema(schema))
    }

    #[pyo3(signature = (table_name, table_options=None))]
    fn read_table_metadata<'py>(
        &self,
        py: Python<'py>,
        table_name: &str,
        table_options: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let spec = table(table_name)?.spec();
        let options = self.for_read(table_options)?;
        let asked = interruptible(py, |cancel| reader::asked(table_name, &options, cancel))?;
        let metadata = PyDict::new(py);
        // Rows without a part of their key cannot be told apart.
        let keys = match asked.has_primary_key() {
            true => asked.primary_keys().collect(),
            false => Vec::new(),
        };
        metadata.set_item("primary_keys", keys)?;
        metadata.set_item("cursor_field", spec.cursor_field)?;
        metadata.set_item("ingestion_type", spec.ingestion_type())?;
        Ok(metadata)
    }

    #[pyo3(signature = (table_options=None))]
    fn key_selection(&self, table_options: Option<&Bound<'_, PyAny>>) -> PyResult<KeySelection> {
        let chosen = self.for_read(table_options)?.selection()?;
        Ok(KeySelection::new(chosen))
    }

    #[pyo3(signature = (table_name, start_offset=None, table_options=None))]
    fn read_table<'py>(
        &self,
        py: Python<'py>,
        table_name: &str,
        start_offset: Option<&Bound<'py, PyAny>>,
        table_options: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Records, Bound<'py, PyAny>)> {
        let name = table(table_name)?.spec().name;
        let options = self.for_read(table_options)?;
        let start = optional("start_offset", start_offset)?;
        let (reader, end) = interruptible(py, |cancel| {
            reader::read_table(name, &start, &options, cancel)
        })?;
        let end = to_python(py, &end)?;
        Ok((records_of(reader)?, end))
    }

    #[pyo3(signature = (table_names, start_offsets=None, table_options=None))]
    fn read_tables<'py>(
        &self,
        py: Python<'py>,
        table_names: &Bound<'py, PyAny>,
        start_offsets: Option<&Bound<'py, PyAny>>,
        table_options: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(TableBatches, Bound<'py, PyDict>)> {
        let names = table_list(table_names)?;
        let options = self.for_read(table_options)?;
        let starts = start_offsets.map_or(Ok(Vec::new()), |given| starts(given, &names))?;
        let start = |name: &str| {
            let given = starts.iter().find(|(table, _)| table == name);
            given.map_or(&Value::Null, |(_, start)| start)
        };
        let wanted: Vec<_> = names
            .iter()
            .map(|table| Wanted {
                table,
                start: start(table),
            })
            .collect();
        let (reader, ends) =
            interruptible(py, |cancel| reader::read_tables(&wanted, &options, cancel))?;
        let offsets = PyDict::new(py);
        for (name, end) in names.iter().zip(&ends) {
            offsets.set_item(name, to_python(py, end)?)?;
        }
        Ok((TableBatches::new(reader), offsets))
    }

    #[pyo3(signature = (table_name, table_options=None, start_offset=None, end_offset=None))]
    fn latest_offset<'py>(
        &self,
        py: Python<'py>,
        table_name: &str,
        table_options: Option<&Bound<'py, PyAny>>,
        start_offset: Option<&Bound<'py, PyAny>>,
        end_offset: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let name = table(table_name)?.spec().name;
        let options = self.for_read(table_options)?;
        let start = optional("start_offset", start_offset)?;
        let bound = optional("end_offset", end_offset)?;
        let end = interruptible(py, |cancel| {
            reader::latest_offset(name, &start, &bound, &options, cancel)
        })?;
        to_python(py, &end)
    }

    #[pyo3(signature = (table_name, table_options=None, start_offset=None, end_offset=None))]
    fn get_partitions<'py>(
        &self,
        py: Python<'py>,
        table_name: &str,
        table_options: Option<&Bound<'py, PyAny>>,
        start_offset: Option<&Bound<'py, PyAny>>,
        end_offset: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let name = table(table_name)?.spec().name;
        let options = self.for_read(table_options)?;
        let start = optional("start_offset", start_offset)?;
        let end = optional("end_offset", end_offset)?;
        let partitions = interruptible(py, |cancel| {
            reader::partitions(name, &start, &end, &options, cancel)
        })?;
        to_python(py, &Value::Array(partitions))
    }

    #[pyo3(signature = (table_name, partition, table_options=None))]
    fn read_partition(
        &self,
        py: Python<'_>,
        table_name: &str,
        partition: &Bound<'_, PyAny>,
        table_options: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Records> {
        let name = table(table_name)?.spec().name;
        let options = self.for_read(table_options)?;
        let partition = from_python("partition", partition)?;
        let reader = interruptible(py, |cancel| {
            reader::read_partition(name, &partition, &options, cancel)
        })?;
        records_of(reader)
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>)> {
        let py = slf.py();
        let options = PyDict::new(py);
        for (name, value) in slf.get().options.given() {
            options.set_item(name, value)?;
        }
        Ok((slf.get_type(), PyTuple::new(py, [options])?))
    }

    fn __repr__(&self) -> String {
        format!("<LakeflowConnect to {}>", self.options.place())
    }

    fn _repr_html_(&self) -> String {
        let head = ["table", "primary keys", "ingestion", "columns"].map(str::to_owned);
        let rows: Vec<Vec<String>> = TABLES
            .iter()
            .map(|table| {
                let spec = table.spec();
                let columns: Vec<_> = spec.columns.iter().map(|column| column.name).collect();
                vec![
                    spec.name.to_owned(),
                    spec.primary_keys().collect::<Vec<_>>().join(", "),
                    spec.ingestion_type().to_owned(),
                    columns.join(", "),
                ]
            })
            .collect();
        html::table(&self.__repr__(), &head, &rows)
    }
}

impl LakeflowConnect {
    fn for_read(&self, table_options: Option<&Bound<'_, PyAny>>) -> PyResult<Options> {
        let given = table_options.map_or(Ok(Vec::new()), |given| pairs(given, "table_options"))?;
        Ok(self.options.for_read(given)?)
    }
}

/// The records of a reader's one table.
fn records_of(reader: Reader) -> PyResult<Records> {
    let [part] = reader.parts() else {
        return Err(ConfigurationError::new_err("one table makes one stream"));
    };
    let part = part.clone();
    Ok(Records(Stream::new(part, reader)))
}

/// Names of tables: anything that can be gone through, but not a single string.
fn table_list(given: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    let names = match given.is_instance_of::<PyString>() {
        true => None,
        false => given.try_iter().ok(),
    };
    let names = names.ok_or_else(|| {
        ConfigurationError::new_err(format!(
            "table_names must be a list of tables' names, not {}",
            type_name(given)
        ))
    })?;
    let mut list: Vec<String> = Vec::new();
    for name in names {
        let name = name?;
        list.push(name.extract().map_err(|_| {
            ConfigurationError::new_err(format!(
                "table_names must be strings, and one is {}",
                type_name(&name)
            ))
        })?);
    }
    if list.is_empty() {
        return Err(ConfigurationError::new_err("table_names names no table"));
    }
    Ok(list)
}

/// The offsets of those tables that have one.
fn starts(given: &Bound<'_, PyAny>, names: &[String]) -> PyResult<Vec<(String, Value)>> {
    let items = given.call_method0("items").map_err(|_| {
        ConfigurationError::new_err(format!(
            "start_offsets must be a mapping of tables' names to offsets, not {}",
            type_name(given)
        ))
    })?;
    let mut starts = Vec::new();
    for item in items.try_iter()? {
        let (table, start): (String, Option<Bound<'_, PyAny>>) = item?.extract()?;
        if !names.contains(&table) {
            return Err(ConfigurationError::new_err(format!(
                "start_offsets has one for table {table:?}, which is not to be read"
            )));
        }
        let start = optional("start_offset", start.as_ref())?;
        starts.push((table, start));
    }
    Ok(starts)
}

/// JSON as Python has it.
fn to_python<'py>(py: Python<'py>, json: &Value) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?
        .call_method1("loads", (json.to_string(),))
}

/// The pairs of a mapping of strings: a dict, or what Spark hands over, which is none.
fn pairs(mapping: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<(String, String)>> {
    let items = mapping.call_method0("items").map_err(|_| {
        ConfigurationError::new_err(format!(
            "{what} must be a mapping of strings, not {}",
            type_name(mapping)
        ))
    })?;
    let mut pairs = Vec::new();
    for item in items.try_iter()? {
        let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
        let name: String = name.extract().map_err(|_| {
            ConfigurationError::new_err(format!(
                "the names of {what} must be strings, and one is {}",
                type_name(&name)
            ))
        })?;
        // The value may be a secret: only its type is told.
        let value: String = value.extract().map_err(|_| {
            ConfigurationError::new_err(format!(
                "option {name:?} must be a string of Unicode text, not {}",
                type_name(&value)
            ))
        })?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// An offset by way of JSON, which is what it will be kept as.
fn optional(name: &str, given: Option<&Bound<'_, PyAny>>) -> PyResult<Value> {
    given.map_or(Ok(Value::Null), |given| from_python(name, given))
}

fn from_python(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Value> {
    let py = given.py();
    let wrong = |why: String| {
        ConfigurationError::new_err(format!("{name} must be a JSON-able dict: {why}"))
    };
    if given.is_instance_of::<PyString>() {
        return Err(wrong(
            "this is text; take it apart with json.loads".to_owned(),
        ));
    }
    let Ok(items) = given.getattr("items") else {
        return Err(wrong(format!("it is of type {}", type_name(given))));
    };
    let dict = items
        .call0()
        .and_then(|items| py.get_type::<PyDict>().call1((items,)))
        .map_err(|error| wrong(error.to_string()))?;
    let json = py
        .import("json")?
        .call_method1("dumps", (dict,))
        .map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(json.extract()?).map_err(|error| wrong(error.to_string()))
}

fn type_name(object: &Bound<'_, PyAny>) -> String {
    let name = object.get_type().name();
    name.map_or_else(|_| "something else".to_owned(), |name| name.to_string())
}
