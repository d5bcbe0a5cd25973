//! Servers by which the others are found.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::error::{Error, Result};

/// Which of the seeds to begin with: the one that answered last. Another that is silent costs its
/// deadline once, and not whenever they are asked.
#[derive(Debug, Default)]
pub struct Turn(AtomicUsize);

impl Turn {
    /// What the first of the seeds gives that can be reached.
    pub fn first_of<S, T>(&self, seeds: &[S], mut give: impl FnMut(&S) -> Result<T>) -> Result<T> {
        let mut order: Vec<usize> = (0..seeds.len()).collect();
        order.rotate_left(self.0.load(Relaxed) % seeds.len().max(1));
        first_of(&order, |place| {
            let given = give(&seeds[*place])?;
            self.0.store(*place, Relaxed);
            Ok(given)
        })
    }

    /// The one that answered is of no use: another one is asked first the next time.
    pub fn pass_on(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// What one of several servers gives. Only one that does not answer is passed over: credentials
/// that are wrong are not tried everywhere.
pub fn first_of<S, T>(seeds: &[S], mut give: impl FnMut(&S) -> Result<T>) -> Result<T> {
    let mut failed: Vec<Error> = Vec::new();
    for seed in seeds {
        match give(seed) {
            Err(error) if error.is_unreachable() => failed.push(error),
            other => return other,
        }
    }
    let mut failed = failed.into_iter();
    let none = || Error::configuration("no server is named".to_owned());
    let first = failed.next().unwrap_or_else(none);
    let others: Vec<_> = failed.map(|error| error.brief()).collect();
    Err(match others.len() {
        0 => first,
        _ => first.at(format!(
            "none of {} servers can be reached (besides the first: {})",
            seeds.len(),
            others.join("; ")
        )),
    })
}
