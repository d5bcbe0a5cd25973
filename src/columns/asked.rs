//! The columns of a table, and those of them that a read asks for.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::cells::Builder;
use crate::error::{Error, Result};
use crate::options::{InvalidUtf8, ReadOptions, ValueType, nearest};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A name or value out of Redis: any bytes; Utf8 or Binary by `value_type`.
    Bytes,
    /// A text that the server or we ourselves made.
    Text,
    Long,
    Double,
}

#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Type,
    /// Whether it is part of the table's primary key.
    pub key: bool,
}

pub const fn key(name: &'static str, kind: Type) -> Column {
    Column {
        name,
        kind,
        key: true,
    }
}

pub const fn column(name: &'static str, kind: Type) -> Column {
    Column {
        name,
        kind,
        key: false,
    }
}

/// The columns of a table that were asked for, in the order asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub(super) columns: Arc<[Column]>,
    /// Where they stand in the table.
    pub(super) places: Vec<usize>,
}

impl Asked {
    /// Of a table's columns, and those that this kind of read appends to tell rows apart.
    pub fn of(
        table: &'static str,
        columns: &[Column],
        appended: &[Column],
        options: &ReadOptions,
    ) -> Result<Self> {
        let columns: Arc<[Column]> = columns.iter().chain(appended).copied().collect();
        let place = |name: &String| {
            let found = columns.iter().position(|column| column.name == name);
            found.ok_or_else(|| {
                let names: Vec<_> = columns.iter().map(|column| column.name).collect();
                let text = format!(
                    "option `columns`: table {table} has no column {name:?}{}; it has {}",
                    nearest(name, names.iter().copied()),
                    names.join(", ")
                );
                Error::about(["columns"], text)
            })
        };
        let places = match &options.columns {
            Some(names) => names.iter().map(place).collect::<Result<_>>()?,
            None => (0..columns.len()).collect(),
        };
        Ok(Asked { columns, places })
    }

    pub fn has(&self, column: &str) -> bool {
        self.iter().any(|asked| asked.name == column)
    }

    /// Whether rows can be told apart by what was asked for.
    pub fn has_primary_key(&self) -> bool {
        let keys = self.columns.iter().filter(|column| column.key);
        keys.clone().count() > 0 && keys.clone().all(|key| self.has(key.name))
    }

    /// The columns that tell rows apart.
    pub fn primary_keys(&self) -> impl Iterator<Item = &'static str> {
        let keys = self.columns.iter().filter(|column| column.key);
        keys.map(|column| column.name)
    }

    fn iter(&self) -> impl Iterator<Item = &Column> {
        self.places.iter().map(|place| &self.columns[*place])
    }

    /// Their Arrow schema under these options.
    pub fn schema(&self, options: &ReadOptions) -> SchemaRef {
        let field = |column: &Column| {
            let data_type = match column.kind {
                Type::Bytes if options.value_type == ValueType::Binary => DataType::Binary,
                Type::Bytes | Type::Text => DataType::Utf8,
                Type::Long => DataType::Int64,
                Type::Double => DataType::Float64,
            };
            // A name that is not UTF-8 is a null under `invalid_utf8=null`, key or not.
            let may_be_undecodable =
                data_type == DataType::Utf8 && options.invalid_utf8 == InvalidUtf8::Null;
            Field::new(column.name, data_type, !column.key || may_be_undecodable)
        };
        Arc::new(Schema::new(self.iter().map(field).collect::<Vec<_>>()))
    }

    /// The builders of all the table's columns. Names are kept even where they were not asked
    /// for, since errors name their row by them.
    pub(super) fn builders(&self) -> Vec<Builder> {
        let builder = |column: &Column| match column.key || self.has(column.name) {
            true => Builder::new(column.kind),
            false => Builder::Unasked,
        };
        self.columns.iter().map(builder).collect()
    }
}
