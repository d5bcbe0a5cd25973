//! What an option is called, takes and does, and whether a value is one that it takes.

use super::rules::parse_rules;
use super::spelling::{
    parse_databases, parse_list, parse_nodes, parse_seconds, parse_share, parse_timestamp,
};
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer {
        min: u64,
        max: u64,
    },
    Seconds {
        /// Whether 0 says that there is no such time.
        or_none: bool,
    },
    /// A part of a whole: a thousandth at least, and at most 1.
    Share,
    Flag,
    Choice(&'static [&'static str]),
    /// Names: between commas, or as a JSON array of strings.
    List,
    /// Servers between commas: `host` or `host:port`.
    Nodes,
    /// `0`, `0,1,2`, or `*`.
    Databases,
    /// ISO 8601, or milliseconds since 1970.
    Timestamp,
    /// Sync rules in JSON.
    Rules,
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
    /// The tables that it is for; None where it is for all.
    pub tables: Option<&'static [&'static str]>,
    pub doc: &'static str,
}

pub(super) const fn option(
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
        tables: None,
        doc,
    }
}

impl OptionSpec {
    pub(super) const fn secret(self) -> Self {
        OptionSpec {
            secret: true,
            ..self
        }
    }

    pub(super) const fn only_for(self, tables: &'static [&'static str]) -> Self {
        OptionSpec {
            tables: Some(tables),
            ..self
        }
    }
}

impl OptionSpec {
    /// What a value must spell, in words.
    pub fn expects(&self) -> String {
        match self.kind {
            Kind::Text => "a text".to_owned(),
            Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Seconds { or_none: true } => "a number of seconds from 0 to below 1e9".to_owned(),
            Kind::Seconds { or_none: false } => {
                "a number of seconds above 0 and below 1e9".to_owned()
            }
            Kind::Share => "a number from 0.001 to 1".to_owned(),
            Kind::Flag => "`true` or `false`".to_owned(),
            Kind::List => {
                "names, no two of them equal, between commas or (where it begins with `[`) as a \
                 JSON array of strings"
                    .to_owned()
            }
            Kind::Choice(choices) => format!("one of `{}`", choices.join("`, `")),
            Kind::Nodes => "hosts between commas, each `host` or `host:port`".to_owned(),
            Kind::Databases => {
                "a number, several between commas (each once), or `*` for all".to_owned()
            }
            Kind::Timestamp => {
                "ISO 8601, such as `2026-01-31` or `2026-01-31T12:00:00Z` (UTC unless it says \
                 otherwise), or milliseconds since 1970"
                    .to_owned()
            }
            Kind::Rules => "a JSON list of rules".to_owned(),
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
            Kind::Seconds { or_none } => {
                parse_seconds(value).is_some_and(|time| or_none || !time.is_zero())
            }
            Kind::Share => parse_share(value).is_some(),
            Kind::List => parse_list(value).is_some(),
            Kind::Flag => ["true", "false"]
                .iter()
                .any(|flag| value.eq_ignore_ascii_case(flag)),
            Kind::Choice(choices) => choices.contains(&value),
            Kind::Nodes => parse_nodes(value, 1).is_some(),
            Kind::Databases => parse_databases(value).is_some(),
            Kind::Timestamp => parse_timestamp(value).is_some(),
            // These say themselves what is wrong, and where, unless that might show a secret.
            Kind::Rules if value == shown => return parse_rules(value).map(|_| ()),
            Kind::Rules => parse_rules(value).is_ok(),
        };
        if fits {
            return Ok(());
        }
        if matches!(self.kind, Kind::Nodes) && value.contains('@') {
            return Err(credentials_in(self.name));
        }
        let text = format!(
            "option `{}` is {shown:?}; it must be {}",
            self.name,
            self.expects()
        );
        Err(Error::about([self.name], text))
    }
}

/// What may hold a password is not shown.
pub(super) fn credentials_in(option: &'static str) -> Error {
    let text = format!(
        "option `{option}` holds an `@`, which no host does; credentials are options of their own, \
         `username` and `password`"
    );
    Error::about([option], text)
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
