//! Waiting on a socket: with a deadline, and until the caller no longer wants the answer.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::{Error, Result};

/// Asked while waiting; true when the caller no longer wants the answer.
pub type Cancel = Arc<dyn Fn() -> bool + Send + Sync>;

/// How often a wait looks up: Ctrl-C must end everything within a second.
const SLICE: Duration = Duration::from_millis(100);

/// A wait with a deadline that can be called off.
pub struct Waited {
    timeout: Duration,
    /// The option that the time comes from, and what it says.
    option: &'static str,
    stated: Duration,
    since: Instant,
}

impl Waited {
    pub fn new(timeout: Duration, option: &'static str) -> Self {
        Waited {
            timeout,
            option,
            stated: timeout,
            since: Instant::now(),
        }
    }

    /// A wait, from now on, for an equal part of the time that is left.
    pub fn share(&self, parts: usize) -> Self {
        let left = self.timeout.saturating_sub(self.since.elapsed());
        Waited {
            timeout: left / u32::try_from(parts.max(1)).unwrap_or(u32::MAX),
            since: Instant::now(),
            ..*self
        }
    }

    pub fn start_again(&mut self) {
        self.since = Instant::now();
    }

    /// How long to sleep before looking up again; an error when the time is up.
    pub fn slice(&self, cancel: &Cancel) -> io::Result<Duration> {
        if cancel() {
            return Err(io::Error::other(Error::Interrupted));
        }
        match self.timeout.checked_sub(self.since.elapsed()) {
            Some(left) if !left.is_zero() => Ok(left.min(SLICE)),
            _ => Err(io::Error::other(Error::Timeout {
                seconds: self.stated.as_secs_f64(),
                option: self.option,
            })),
        }
    }

    /// Waits for events on a socket; true when there are some.
    pub fn wait(&self, socket: impl AsFd, events: PollFlags, cancel: &Cancel) -> io::Result<bool> {
        let slice = self.slice(cancel)?;
        let slice = Timespec::try_from(slice).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&socket, events)], Some(&slice)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Sleeps for a time that can be called off.
pub fn pause(time: Duration, cancel: &Cancel) -> Result<()> {
    let until = Instant::now() + time;
    loop {
        if cancel() {
            return Err(Error::Interrupted);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(SLICE));
    }
}
