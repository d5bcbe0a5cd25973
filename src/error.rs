//! The one error type. What went wrong is a variant; where it went wrong is added once, by
//! whoever knows it, as [`Error::At`].

use std::io;

use thiserror::Error;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Error)]
pub enum Error {
    /// An option, a table's name or an offset: the caller can mend it, nothing was read.
    #[error("{0}")]
    Configuration(String),
    #[error("cannot connect: {0}; is a server running there, and may this machine reach it?")]
    Unreachable(#[source] io::Error),
    #[error(
        "the connection was lost: {0}; where the server runs and the network holds, a reply may have \
         outgrown the server's `client-output-buffer-limit`: a lower `max_in_flight_bytes` helps"
    )]
    Lost(#[source] io::Error),
    #[error("no answer within {seconds} s (option `{option}`)")]
    Timeout { seconds: f64, option: &'static str },
    #[error("the server refused the credentials: {0}")]
    Authentication(String),
    #[error("not permitted: {message}{remedy}")]
    PermissionDenied { message: String, remedy: String },
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
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("{place}: {source}")]
    At {
        place: String,
        #[source]
        source: Box<Error>,
    },
}

impl Error {
    /// Says where it happened: a node, a table, a key.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Self {
        Error::At {
            place: place.into(),
            source: Box::new(self),
        }
    }

    /// What went wrong, without where.
    pub fn root(&self) -> &Error {
        match self {
            Error::At { source, .. } => source.root(),
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
            "NOPERM" => Error::PermissionDenied {
                remedy: "; the user needs the ACL rule that allows it".to_owned(),
                message: message.to_owned(),
            },
            _ => Error::Refused {
                code: code.to_owned(),
                message: message.to_owned(),
            },
        }
    }

    /// Whether this is an error reply with the given code.
    pub fn is_reply(&self, wanted: &str) -> bool {
        matches!(self.root(), Error::Refused { code, .. } if code == wanted)
    }
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

/// How much of a name an error shows.
const SHOWN_BYTES: usize = 120;
/// How much of an error reply: some explain themselves at length.
const SHOWN_REPLY: usize = 1000;

/// Bytes in quotes as an error shows them: readable, on one line, never very long.
pub fn show(bytes: &[u8]) -> String {
    format!("\"{}\"", show_text(bytes))
}

/// As [`show`], without the quotes. Never holds a control character: messages cross the
/// Arrow C stream interface as C strings, where a NUL would end the process.
pub fn show_text(bytes: &[u8]) -> String {
    shorten(bytes, SHOWN_BYTES)
}

fn shorten(bytes: &[u8], most: usize) -> String {
    let (head, dots) = match bytes.get(..most) {
        Some(head) if bytes.len() > most => (head, "…"),
        _ => (bytes, ""),
    };
    let text = match std::str::from_utf8(head) {
        Ok(text) => text.escape_debug().to_string(),
        // A character cut in two by the limit is not a reason to escape all the others.
        Err(cut) if !dots.is_empty() && cut.error_len().is_none() => {
            String::from_utf8_lossy(&head[..cut.valid_up_to()])
                .escape_debug()
                .to_string()
        }
        Err(_) => head.escape_ascii().to_string(),
    };
    text.replace("\\'", "'") + dots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_bytes_are_one_printable_line() {
        assert_eq!(show(b"user:1"), "\"user:1\"");
        assert_eq!(show(b"a\0b\n\xff"), "\"a\\x00b\\n\\xff\"");
        assert_eq!(show("käse\0".as_bytes()), "\"käse\\0\"");
        let cut = "ä".repeat(200);
        assert!(show(format!("x{cut}").as_bytes()).ends_with("ä…\""));
    }

    #[test]
    fn error_replies_keep_code_and_message() {
        let error = Error::from_reply(b"WRONGTYPE Operation against a key");
        assert!(error.is_reply("WRONGTYPE"));
        assert!(error.at("key \"a\"").is_reply("WRONGTYPE"));
        let quoting = b"ERR unknown command 'AUTH', with args beginning with: 'canary'";
        assert!(!Error::from_reply(quoting).to_string().contains("canary"));
        assert!(matches!(
            Error::from_reply(b"NOAUTH Authentication required."),
            Error::Authentication(_)
        ));
    }
}
