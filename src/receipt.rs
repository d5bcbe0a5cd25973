//! What happened in a read, counted while it goes on.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::error::lock;

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
    warnings: Mutex<Vec<String>>,
    gaps: Mutex<Vec<Gap>>,
    began: Instant,
    ended: Mutex<Option<Duration>>,
    complete: AtomicBool,
}

impl Default for Receipt {
    fn default() -> Self {
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
            warnings: Mutex::default(),
            gaps: Mutex::default(),
            began: Instant::now(),
            ended: Mutex::default(),
            complete: AtomicBool::new(false),
        }
    }
}

impl Receipt {
    /// The counts by name, in the order in which to show them.
    pub fn counts(&self) -> [(&'static str, u64); 11] {
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

    fn named(&self) -> [(&'static str, &Count); 11] {
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

    pub fn end(&self, complete: bool) {
        lock(&self.ended).get_or_insert(self.began.elapsed());
        self.complete.store(complete, Relaxed);
    }

    /// Whether the stream came to its proper end.
    pub fn complete(&self) -> bool {
        self.complete.load(Relaxed)
    }

    pub fn seconds(&self) -> f64 {
        lock(&self.ended)
            .unwrap_or_else(|| self.began.elapsed())
            .as_secs_f64()
    }
}
