//! What to wait for, where servers are just changing their parts.

use std::time::Duration;

use crate::connection::Cancel;
use crate::error::{Error, Result};
use crate::retry::Retries;

/// What a server says whose part, or whose data, is just changing.
const CHANGING_REPLIES: [&str; 5] = [
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "UNBLOCKED",
];

/// How long to ask again where servers do not agree on which of them is what: news take a second
/// at most to go round.
const AGREEMENT: Duration = Duration::from_secs(3);

/// Whether a server says that its part, or its data, is just changing.
pub fn is_said_to_change(error: &Error) -> bool {
    CHANGING_REPLIES.iter().any(|code| error.is_reply(code))
}

/// Whether a server says that it will answer in a while.
pub fn is_said_to_pass(error: &Error) -> bool {
    is_said_to_change(error) || error.is_reply("BUSY") || error.is_too_many_clients()
}

/// Whether an error may come of servers that are just changing their parts, or were away.
pub fn is_passing(error: &Error) -> bool {
    error.is_unreachable() || error.is_topology() || is_said_to_pass(error)
}

/// Whether a server has spoken, so that it is worth waiting for: it will answer in a while, or went in the
/// middle of an answer. One that does not answer may not be there at all.
pub fn has_spoken(error: &Error) -> bool {
    is_said_to_pass(error) || error.is_lost()
}

/// What servers give that may be about to agree.
pub(super) fn agreed<T>(cancel: &Cancel, give: impl FnMut() -> Result<T>) -> Result<T> {
    let mut trouble = Retries::new(AGREEMENT).begin();
    trouble.patiently(cancel, Error::is_topology, give)
}
