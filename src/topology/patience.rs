//! What to wait for, where servers are just changing their parts, and how long.

use std::time::{Duration, Instant};

use crate::connection::{Cancel, pause};
use crate::error::{Error, Result};
use crate::options::ConnectionOptions;

/// What a server says that will answer in a while.
const PASSING_REPLIES: [&str; 6] = [
    "LOADING",
    "BUSY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "UNBLOCKED",
];

/// How long to wait before servers that are just changing are asked again, at first.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long to ask again where servers do not agree on which of them is what: news take a second
/// at most to go round.
const AGREEMENT: Duration = Duration::from_secs(3);

/// How long to look for the nodes of a deployment that is just changing: a failover takes some
/// seconds in Sentinel's and in a cluster's own default configuration.
pub fn patience(options: &ConnectionOptions) -> Duration {
    options.access.connect_timeout + options.access.timeout
}

/// Whether a server says that it will answer in a while.
pub fn is_said_to_pass(error: &Error) -> bool {
    PASSING_REPLIES.iter().any(|code| error.is_reply(code))
}

/// Whether an error may come of servers that are just changing their parts.
pub fn is_passing(error: &Error) -> bool {
    error.is_unreachable() || error.is_topology() || is_said_to_pass(error)
}

/// What is given in the end, where errors that pass are waited for with growing pauses; the last of
/// them when the time is up.
pub fn patiently<T>(
    patience: Duration,
    cancel: &Cancel,
    passes: fn(&Error) -> bool,
    mut give: impl FnMut() -> Result<T>,
) -> Result<T> {
    let began = Instant::now();
    let mut wait = FIRST_PAUSE;
    loop {
        match give() {
            Err(error) if passes(&error) && began.elapsed() + wait < patience => {
                pause(wait, cancel)?;
                wait = (wait * 2).min(LONGEST_PAUSE);
            }
            given => return given,
        }
    }
}

/// What servers give that may be about to agree.
pub(super) fn agreed<T>(cancel: &Cancel, give: impl FnMut() -> Result<T>) -> Result<T> {
    patiently(AGREEMENT, cancel, Error::is_topology, give)
}
