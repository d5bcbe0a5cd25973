//! Rows appended cell by cell, closed into record batches.
//!
//! Cells are bytes until a batch closes; only there is UTF-8 asked for, once for a whole
//! column, and only there does `invalid_utf8` decide.

mod asked;
mod cells;
mod held;
mod undecodable;

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter;
use arrow::datatypes::{DataType, SchemaRef};

use crate::error::{Error, Result};
use crate::options::{InvalidUtf8, ReadOptions};
use crate::receipt::Receipt;

pub use asked::{Asked, Column, Type, column, key};

use cells::{Builder, Built};
use held::Held;

/// A batch closes at so many rows: what Spark and DuckDB like to be given.
const BATCH_ROWS: usize = 64 * 1024;
/// … or at so many bytes, so that a few batches under way stay small beside a worker's memory.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Tables and nodes that are read together have smaller batches, down to this part of that.
const MOST_PARTS: usize = 32;

/// Builds the batches of one table.
pub struct Rows {
    table: &'static str,
    columns: Arc<[Column]>,
    /// What stands in the appended columns of every row.
    constants: Vec<Constant>,
    asked: Asked,
    schema: SchemaRef,
    invalid_utf8: InvalidUtf8,
    receipt: Arc<Receipt>,
    builders: Vec<Builder>,
    /// The column that the next cell goes to.
    next: usize,
    rows: usize,
    taken: u64,
    bytes: usize,
    /// At how many bytes a batch closes.
    batch_bytes: usize,
    held: Option<Held>,
    sink: Sink,
}

/// What is the same in all rows of a builder.
#[derive(Clone, Debug)]
pub enum Constant {
    Long(i64),
    Text(String),
}

/// The cells of a batch, by column.
struct Closed {
    cells: Vec<Built>,
    rows: usize,
}

/// Where batches go as they close; an error ends the read.
pub type Sink = Box<dyn FnMut(RecordBatch) -> Result<()> + Send>;

impl Rows {
    /// A builder beside so many others, which share the memory for their open batches.
    pub fn new(
        table: &'static str,
        asked: Asked,
        options: &ReadOptions,
        receipt: Arc<Receipt>,
        others: usize,
        sink: Sink,
    ) -> Self {
        Rows {
            batch_bytes: BATCH_BYTES / (others + 1).min(MOST_PARTS),
            table,
            columns: asked.columns.clone(),
            constants: Vec::new(),
            schema: asked.schema(options),
            invalid_utf8: options.invalid_utf8,
            receipt,
            builders: asked.builders(),
            asked,
            next: 0,
            rows: 0,
            taken: 0,
            bytes: 0,
            held: None,
            sink,
        }
    }

    /// What stands in the columns that were appended to the table's own.
    #[must_use]
    pub fn with_constants(self, constants: Vec<Constant>) -> Self {
        Rows { constants, ..self }
    }

