//! What is done with every key that is visited.

use std::time::Duration;

use super::InPages;
use crate::error::Result;
use crate::receipt::Receipt;
use crate::resp::{Commands, Replies};
use crate::tables::{At, Outcome, Piece, Size};

/// Which of the keys that SCAN names a visitor wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    Nothing,
    All,
    Type(&'static str),
}

impl Wants {
    pub fn key_type(&self) -> Option<&'static str> {
        match self {
            Wants::Type(key_type) => Some(key_type),
            Wants::All | Wants::Nothing => None,
        }
    }
}

/// What is done with every key that is visited.
pub trait Visitor {
    /// The table, as errors name it.
    fn table(&self) -> &'static str;
    fn receipt(&self) -> &Receipt;
    fn wants(&self) -> Wants;
    /// The command that tells a key's size before it is fetched.
    fn size(&self) -> Option<Size> {
        None
    }
    /// Whether a piece begins with its key's TTL.
    fn asks_ttl(&self) -> bool {
        false
    }
    /// How many pieces may be fetched together.
    fn bundle(&self) -> usize {
        1
    }
    /// Above so many bytes a key counts as large.
    fn whole_bytes(&self) -> u64 {
        u64::MAX
    }
    /// Where to begin a key, which may be too large for one reply; None where it is gone.
    fn first(&self, _: &Piece, _large: bool) -> Option<At> {
        Some(At::Whole)
    }
    fn fetch(&self, pieces: &[Piece], to: &mut Commands);
    fn take(&mut self, pieces: Vec<Piece>, replies: &mut Replies<'_>) -> Result<Outcome>;
    /// How many elements were taken so far.
    fn taken(&self) -> u64;
    /// Called for a piece whose key is gone, or of another type.
    fn missing(&mut self, _key: &[u8]) -> Result<()> {
        Ok(())
    }
    /// Called for a key that the user may not read, where that is no error.
    fn denied(&mut self, _key: &[u8]) -> Result<()> {
        self.receipt().keys_denied.add(1);
        Ok(())
    }
    /// For how long, so far, what was taken had to wait until somebody wanted it.
    fn held_up(&self) -> Duration {
        Duration::ZERO
    }
    /// From now on, what is taken may be undone.
    fn hold(&mut self) -> Result<()> {
        Ok(())
    }
    /// Lets go of what was taken since `hold`.
    fn release(&mut self) -> Result<()> {
        Ok(())
    }
    /// Drops what was taken since `hold`; false where it is gone already.
    fn undo(&mut self) -> Result<bool> {
        Ok(true)
    }
    /// How keys are read that are too large for one reply, where `first` may say so.
    fn in_pages(&mut self) -> Option<&mut dyn InPages> {
        None
    }
}
