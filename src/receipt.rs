//! What happened in a read, counted while it goes on.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::error::lock;
use crate::scanned::Scanned;

/// A count that the reading thread raises and any thread may look at.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Entries of a stream that are lost to whoever reads on from an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub db: u32,
    pub key: Vec<u8>,
    /// `trimmed`, `gone`, `created anew` or `went back`.
    pub why: &'static str,
    /// The id of the last entry that had been read before; None where the stream went meanwhile.
    pub after: Option<String>,
    /// How many, where the server tells.
    pub entries: Option<u64>,
}

#[derive(Debug)]
pub struct Receipt {
    pub keys_scanned: Count,
    pub duplicates_dropped: Count,
    pub keys_gone: Count,
    pub keys_changed_type: Count,
    /// Keys that the user may not read, and that were left out.
    pub keys_denied: Count,
    pub keys_paged: Count,
    /// Keys that were read in pages, and changed (or may have changed) meanwhile.
    pub keys_inconsistent: Count,
    pub rows: Count,
    pub rows_skipped: Count,
    pub values_replaced: Count,
    pub bytes: Count,
    /// How often something was tried again, which tables that are read together have in common.
    pub retries: Arc<Count>,
    /// How far the read has come, which tables may have in common.
    pub scanned: Arc<Scanned>,
    warnings: Mutex<Vec<String>>,
    gaps: Mutex<Vec<Gap>>,
    began: Instant,
    ended: Mutex<Option<End>>,
}

/// How a read ended.
#[derive(Clone, Copy, Debug)]
struct End {
    after: Duration,
    complete: bool,
}

/// Where a read is, all at one moment.
pub struct State {
    /// Whether the stream came to its proper end.
    pub complete: bool,
    pub seconds: f64,
    /// How far the read has come: 1 where it is complete; None where that cannot be told.
    pub share_scanned: Option<f64>,
}

impl Default for Receipt {
    fn default() -> Self {
        Receipt::new(Arc::default(), Arc::default())
    }
}

impl Receipt {
    pub fn new(scanned: Arc<Scanned>, retries: Arc<Count>) -> Self {
        Receipt {
            keys_scanned: Count::default(),
            duplicates_dropped: Count::default(),
            keys_gone: Count::default(),
            keys_changed_type: Count::default(),
            keys_denied: Count::default(),
            keys_paged: Count::default(),
            keys_inconsistent: Count::default(),
            rows: Count::default(),
            rows_skipped: Count::default(),
            values_replaced: Count::default(),
            bytes: Count::default(),
            retries,
            scanned,
            warnings: Mutex::default(),
            gaps: Mutex::default(),
            began: Instant::now(),
            ended: Mutex::default(),
        }
    }

    /// The counts by name, in the order in which to show them.
    pub fn counts(&self) -> [(&'static str, u64); 12] {
        self.named().map(|(name, count)| (name, count.get()))
    }

    /// Adds what another one has counted and warned of.
    pub fn add(&self, other: &Receipt) {
        for ((_, count), (_, more)) in self.named().into_iter().zip(other.named()) {
            count.add(more.get());
        }
        for warning in other.warnings() {
            self.warn(&warning);
        }
        lock(&self.gaps).extend(other.gaps());
    }

    fn named(&self) -> [(&'static str, &Count); 12] {
        [
            ("rows", &self.rows),
            ("bytes", &self.bytes),
            ("keys_scanned", &self.keys_scanned),
            ("duplicates_dropped", &self.duplicates_dropped),
            ("keys_gone", &self.keys_gone),
            ("keys_changed_type", &self.keys_changed_type),
            ("keys_denied", &self.keys_denied),
            ("keys_paged", &self.keys_paged),
            ("keys_inconsistent", &self.keys_inconsistent),
            ("rows_skipped", &self.rows_skipped),
            ("values_replaced", &self.values_replaced),
            ("retries", &self.retries),
        ]
    }

    /// Says something once per read, however often it happens.
    pub fn warn(&self, message: &str) {
        let mut warnings = lock(&self.warnings);
        if !warnings.iter().any(|known| known == message) {
            warnings.push(message.to_owned());
        }
    }

    /// Says that entries of a stream are lost.
    pub fn gap(&self, gap: Gap) {
        lock(&self.gaps).push(gap);
    }

    pub fn gaps(&self) -> Vec<Gap> {
        lock(&self.gaps).clone()
    }

    pub fn warnings(&self) -> Vec<String> {
        lock(&self.warnings).clone()
    }

    /// Says how the read ended, which is as it ended first.
    pub fn end(&self, complete: bool) {
        lock(&self.ended).get_or_insert_with(|| End {
            after: self.began.elapsed(),
            complete,
        });
    }

    pub fn state(&self) -> State {
        let ended = *lock(&self.ended);
        let complete = ended.is_some_and(|end| end.complete);
        State {
            complete,
            seconds: ended
                .map_or_else(|| self.began.elapsed(), |end| end.after)
                .as_secs_f64(),
            share_scanned: match complete {
                true => Some(1.0),
                false => self.scanned.share(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_state_is_of_one_moment() {
        for _ in 0..5_000 {
            let receipt = Receipt::default();
            thread::scope(|scope| {
                scope.spawn(|| receipt.end(true));
                loop {
                    let state = receipt.state();
                    assert_eq!(state.complete, state.share_scanned == Some(1.0));
                    if state.complete {
                        break;
                    }
                }
            });
        }
    }

    #[test]
    fn a_read_ends_once() {
        let receipt = Receipt::default();
        receipt.end(true);
        let seconds = receipt.state().seconds;
        receipt.end(false);
        assert!(receipt.state().complete);
        assert_eq!(receipt.state().seconds, seconds);
    }
}