    /// The next cell of the row: bytes, for a `Bytes` or `Text` column.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.write(|cell| cell.extend_from_slice(value))
    }

    /// The next cell of the row: what `write` appends to the column's own bytes.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        if let Some(Builder::Bytes(builder)) = self.builders.get_mut(self.next) {
            let before = builder.values.len();
            write(&mut builder.values);
            self.bytes += builder.values.len() - before;
            builder.end_cell();
            builder.nulls.append_non_null();
        }
        self.next += 1;
        self
    }

    /// A part of the next cell, which `bytes` or `write` ends; returns the cell's length so far.
    pub fn part(&mut self, value: &[u8]) -> usize {
        let Some(Builder::Bytes(builder)) = self.builders.get_mut(self.next) else {
            return 0;
        };
        builder.values.extend_from_slice(value);
        self.bytes += value.len();
        builder.open_cell()
    }

    /// The next cell of the row: a number, or null.
    pub fn long(&mut self, value: impl Into<Option<i64>>) -> &mut Self {
        if let Some(Builder::Long(values, nulls)) = self.builders.get_mut(self.next) {
            let value = value.into();
            values.push(value.unwrap_or_default());
            nulls.append(value.is_some());
            self.bytes += size_of::<i64>();
        }
        self.next += 1;
        self
    }

    /// The next cell of the row.
    pub fn double(&mut self, value: f64) -> &mut Self {
        if let Some(Builder::Double(values)) = self.builders.get_mut(self.next) {
            values.push(value);
            self.bytes += size_of::<f64>();
        }
        self.next += 1;
        self
    }

    /// The next cell of the row: bytes, or null.
    pub fn bytes_or_null(&mut self, value: Option<&[u8]>) -> &mut Self {
        let Some(value) = value else {
            if let Some(Builder::Bytes(builder)) = self.builders.get_mut(self.next) {
                builder.end_cell();
                builder.nulls.append_null();
            }
            self.next += 1;
            return self;
        };
        self.bytes(value)
    }

    /// Ends the row, and closes the batch where it is large enough.
    pub fn end_row(&mut self) -> Result<()> {
        self.append_constants();
        debug_assert_eq!(self.next, self.columns.len(), "{}", self.table);
        self.next = 0;
        self.rows += 1;
        self.taken += 1;
        if self.bytes > i32::MAX as usize {
            self.check_offsets()?;
        }
        if self.rows >= BATCH_ROWS || self.bytes >= self.batch_bytes {
            self.close()?;
        }
        Ok(())
    }

    fn append_constants(&mut self) {
        // Taken for the time of writing: cells are written through the whole builder.
        let constants = std::mem::take(&mut self.constants);
        for constant in &constants {
            match constant {
                Constant::Long(value) => self.long(*value),
                Constant::Text(text) => self.bytes(text.as_bytes()),
            };
        }
        self.constants = constants;
    }

    /// All rows that were ever ended.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Makes the rows so far a batch, if there are any.
    pub fn close(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.bytes);
        let closed = Closed {
            rows: std::mem::take(&mut self.rows),
            cells: self
                .builders
                .iter_mut()
                .map(Builder::take)
                .collect::<Result<_>>()?,
        };
        let Some(held) = &mut self.held else {
            return self.hand_over(&closed);
        };
        if held.add(closed, bytes) {
            return Ok(());
        }
        self.release()
    }

    fn hand_over(&mut self, closed: &Closed) -> Result<()> {
        let batch = self.batch(&closed.cells, closed.rows)?;
        self.receipt.rows.add(batch.num_rows() as u64);
        if batch.num_rows() > 0 {
            (self.sink)(batch)?;
        }
        Ok(())
    }

    /// Two values of a gigabyte in one cell cannot be told apart by 32-bit offsets.
    fn check_offsets(&self) -> Result<()> {
        for (column, builder) in self.columns.iter().zip(&self.builders) {
            if let Builder::Bytes(builder) = builder
                && builder.values.len() > i32::MAX as usize
            {
                return Err(Error::Protocol(format!(
                    "table {}, column {}: a row of more than 2 GiB does not fit an Arrow string",
                    self.table, column.name
                )));
            }
        }
        Ok(())
    }

    fn batch(&self, built: &[Built], rows: usize) -> Result<RecordBatch> {
        let mut keep = None;
        let mut arrays = Vec::with_capacity(self.asked.places.len());
        for (field, place) in self.schema.fields().iter().zip(&self.asked.places) {
            let array: ArrayRef = match &built[*place] {
                Built::Number(array) => array.clone(),
                Built::Bytes(cells) if field.data_type() == &DataType::Binary => {
                    Arc::new(cells.clone().binary()?)
                }
                Built::Bytes(cells) => match cells.clone().text() {
                    Ok(array) => Arc::new(array),
                    Err(_) => self.decode(built, *place, rows, &mut keep)?,
                },
                Built::Unasked => continue,
            };
            arrays.push(array);
        }
        if let Some(keep) = keep {
            let keep = BooleanArray::from(keep);
            self.receipt.rows_skipped.add(keep.false_count() as u64);
            for array in &mut arrays {
                *array = filter(array, &keep)?;
            }
        }
        Ok(RecordBatch::try_new(self.schema.clone(), arrays)?)
    }
}

#[cfg(test)]
mod tests;
