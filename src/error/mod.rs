//! The one error type. What went wrong is a variant; where it went wrong is added once, by
//! whoever knows it, as [`Error::At`].

mod shown;

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use shown::{SHOWN_REPLY, shorten};
pub use shown::{cut, show, show_text};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a user may not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// A command, whatever the key.
    Command,
    Key,
}

#[derive(Debug, Error)]
pub enum Error {
    /// An option, a table's name or an offset: the caller can mend it, nothing was read.
    #[error("{text}")]
    Configuration {
        text: String,
        /// The options that it is about.
        options: Vec<&'static str>,
    },
    #[error("cannot connect: {0}; is a server running there, and may this machine reach it?")]
    Unreachable(#[source] io::Error),
    #[error(
        "the connection was lost: {0}; where the server runs and the network holds, a reply may have \
         outgrown the server's `client-output-buffer-limit` (a lower `max_in_flight_bytes` helps), or what \
         reads the rows have taken longer than its `timeout`"
    )]
    Lost(#[source] io::Error),
    #[error("no answer within {seconds} s (option `{option}`)")]
    Timeout { seconds: f64, option: &'static str },
    /// What is wrong with an encrypted connection, and what to do.
    #[error("TLS: {0}")]
    Tls(String),
    /// The same of a server that did not answer, as one does that speaks no TLS, or is down.
    #[error("TLS: {0}")]
    TlsUnanswered(String),
    /// The servers that hold the keys are others by now: what moved, and what to do.
    #[error("{0}")]
    TopologyChanged(String),
    #[error("the server refused the credentials: {0}")]
    Authentication(String),
    #[error("not permitted: {message}; {remedy}")]
    PermissionDenied {
        message: String,
        remedy: String,
        denied: Denied,
    },
    /// The key is at another node: for good, or (`ask`) for this once.
    #[error("slot {slot} is at {node} by now; read again")]
    Redirected { slot: u16, node: String, ask: bool },
    /// An error reply: its first word and the rest.
    #[error("the server answered {code} {message}")]
    Refused { code: String, message: String },
    #[error("not a Redis reply: {0}")]
    Protocol(String),
    #[error("{0}")]
    InvalidUtf8(String),
    #[error("{0}")]
    DataLoss(String),
    #[error("interrupted")]
    Interrupted,
    #[error(
        "this read was begun before a fork, which does not take its thread along; begin it anew here"
    )]
    Forked,
    #[error("the reading thread ended without a word; this is a bug in lakeflow-redis")]
    ReaderGone,
    #[error("this machine gives no further thread: {0}")]
    NoThread(#[source] io::Error),
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("{place}: {source}")]
    At {
        place: String,
        #[source]
        source: Box<Error>,
    },
    /// What was tried again for as long as that may take.
    #[error("{source}; tried again {tried} times in {seconds:.1} s")]
    GivenUp {
        tried: u64,
        seconds: f64,
        #[source]
        source: Box<Error>,
    },
}

impl Error {
    /// What is wrong with what was given, and what to do.
    pub fn configuration(text: impl Into<String>) -> Self {
        Error::about([], text)
    }

    /// The same where it is about options, of which the first one is wrong.
    pub fn about<const N: usize>(options: [&'static str; N], text: impl Into<String>) -> Self {
        Error::Configuration {
            text: text.into(),
            options: options.into(),
        }
    }

    /// Says where it happened: a node, a table, a key. Whoever knows it may; it is said once.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Self {
        let place = place.into();
        match self.is_at(&place) {
            true => self,
            false => Error::At {
                place,
                source: Box::new(self),
            },
        }
    }

    fn is_at(&self, place: &str) -> bool {
        match self {
            Error::At { place: known, .. } => known == place,
            Error::GivenUp { source, .. } => source.is_at(place),
            _ => false,
        }
    }

    /// What went wrong, without where.
    pub fn root(&self) -> &Error {
        match self {
            Error::At { source, .. } | Error::GivenUp { source, .. } => source.root(),
            other => other,
        }
    }

    /// The error for an error reply (`-CODE message`), by what a caller can do about it.
    ///
    /// Arguments that the server quotes are left out: they may be a password or a key's name.
    pub fn from_reply(line: &[u8]) -> Self {
        let line = shorten(line, SHOWN_REPLY);
        let line = line
            .split(", with args")
            .next()
            .unwrap_or_default()
            .to_owned();
        let (code, message) = line.split_once(' ').unwrap_or((&line, ""));
        match code {
            "NOAUTH" | "WRONGPASS" => Error::Authentication(line),
            "NOPERM" => denied(message),
            "MOVED" | "ASK" => redirected(code == "ASK", message).unwrap_or(Error::Refused {
                code: code.to_owned(),
                message: message.to_owned(),
            }),
            _ => Error::Refused {
                code: code.to_owned(),
                message: message.to_owned(),
            },
        }
    }

