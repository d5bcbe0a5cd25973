//! How far a read has come, while it goes on: which share of the keyspace is behind it.
//!
//! A read goes over stretches: each is a database of a node, and is as heavy as it has keys. The
//! thread that reads one says how far it has come there, by SCAN's cursors; any thread may ask what
//! that makes of the whole.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::error::lock;

/// What a read that goes on says at the most: when all keys are named, some are yet to be fetched,
/// and what moved meanwhile is read once more.
const MOST: f64 = 0.99;
/// How finely a share is kept.
const WHOLE: f64 = (1_u64 << 32) as f64;

/// A part of what is to be read, and how far it is read.
#[derive(Debug)]
pub struct Stretch {
    weight: u64,
    /// The share that is behind, of [`WHOLE`], and one; 0 where nothing is known of it.
    come: AtomicU64,
}

impl Stretch {
    /// As heavy as so many keys or entries; the lightest one has its end to come to, too.
    pub fn new(weight: u64) -> Self {
        Stretch {
            weight: weight.max(1),
            come: AtomicU64::new(0),
        }
    }

    /// Says which share of it is behind; None where that cannot be told.
    pub fn reached(&self, share: Option<f64>) {
        let come = share.map_or(0, |share| 1 + (share.clamp(0.0, 1.0) * WHOLE) as u64);
        self.come.store(come, Relaxed);
    }

    fn share(&self) -> Option<f64> {
        let come = self.come.load(Relaxed).checked_sub(1)?;
        Some(come as f64 / WHOLE)
    }
}

impl Default for Stretch {
    fn default() -> Self {
        Stretch::new(1)
    }
}

/// How far a read has come.
#[derive(Debug, Default)]
pub struct Scanned(Mutex<Stretches>);

#[derive(Debug, Default)]
struct Stretches {
    these: Vec<Arc<Stretch>>,
    /// What was behind when these were begun.
    before: f64,
    /// The most that was ever said: what is behind never grows less.
    said: f64,
}

impl Scanned {
    /// Goes on over other stretches, which are all that is left.
    pub fn begin(&self, stretches: Vec<Arc<Stretch>>) {
        let mut state = lock(&self.0);
        state.share();
        state.before = state.said;
        state.these = stretches;
    }

    /// Between 0 and 1, and never less than before; None where nothing is known of any stretch. One
    /// of which nothing is known counts when it is over.
    pub fn share(&self) -> Option<f64> {
        lock(&self.0).share()
    }
}

impl Stretches {
    fn share(&mut self) -> Option<f64> {
        let is_told = self.these.iter().any(|stretch| stretch.share().is_some());
        if !is_told && self.before == 0.0 {
            return None;
        }
        let weight = |stretch: &Arc<Stretch>| stretch.weight as f64;
        let all: f64 = self.these.iter().map(weight).sum();
        let come = |stretch: &Arc<Stretch>| weight(stretch) * stretch.share().unwrap_or_default();
        let come: f64 = self.these.iter().map(come).sum();
        let share = match self.these.is_empty() {
            true => self.before,
            false => self.before + (1.0 - self.before) * come / all,
        };
        self.said = self.said.max(share.min(MOST));
        Some(self.said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(scanned: &Scanned, weights: &[u64]) -> Vec<Arc<Stretch>> {
        let stretches = weights.iter().map(|weight| Arc::new(Stretch::new(*weight)));
        let stretches: Vec<_> = stretches.collect();
        scanned.begin(stretches.clone());
        stretches
    }

    fn near(share: Option<f64>, expected: f64) -> bool {
        share.is_some_and(|share| (share - expected).abs() < 1e-6)
    }

    #[test]
    fn stretches_count_by_their_weight() {
        let scanned = Scanned::default();
        assert_eq!(scanned.share(), None);
        let stretches = begin(&scanned, &[300, 100, 0]);
        assert_eq!(scanned.share(), None);
        stretches[1].reached(Some(0.0));
        assert!(near(scanned.share(), 0.0));
        stretches[0].reached(Some(0.5));
        assert!(near(scanned.share(), 150.0 / 401.0));
        stretches[1].reached(Some(1.0));
        assert!(near(scanned.share(), 250.0 / 401.0));
        stretches[2].reached(Some(1.0));
        stretches[0].reached(Some(2.0));
        assert!(near(scanned.share(), MOST));
    }

    #[test]
    fn what_is_said_never_grows_less() {
        let scanned = Scanned::default();
        let stretches = begin(&scanned, &[1, 1]);
        stretches[0].reached(Some(1.0));
        stretches[1].reached(Some(0.2));
        assert!(near(scanned.share(), 0.6));
        stretches[1].reached(None);
        assert!(near(scanned.share(), 0.6));
        // Another pass, over what is left.
        let stretches = begin(&scanned, &[5]);
        assert!(near(scanned.share(), 0.6));
        stretches[0].reached(Some(0.5));
        assert!(near(scanned.share(), 0.8));
        begin(&scanned, &[]);
        assert!(near(scanned.share(), 0.8));
    }

    #[test]
    fn where_the_only_stretch_cannot_be_told_nothing_can() {
        let scanned = Scanned::default();
        let stretches = begin(&scanned, &[7]);
        stretches[0].reached(Some(0.3));
        stretches[0].reached(None);
        assert_eq!(scanned.share(), None);
        stretches[0].reached(Some(0.1));
        assert!(near(scanned.share(), 0.1));
    }
}
