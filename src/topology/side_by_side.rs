//! Asking several servers at the same time, since each answers after a round trip.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::connection::Cancel;
use crate::error::{Error, Result};

/// So many at a time: a cluster has a thousand nodes at the most.
const THREADS: usize = 32;
/// How often it is asked whether the caller still wants an answer.
const SLICE: Duration = Duration::from_millis(50);

/// What each item gives, in their order, or the first error among them.
///
/// The caller's wish to stop is asked for on its own thread: another one may not be able to tell.
pub fn side_by_side<T: Send, R: Send>(
    items: Vec<T>,
    cancel: &Cancel,
    give: impl Fn(T, &Cancel) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    if items.len() == 1 {
        return items.into_iter().map(|item| give(item, cancel)).collect();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopped: Cancel = {
        let stop = stop.clone();
        Arc::new(move || stop.load(Relaxed))
    };
    let mut given = Vec::new();
    let mut items = items.into_iter();
    loop {
        let some: Vec<T> = items.by_ref().take(THREADS).collect();
        if some.is_empty() {
            return Ok(given);
        }
        let (sender, done) = mpsc::channel::<()>();
        let results: Vec<Result<R>> = std::thread::scope(|scope| {
            let threads: Vec<_> = some
                .into_iter()
                .map(|item| {
                    let (sender, give, stopped) = (sender.clone(), &give, &stopped);
                    std::thread::Builder::new().spawn_scoped(scope, move || {
                        // Dropped at the end, which is heard.
                        let _sender = sender;
                        give(item, stopped)
                    })
                })
                .collect();
            drop(sender);
            while let Err(RecvTimeoutError::Timeout) = done.recv_timeout(SLICE) {
                stop.fetch_or(cancel(), Relaxed);
            }
            let results = threads.into_iter().map(|thread| match thread {
                Ok(thread) => thread.join().unwrap_or(Err(Error::ReaderGone)),
                Err(error) => Err(Error::NoThread(error)),
            });
            results.collect()
        });
        for result in results {
            given.push(result?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_order_or_as_the_first_error() {
        let never: Cancel = Arc::new(|| false);
        let numbers: Vec<usize> = (0..100).collect();
        let doubled = side_by_side(numbers.clone(), &never, |n, _| Ok(2 * n)).unwrap();
        assert_eq!(doubled, (0..100).map(|n| 2 * n).collect::<Vec<_>>());
        let failed = side_by_side(numbers, &never, |n, _| match n {
            50.. => Err(Error::Protocol(n.to_string())),
            _ => Ok(()),
        });
        assert!(failed.unwrap_err().to_string().contains("50"));
    }

    #[test]
    fn a_caller_that_wants_no_more_stops_all() {
        let cancel: Cancel = Arc::new(|| true);
        let stopped = side_by_side(vec![1, 2], &cancel, |_, cancel| {
            while !cancel() {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err::<(), _>(Error::Interrupted)
        });
        assert!(stopped.unwrap_err().is_interrupt());
    }
}