    /// Whether a server did not answer, so that another may be asked instead.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self.root(),
            Error::Unreachable(_)
                | Error::Lost(_)
                | Error::Timeout { .. }
                | Error::TlsUnanswered(_)
        )
    }

    /// Whether a server that had answered was gone in the middle of it.
    pub fn is_lost(&self) -> bool {
        matches!(self.root(), Error::Lost(_))
    }

    /// Whether it was tried again for as long as that may take.
    pub fn is_given_up(&self) -> bool {
        match self {
            Error::At { source, .. } => source.is_given_up(),
            other => matches!(other, Error::GivenUp { .. }),
        }
    }

    /// Whether a server was silent for too long, though perhaps it is there.
    pub fn is_timeout(&self) -> bool {
        matches!(self.root(), Error::Timeout { .. })
    }

    /// Whether a server takes no more clients, and says so before it hangs up.
    pub fn is_too_many_clients(&self) -> bool {
        matches!(self.root(), Error::Refused { message, .. }
            if message.starts_with("max number of clients"))
    }

    /// Whether it is a server's answer to one command, after which others can be read.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.root(),
            Error::Refused { .. } | Error::PermissionDenied { .. } | Error::Redirected { .. }
        )
    }

    /// Whether it is about servers that are no longer what they were.
    pub fn is_topology(&self) -> bool {
        matches!(
            self.root(),
            Error::TopologyChanged(_) | Error::Redirected { .. }
        )
    }

    /// Whether it sends to another node only for a key of a slot that is being moved.
    pub fn is_asking(&self) -> bool {
        matches!(self.root(), Error::Redirected { ask: true, .. })
    }

    /// The same without advice.
    pub fn brief(&self) -> String {
        match self {
            Error::At { place, source } => format!("{place}: {}", source.brief()),
            Error::GivenUp { source, .. } => source.brief(),
            Error::Lost(error) => format!("the connection was lost: {error}"),
            other => other.to_string(),
        }
    }

    pub fn is_interrupt(&self) -> bool {
        matches!(self.root(), Error::Interrupted)
    }

    /// Whether this is an error reply with the given code.
    pub fn is_reply(&self, wanted: &str) -> bool {
        matches!(self.root(), Error::Refused { code, .. } if code == wanted)
    }
}

/// A NOPERM by what is denied, which only its text tells: what names no command is taken for
/// the refusal of one, since no table can do without.
fn denied(message: &str) -> Error {
    // The last in quotes: the user's name, which comes before, may hold one.
    let quoted = || message.rsplit('\'').nth(1);
    let (denied, remedy) = match quoted() {
        None if message.contains(" key") => (
            Denied::Key,
            "a key pattern of the user must cover it, such as `~*` or, since Redis 7.0, `%R~*`"
                .to_owned(),
        ),
        Some(command) => (
            Denied::Command,
            format!("the user needs the ACL rule `+{command}`"),
        ),
        None => (
            Denied::Command,
            "the user needs the ACL rule that allows it".to_owned(),
        ),
    };
    Error::PermissionDenied {
        message: message.to_owned(),
        remedy,
        denied,
    }
}

/// `<slot> <host>:<port>`.
fn redirected(ask: bool, message: &str) -> Option<Error> {
    let (slot, node) = message.split_once(' ')?;
    Some(Error::Redirected {
        slot: slot.parse().ok()?,
        node: node.to_owned(),
        ask,
    })
}

/// A socket's own error means that the connection is lost; what the wire itself found (a
/// deadline that passed, an interrupt) travels inside.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Error>() {
            Ok(ours) => ours,
            Err(error) => Error::Lost(error),
        }
    }
}

/// A lock whose holder panicked still guards whole data here: nothing is left half-written.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_command_is_named_whoever_the_user_is() {
        let line = b"NOPERM User o'brien has no permissions to run the 'hgetall' command";
        let error = Error::from_reply(line).to_string();
        assert!(error.contains("`+hgetall`"), "{error}");
    }

    #[test]
    fn a_place_is_said_once() {
        let error = || Error::Interrupted.at("table a").at("node");
        assert_eq!(error().at("node").to_string(), error().to_string());
    }

    #[test]
    fn error_replies_keep_code_and_message() {
        let error = Error::from_reply(b"WRONGTYPE Operation against a key");
        assert!(error.is_reply("WRONGTYPE"));
        assert!(error.at("key \"a\"").is_reply("WRONGTYPE"));
        let quoting = b"ERR unknown command 'AUTH', with args beginning with: 'canary'";
        assert!(!Error::from_reply(quoting).to_string().contains("canary"));
        let denied = |line: &[u8]| match Error::from_reply(line) {
            Error::PermissionDenied { denied, remedy, .. } => (denied, remedy),
            other => panic!("{other}"),
        };
        // As Redis 6.2, 7.0 and Valkey 9.1 say it.
        for line in [
            &b"NOPERM this user has no permissions to access one of the keys used as arguments"[..],
            b"NOPERM No permissions to access a key",
        ] {
            assert_eq!(denied(line).0, Denied::Key);
        }
        for line in [
            &b"NOPERM this user has no permissions to run the 'memory|usage' command"[..],
            b"NOPERM User u has no permissions to run the 'memory|usage' command",
        ] {
            let (denied, remedy) = denied(line);
            assert_eq!(denied, Denied::Command);
            assert!(remedy.contains("+memory|usage"), "{remedy}");
        }
        assert!(matches!(
            Error::from_reply(b"MOVED 5 127.0.0.1:7000"),
            Error::Redirected {
                slot: 5,
                ask: false,
                ..
            }
        ));
        assert!(matches!(
            Error::from_reply(b"NOAUTH Authentication required."),
            Error::Authentication(_)
        ));
    }
}
