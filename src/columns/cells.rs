//! The cells of one column: while a batch is under way, and when it closes.

use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{ArrayRef, BinaryArray, Float64Array, Int64Array, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::error::ArrowError;

use super::{BATCH_BYTES, Type};
use crate::error::Result;

/// The cells of one column of the batch under way.
pub enum Builder {
    Bytes(BytesBuilder),
    Long(Vec<i64>, NullBufferBuilder),
    Double(Vec<f64>),
    /// Nobody wants these.
    Unasked,
}

pub struct BytesBuilder {
    pub values: Vec<u8>,
    /// Where each cell ends; the first entry is the first cell's start.
    offsets: Vec<i32>,
    pub nulls: NullBufferBuilder,
}

/// The cells of one column of a batch that closes.
pub enum Built {
    Bytes(Cells),
    Number(ArrayRef),
    Unasked,
}

/// Byte strings as Arrow lays them out, before anything is said of their encoding.
#[derive(Clone)]
pub struct Cells {
    values: Buffer,
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
}

impl Builder {
    pub fn new(kind: Type) -> Self {
        match kind {
            Type::Bytes | Type::Text => Builder::Bytes(BytesBuilder::with_room_like(0, 0)),
            Type::Long => Builder::Long(Vec::new(), NullBufferBuilder::new(0)),
            Type::Double => Builder::Double(Vec::new()),
        }
    }

    /// The cells so far. What comes next gets as much room, for batches are alike.
    pub fn take(&mut self) -> Result<Built> {
        Ok(match self {
            Builder::Bytes(builder) => {
                let room =
                    BytesBuilder::with_room_like(builder.values.len(), builder.offsets.len());
                let mut cells = std::mem::replace(builder, room);
                Built::Bytes(Cells {
                    values: Buffer::from_vec(cells.values),
                    offsets: OffsetBuffer::new(ScalarBuffer::from(cells.offsets)),
                    nulls: cells.nulls.finish(),
                })
            }
            Builder::Long(values, nulls) => {
                let room = Vec::with_capacity(values.len());
                let values = std::mem::replace(values, room);
                let array = Int64Array::try_new(ScalarBuffer::from(values), nulls.finish())?;
                Built::Number(Arc::new(array))
            }
            Builder::Double(values) => {
                let room = Vec::with_capacity(values.len());
                let values = std::mem::replace(values, room);
                Built::Number(Arc::new(Float64Array::from(values)))
            }
            Builder::Unasked => Built::Unasked,
        })
    }
}

impl Built {
    /// Its first cells.
    pub fn head(self, cells: usize) -> Self {
        match self {
            Built::Bytes(all) => Built::Bytes(Cells {
                values: all.values,
                offsets: all.offsets.slice(0, cells),
                nulls: all.nulls.map(|nulls| nulls.slice(0, cells)),
            }),
            Built::Number(array) => Built::Number(array.slice(0, cells)),
            Built::Unasked => Built::Unasked,
        }
    }
}

impl BytesBuilder {
    pub fn with_room_like(bytes: usize, offsets: usize) -> Self {
        let mut starts = Vec::with_capacity(offsets.max(1));
        starts.push(0);
        BytesBuilder {
            // One huge value is no reason to set as much aside again.
            values: Vec::with_capacity(bytes.min(BATCH_BYTES)),
            offsets: starts,
            nulls: NullBufferBuilder::new(0),
        }
    }

    /// The length of the cell that has not ended.
    pub fn open_cell(&self) -> usize {
        let begin = self.offsets.last().copied().unwrap_or_default();
        self.values.len() - usize::try_from(begin).unwrap_or_default()
    }

    /// Keeps so many cells, and nothing of one that has not ended.
    pub fn truncate(&mut self, cells: usize) {
        self.offsets.truncate(cells + 1);
        let end = self.offsets.last().copied().unwrap_or_default();
        self.values
            .truncate(usize::try_from(end).unwrap_or_default());
        self.nulls.truncate(cells);
    }

    pub fn end_cell(&mut self) {
        // Beyond i32 the row is refused as a whole by `check_offsets`.
        let end = i32::try_from(self.values.len()).unwrap_or(i32::MAX);
        self.offsets.push(end);
    }
}

impl Cells {
    pub fn text(self) -> Result<StringArray, ArrowError> {
        StringArray::try_new(self.offsets, self.values, self.nulls)
    }

    pub fn binary(self) -> Result<BinaryArray, ArrowError> {
        BinaryArray::try_new(self.offsets, self.values, self.nulls)
    }

    /// The bytes of a row, None for null.
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        let start = usize::try_from(self.offsets[row]).ok()?;
        let end = usize::try_from(self.offsets[row + 1]).ok()?;
        self.values.get(start..end)
    }
}
