//! Rows that may have to go again, when what they were made of proves to be only a part: they are held
//! back until that is known.

use super::cells::Builder;
use super::{BATCH_BYTES, Closed, Rows};
use crate::error::Result;

/// More bytes are not held back: a few batches.
const HELD_BYTES: usize = 3 * BATCH_BYTES;

/// Where a builder was, and the batches that were closed since.
#[derive(Default)]
pub struct Held {
    rows: usize,
    bytes: usize,
    taken: u64,
    closed: Vec<Closed>,
    closed_bytes: usize,
}

impl Held {
    /// Adds a batch; false where there is too much of it now. One alone may be of any size: a
    /// single value is in memory anyway.
    pub fn add(&mut self, closed: Closed, bytes: usize) -> bool {
        self.closed.push(closed);
        self.closed_bytes += bytes;
        self.closed.len() == 1 || self.closed_bytes <= HELD_BYTES
    }
}

impl Rows {
    /// From now on, rows may be undone; those before may not.
    pub fn hold(&mut self) -> Result<()> {
        self.release()?;
        self.held = Some(Held {
            rows: self.rows,
            bytes: self.bytes,
            taken: self.taken,
            ..Held::default()
        });
        Ok(())
    }

    /// Lets go of the rows that were held.
    pub fn release(&mut self) -> Result<()> {
        for closed in self.held.take().unwrap_or_default().closed {
            self.hand_over(&closed)?;
        }
        Ok(())
    }

    /// Drops the rows since `hold`, with an unfinished one. False, and nothing is dropped, where
    /// they had become too many to be held.
    pub fn undo(&mut self) -> Result<bool> {
        let Some(held) = self.held.take() else {
            return Ok(false);
        };
        (self.next, self.taken) = (0, held.taken);
        if let Some(first) = held.closed.into_iter().next() {
            self.builders = self.asked.builders();
            (self.rows, self.bytes) = (0, 0);
            if held.rows > 0 {
                self.hand_over(&first.head(held.rows))?;
            }
        } else {
            for builder in &mut self.builders {
                builder.truncate(held.rows);
            }
            (self.rows, self.bytes) = (held.rows, held.bytes);
        }
        Ok(true)
    }
}

impl Closed {
    /// Its first rows.
    fn head(self, rows: usize) -> Self {
        let cells = self.cells.into_iter().map(|cells| cells.head(rows));
        Closed {
            cells: cells.collect(),
            rows,
        }
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
