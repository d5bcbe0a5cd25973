//! Going back to where a builder was, when what came since proves to be only a part.

use super::Rows;
use super::cells::Builder;

/// Where a builder was.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    rows: usize,
    bytes: usize,
    taken: u64,
    batches: u64,
}

impl Rows {
    pub fn mark(&self) -> Mark {
        Mark {
            rows: self.rows,
            bytes: self.bytes,
            taken: self.taken,
            batches: self.batches,
        }
    }

    /// Drops what came since, with an unfinished row. False, and nothing is dropped, where a part
    /// of it has left already in a batch.
    pub fn rewind(&mut self, mark: Mark) -> bool {
        if self.batches != mark.batches {
            return false;
        }
        for builder in &mut self.builders {
            builder.truncate(mark.rows);
        }
        (self.next, self.rows) = (0, mark.rows);
        (self.bytes, self.taken) = (mark.bytes, mark.taken);
        true
    }
}

impl Builder {
    /// Keeps so many cells, and nothing of one that has not ended.
    fn truncate(&mut self, cells: usize) {
        match self {
            Builder::Bytes(builder) => builder.truncate(cells),
            Builder::Long(values, nulls) => {
                values.truncate(cells);
                nulls.truncate(cells);
            }
            Builder::Double(values) => values.truncate(cells),
            Builder::Unasked => {}
        }
    }
}
