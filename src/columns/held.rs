//! Rows of a key that is read in pages: held back until it is known whether it changed meanwhile.

use super::{BATCH_BYTES, Closed, Rows};
use crate::error::Result;

/// More bytes are not held back: a few batches.
const HELD_BYTES: usize = 3 * BATCH_BYTES;

/// Cells that may yet be undone.
#[derive(Default)]
pub struct Held {
    closed: Vec<Closed>,
    bytes: usize,
}

impl Held {
    /// Adds a batch; false where there is too much of it now. One alone may be of any size: a
    /// single value is in memory anyway.
    pub fn add(&mut self, closed: Closed, bytes: usize) -> bool {
        self.closed.push(closed);
        self.bytes += bytes;
        self.closed.len() == 1 || self.bytes <= HELD_BYTES
    }
}

impl Rows {
    /// From now on, rows may be undone; those before may not.
    pub fn hold(&mut self) -> Result<()> {
        self.release()?;
        self.close()?;
        self.held = Some(Held::default());
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
    pub fn undo(&mut self) -> bool {
        if self.held.take().is_none() {
            return false;
        }
        self.builders = self.asked.builders();
        (self.next, self.rows, self.bytes) = (0, 0, 0);
        true
    }
}
