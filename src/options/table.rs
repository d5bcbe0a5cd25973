//! The one table of option keys: what each is called, takes and does.

use std::collections::HashSet;
use std::time::Duration;

use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer {
        min: u64,
        max: u64,
    },
    Seconds,
    /// A part of a whole: a thousandth at least, and at most 1.
    Share,
    Flag,
    Choice(&'static [&'static str]),
    /// Names: between commas, or as a JSON array of strings.
    List,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// For the connector only.
    Connection,
    /// For the connector and, over it, for a single read.
    Table,
}

#[derive(Debug)]
pub struct OptionSpec {
    pub name: &'static str,
    pub kind: Kind,
    pub default: Option<&'static str>,
    pub scope: Scope,
    pub secret: bool,
    pub doc: &'static str,
}

const fn option(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    scope: Scope,
    doc: &'static str,
) -> OptionSpec {
    OptionSpec {
        name,
        kind,
        default,
        scope,
        secret: false,
        doc,
    }
}

impl OptionSpec {
    const fn secret(self) -> Self {
        OptionSpec {
            secret: true,
            ..self
        }
    }
}

/// A SCAN of more would keep a server from its other clients for a tenth of a second.
const MAX_SCAN_COUNT: u64 = 1_000_000;

const COUNT: Kind = Kind::Integer {
    min: 1,
    max: u32::MAX as u64,
};

pub const OPTIONS: &[OptionSpec] = &[
    option(
        "url",
        Kind::Text,
        None,
        Scope::Connection,
        "The server as `redis://[user[:password]@]host[:port][/db]` or `unix:///path[?db=n]`.",
    )
    .secret(),
    option(
        "host",
        Kind::Text,
        None,
        Scope::Connection,
        "The server's host name or IP address.",
    ),
    option(
        "port",
        Kind::Integer {
            min: 1,
            max: 65_535,
        },
        Some("6379"),
        Scope::Connection,
        "The server's TCP port.",
    ),
    option(
        "unix_socket_path",
        Kind::Text,
        None,
        Scope::Connection,
        "The server's Unix socket, instead of host and port.",
    ),
    option(
        "username",
        Kind::Text,
        None,
        Scope::Connection,
        "The ACL user (Redis 6.0+); without it a password is that of the default user.",
    ),
    option(
        "password",
        Kind::Text,
        None,
        Scope::Connection,
        "The password for AUTH; best as a reference such as `{{ REDIS_PASSWORD }}`.",
    )
    .secret(),
    option(
        "db",
        Kind::Integer {
            min: 0,
            max: i32::MAX as u64,
        },
        Some("0"),
        Scope::Connection,
        "The database to read.",
    ),
    option(
        "ssl",
        Kind::Flag,
        Some("false"),
        Scope::Connection,
        "Whether to use TLS; this version cannot yet and refuses `true`.",
    ),
    option(
        "socket_connect_timeout",
        Kind::Seconds,
        Some("10"),
        Scope::Connection,
        "Seconds within which a connection must be made.",
    ),
    option(
        "socket_timeout",
        Kind::Seconds,
        Some("30"),
        Scope::Connection,
        "Seconds of silence after which an awaited reply counts as lost.",
    ),
    option(
        "client_name",
        Kind::Text,
        Some("lakeflow-redis"),
        Scope::Connection,
        "The name this connection goes by in CLIENT LIST; no spaces.",
    ),
    option(
        "key_pattern",
        Kind::Text,
        Some("*"),
        Scope::Table,
        "Read only keys that match this glob, as in SCAN's MATCH.",
    ),
    option(
        "batch_size",
        Kind::Integer {
            min: 1,
            max: MAX_SCAN_COUNT,
        },
        None,
        Scope::Table,
        "How many keys to ask for per SCAN (its COUNT); by default what keeps the server busy and its other clients served.",
    ),
    option(
        "columns",
        Kind::List,
        None,
        Scope::Table,
        "The columns to read, in this order, between commas or as a JSON array; nothing is fetched for the others.",
    ),
    option(
        "fields",
        Kind::List,
        None,
        Scope::Table,
        "`hashes`: the fields to read, between commas or as a JSON array; other fields are not fetched.",
    ),
    option(
        "max_in_flight_bytes",
        Kind::Integer {
            min: 64 * 1024,
            max: 1024 * 1024 * 1024,
        },
        Some("8388608"),
        Scope::Table,
        "Reply bytes that may be asked for and not yet read; they take memory on the server.",
    ),
    option(
        "max_server_share",
        Kind::Share,
        Some("1"),
        Scope::Table,
        "The share of the server's time that a read may take, such as `0.25`; it pauses in between.",
    ),
    option(
        "value_type",
        Kind::Choice(&["string", "binary"]),
        Some("string"),
        Scope::Table,
        "Whether names and values come as strings or, losing nothing, as binary columns.",
    ),
    option(
        "invalid_utf8",
        Kind::Choice(&["error", "replace", "null", "skip"]),
        Some("error"),
        Scope::Table,
        "For string columns: what to do with bytes that are not UTF-8.",
    ),
    option(
        "max_records_per_batch",
        COUNT,
        None,
        Scope::Table,
        "`streams`: read at most this many entries per call, spread over the streams.",
    ),
    option(
        "fail_on_data_loss",
        Kind::Flag,
        Some("true"),
        Scope::Table,
        "`streams`: whether a stream that went back since the offset, or went during the read, is an error.",
    ),
];

