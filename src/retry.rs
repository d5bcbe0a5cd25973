//! Trying again what fails for a while: for how long, and after which pauses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::connection::{Cancel, pause};
use crate::error::{Error, Result};
use crate::receipt::Count;

/// Each twice as long as the one before, and by chance up to as much longer, so that those whom one
/// server has left do not all come back at once.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_jitter()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(Duration::from_secs(2))
    .without_max_times();

/// For how long to try again, and how often that was done.
#[derive(Clone, Debug)]
pub struct Retries {
    deadline: Duration,
    count: Arc<Count>,
}

impl Retries {
    pub fn new(deadline: Duration) -> Self {
        Retries {
            deadline,
            count: Arc::default(),
        }
    }

    /// Whether nothing that fails is tried again.
    pub fn are_none(&self) -> bool {
        self.deadline.is_zero()
    }

    /// How often something was tried again so far.
    pub fn count(&self) -> Arc<Count> {
        self.count.clone()
    }

    /// Something that may fail.
    pub fn begin(&self) -> Trouble {
        Trouble {
            retries: self.clone(),
            since: None,
            pauses: PAUSES.build(),
            tried: 0,
        }
    }
}

/// Something that fails, and is tried again until the deadline.
pub struct Trouble {
    retries: Retries,
    /// When it failed for the first time.
    since: Option<Instant>,
    pauses: ExponentialBackoff,
    tried: u64,
}

impl Trouble {
    /// What is given in the end, where errors that pass are waited for; the last of them when the time
    /// is up.
    pub fn patiently<T>(
        &mut self,
        cancel: &Cancel,
        passes: impl Fn(&Error) -> bool,
        mut give: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        loop {
            match give() {
                Err(error) if passes(&error) => self.wait(error, cancel)?,
                given => return given,
            }
        }
    }

    /// Waits until the next try; gives the error back where there is none any more.
    pub fn wait(&mut self, error: Error, cancel: &Cancel) -> Result<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let left = self.retries.deadline.saturating_sub(since.elapsed());
        // Whoever gave it up had as much time.
        if left.is_zero() || error.is_given_up() {
            return Err(self.give_up(error));
        }
        let wait = self.pauses.next().unwrap_or_default().min(left);
        self.tried += 1;
        self.retries.count.add(1);
        pause(wait, cancel)
    }

    /// An error that nothing more is done about, with what was.
    pub fn give_up(&self, error: Error) -> Error {
        match (self.tried, self.since) {
            (1.., Some(since)) if !error.is_given_up() => Error::GivenUp {
                tried: self.tried,
                seconds: since.elapsed().as_secs_f64(),
                source: Box::new(error),
            },
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Error {
        Error::Lost(std::io::Error::other("gone"))
    }

    #[test]
    fn what_passes_is_tried_again_and_counted() {
        let retries = Retries::new(Duration::from_secs(60));
        let wanted: Cancel = Arc::new(|| false);
        let mut tries = 0;
        let given = retries
            .begin()
            .patiently(&wanted, Error::is_unreachable, || {
                tries += 1;
                if tries < 3 { Err(lost()) } else { Ok(tries) }
            });
        assert_eq!((given.unwrap(), retries.count().get()), (3, 2));
    }

    #[test]
    fn what_does_not_pass_is_given_at_once() {
        let retries = Retries::new(Duration::from_secs(60));
        let wanted: Cancel = Arc::new(|| false);
        let given: Result<()> = retries
            .begin()
            .patiently(&wanted, Error::is_topology, || Err(lost()));
        assert!(given.unwrap_err().is_unreachable());
        assert_eq!(retries.count().get(), 0);
    }

    #[test]
    fn the_deadline_ends_it_with_the_last_error_and_what_was_tried() {
        let wanted: Cancel = Arc::new(|| false);
        let end = |deadline| {
            let mut trouble = Retries::new(deadline).begin();
            let given: Result<()> =
                trouble.patiently(&wanted, Error::is_unreachable, || Err(lost()));
            given.unwrap_err()
        };
        assert!(!end(Duration::ZERO).to_string().contains("tried again"));
        let error = end(Duration::from_millis(300));
        assert!(error.is_unreachable());
        assert!(error.to_string().contains("; tried again "), "{error}");
    }

    #[test]
    fn what_was_given_up_is_not_tried_for_another_deadline() {
        let wanted: Cancel = Arc::new(|| false);
        let retries = Retries::new(Duration::from_millis(300));
        let once = || {
            let mut trouble = retries.begin();
            trouble.patiently(&wanted, Error::is_unreachable, || Err::<(), _>(lost()))
        };
        let given: Result<()> = retries
            .begin()
            .patiently(&wanted, Error::is_unreachable, || {
                once().map_err(|error| error.at("here"))
            });
        let text = given.unwrap_err().to_string();
        assert_eq!(text.matches("tried again").count(), 1, "{text}");
    }

    #[test]
    fn who_wants_no_more_does_not_wait() {
        let unwanted: Cancel = Arc::new(|| true);
        let retries = Retries::new(Duration::from_secs(60));
        let given: Result<()> = retries
            .begin()
            .patiently(&unwanted, Error::is_unreachable, || Err(lost()));
        assert!(given.unwrap_err().is_interrupt());
    }
}
