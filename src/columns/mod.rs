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

/// Tables that are read together have smaller batches, down to this part of that.
const MOST_PARTS: usize = 4;

/// Builds the batches of one table.
pub struct Rows {
    table: &'static str,
    columns: &'static [Column],
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
            columns: asked.columns,
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
mod tests {
    use super::*;
    use crate::options::Options;
    use arrow::array::{Array as _, AsArray as _};
    use arrow::datatypes::Int64Type;
    use std::sync::mpsc;

    const COLUMNS: &[Column] = &[
        key("name", Type::Bytes),
        column("value", Type::Bytes),
        column("n", Type::Long),
        column("x", Type::Double),
    ];

    /// A builder, and what comes out of it.
    fn rows(options: &[(&str, &str)]) -> (Rows, mpsc::Receiver<RecordBatch>) {
        let options = Options::for_connector([("host", "a")])
            .unwrap()
            .for_read(options.iter().copied())
            .unwrap();
        let (sender, receiver) = mpsc::channel();
        let sink = Box::new(move |batch| {
            sender.send(batch).unwrap();
            Ok(())
        });
        let read = options.read().unwrap();
        let asked = Asked::of("test", COLUMNS, &read).unwrap();
        let rows = Rows::new("test", asked, &read, Arc::default(), 0, sink);
        (rows, receiver)
    }

    fn fill(options: &[(&str, &str)], values: &[&[u8]]) -> Result<RecordBatch> {
        let (mut rows, batches) = rows(options);
        for (n, value) in values.iter().enumerate() {
            let n = n as i64;
            rows.bytes(format!("k{n}").as_bytes())
                .bytes(value)
                .long((n > 0).then_some(n))
                .double(0.5)
                .end_row()?;
        }
        rows.close()?;
        Ok(batches.try_recv().unwrap())
    }

    #[test]
    fn cells_become_columns() {
        let batch = fill(&[], &[b"", "ä".as_bytes()]).unwrap();
        assert_eq!(batch.column(1).as_string::<i32>().value(1), "ä");
        let numbers = batch.column(2).as_primitive::<Int64Type>();
        assert!(numbers.is_null(0) && numbers.value(1) == 1);
    }

    #[test]
    fn bytes_that_are_not_utf8_go_as_the_option_says() {
        let values: &[&[u8]] = &[b"a", b"\xff", b"c"];
        let error = fill(&[], values).unwrap_err().to_string();
        for part in ["name \"k1\"", "column value", "value_type=binary"] {
            assert!(error.contains(part), "{error}");
        }
        let value = |mode: &str, row| {
            let batch = fill(&[("invalid_utf8", mode)], values).unwrap();
            let column = batch.column(1).as_string::<i32>().clone();
            (
                batch.num_rows(),
                column.is_valid(row).then(|| column.value(row).to_owned()),
            )
        };
        assert_eq!(value("replace", 1), (3, Some("\u{fffd}".to_owned())));
        assert_eq!(value("null", 1), (3, None));
        assert_eq!(value("skip", 1), (2, Some("c".to_owned())));
        let batch = fill(&[("value_type", "binary")], values).unwrap();
        assert_eq!(batch.column(1).as_binary::<i32>().value(1), b"\xff");
    }

    /// Two cells that are UTF-8 only together are not UTF-8.
    #[test]
    fn characters_do_not_span_cells() {
        assert!(fill(&[], &[b"\xc3", b"\xa4"]).is_err());
    }

    #[test]
    fn batches_close_by_rows_and_by_bytes() {
        let (mut small, batches) = rows(&[]);
        for _ in 0..BATCH_ROWS + 1 {
            small
                .bytes(b"k")
                .bytes(b"")
                .long(1)
                .double(0.0)
                .end_row()
                .unwrap();
        }
        assert_eq!(batches.try_recv().unwrap().num_rows(), BATCH_ROWS);
        small.close().unwrap();
        assert_eq!(batches.try_recv().unwrap().num_rows(), 1);
        let (mut large, batches) = rows(&[]);
        let value = vec![b'x'; BATCH_BYTES / 4];
        for _ in 0..5 {
            large
                .bytes(b"k")
                .bytes(&value)
                .long(1)
                .double(0.0)
                .end_row()
                .unwrap();
        }
        assert_eq!(batches.try_recv().unwrap().num_rows(), 4);
    }

    #[test]
    fn only_columns_that_were_asked_for_come_in_their_order() {
        let batch = fill(&[("columns", "x,name")], &[b"a", b"\xff"]).unwrap();
        let names = batch.schema();
        let names: Vec<_> = names.fields().iter().map(|field| field.name()).collect();
        assert_eq!(names, ["x", "name"]);
        assert_eq!(batch.num_rows(), 2);
        // The row is still named.
        let error = fill(&[("columns", "value")], &[b"\xff"]).unwrap_err();
        assert!(error.to_string().contains("name \"k0\""), "{error}");
    }

    #[test]
    fn held_rows_can_be_undone_until_they_are_too_many() {
        let add = |rows: &mut Rows, value: &[u8]| {
            let row = rows.bytes(b"k").bytes(value).long(1).double(0.0);
            row.end_row().unwrap();
        };
        let (mut rows, batches) = rows(&[]);
        add(&mut rows, b"before");
        rows.hold().unwrap();
        assert_eq!(batches.try_recv().unwrap().num_rows(), 1);
        add(&mut rows, b"undone");
        rows.close().unwrap();
        rows.bytes(b"k").part(b"half a cell");
        assert!(rows.undo());
        add(&mut rows, b"after");
        rows.close().unwrap();
        let batch = batches.try_recv().unwrap();
        assert_eq!(batch.column(1).as_string::<i32>().value(0), "after");

        rows.hold().unwrap();
        for _ in 0..5 {
            add(&mut rows, &vec![b'x'; BATCH_BYTES]);
        }
        assert!(batches.try_recv().is_ok());
        assert!(!rows.undo());
        rows.close().unwrap();
        assert_eq!(batches.try_iter().count(), 4);
    }
}