impl OptionSpec {
    /// What a value must spell, in words.
    pub fn expects(&self) -> String {
        match self.kind {
            Kind::Text => "a text".to_owned(),
            Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Seconds => "a number of seconds above 0 and below 1e9".to_owned(),
            Kind::Share => "a number from 0.001 to 1".to_owned(),
            Kind::Flag => "`true` or `false`".to_owned(),
            Kind::List => {
                "names, no two of them equal, between commas or (where it begins with `[`) as a \
                 JSON array of strings"
                    .to_owned()
            }
            Kind::Choice(choices) => format!("one of `{}`", choices.join("`, `")),
        }
    }

    pub fn check(&self, value: &str) -> Result<()> {
        let shown = if self.secret { "***" } else { value };
        self.check_shown_as(value, shown)
    }

    /// Checks a value that an error shows as something else.
    pub fn check_shown_as(&self, value: &str, shown: &str) -> Result<()> {
        let fits = match self.kind {
            Kind::Text => true,
            Kind::Integer { min, max } => value
                .parse::<u64>()
                .is_ok_and(|number| (min..=max).contains(&number)),
            Kind::Seconds => parse_seconds(value).is_some(),
            Kind::Share => parse_share(value).is_some(),
            Kind::List => parse_list(value).is_some(),
            Kind::Flag => ["true", "false"]
                .iter()
                .any(|flag| value.eq_ignore_ascii_case(flag)),
            Kind::Choice(choices) => choices.contains(&value),
        };
        if fits {
            return Ok(());
        }
        Err(Error::Configuration(format!(
            "option `{}` is {shown:?}; it must be {}",
            self.name,
            self.expects()
        )))
    }
}

pub fn parse_seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    (seconds > 0.0 && seconds < 1e9).then(|| Duration::from_secs_f64(seconds))
}

pub fn parse_share(text: &str) -> Option<f64> {
    let share: f64 = text.parse().ok()?;
    (0.001..=1.0).contains(&share).then_some(share)
}

pub fn parse_list(text: &str) -> Option<Vec<String>> {
    let names: Vec<String> = match text.trim_start() {
        json if json.starts_with('[') => serde_json::from_str(json).ok()?,
        names => names
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect(),
    };
    let different: HashSet<_> = names.iter().collect();
    let all_differ = different.len() == names.len() && !names.is_empty();
    // Between commas, nothing is a slip; as JSON it is a name.
    let slip = !text.trim_start().starts_with('[') && names.contains(&String::new());
    (all_differ && !slip).then_some(names)
}

pub fn spec_of(name: &str, scope: Scope) -> Result<&'static OptionSpec> {
    let known = OPTIONS.iter().find(|spec| spec.name == name);
    match known {
        Some(spec) if scope == Scope::Connection || spec.scope == Scope::Table => Ok(spec),
        Some(_) => Err(Error::Configuration(format!(
            "option `{name}` is for the connector as a whole, not for one read"
        ))),
        None => {
            let names = OPTIONS.iter().map(|spec| spec.name);
            Err(Error::Configuration(format!(
                "unknown option {name:?}{}",
                nearest(name, names)
            )))
        }
    }
}

/// Names less alike than this are no help.
const LIKELY: f64 = 0.6;

/// `; did you mean …?` for the name that is most like the one given.
pub fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|name| (strsim::jaro_winkler(&given.to_lowercase(), name), name))
        .filter(|(likeness, _)| *likeness > LIKELY)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"))
}
