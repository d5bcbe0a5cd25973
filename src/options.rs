//! The one table of option keys, and strings made into typed options by it.
//!
//! Parsing, the command line, the stub and the README all come from [`OPTIONS`]. Values may
//! hold `{{ NAME }}` references to environment variables; they are resolved when a typed
//! struct is made, so that what is kept (and pickled) is the reference.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer { min: u64, max: u64 },
    Seconds,
    Flag,
    Choice(&'static [&'static str]),
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

const fn secret(spec: OptionSpec) -> OptionSpec {
    OptionSpec {
        secret: true,
        ..spec
    }
}

const COUNT: Kind = Kind::Integer {
    min: 1,
    max: u32::MAX as u64,
};

pub const OPTIONS: &[OptionSpec] = &[
    secret(option(
        "url",
        Kind::Text,
        None,
        Scope::Connection,
        "The server as `redis://[user[:password]@]host[:port][/db]` or `unix:///path[?db=n]`.",
    )),
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
    secret(option(
        "password",
        Kind::Text,
        None,
        Scope::Connection,
        "The password for AUTH; best as a reference such as `{{ REDIS_PASSWORD }}`.",
    )),
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
        COUNT,
        Some("1000"),
        Scope::Table,
        "How many keys to ask for per SCAN (its COUNT).",
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
        "`streams`: whether entries that are gone before they were read end the read with an error.",
    ),
];

/// Strings that were checked against [`OPTIONS`], references unresolved.
#[derive(Clone, Debug, Default)]
pub struct Options {
    values: BTreeMap<&'static str, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    pub address: Address,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub db: u32,
    pub connect_timeout: Duration,
    pub timeout: Duration,
    pub client_name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidUtf8 {
    Error,
    Replace,
    Null,
    Skip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    String,
    Binary,
}

#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// None where every key matches.
    pub key_pattern: Option<Vec<u8>>,
    pub batch_size: u64,
    pub value_type: ValueType,
    pub invalid_utf8: InvalidUtf8,
    pub max_records: Option<u64>,
    pub fail_on_data_loss: bool,
}

impl Options {
    /// The options of a connector.
    ///
    /// Checks all that can be checked without the environment and without a server.
    pub fn for_connector<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self>
    where
        K: AsRef<str>,
        V: Into<String>,
    {
        let options = Options::default().over(pairs, Scope::Connection)?;
        for other in ["host", "port", "unix_socket_path"] {
            options.exclude("url", other)?;
        }
        options.exclude("unix_socket_path", "host")?;
        options.exclude("unix_socket_path", "port")?;
        if !["url", "host", "unix_socket_path"]
            .iter()
            .any(|name| options.values.contains_key(name))
        {
            return Err(Error::Configuration(
                "no server is named: give `host` (and `port`), `url`, or `unix_socket_path`"
                    .to_owned(),
            ));
        }
        // A reference is resolved when connecting, and what depends on it is checked then.
        if !options.values.values().any(|value| has_reference(value)) {
            options.connection()?;
            options.read()?;
        }
        Ok(options)
    }

    /// These options with those of one read over them.
    pub fn for_read<K, V>(&self, pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self>
    where
        K: AsRef<str>,
        V: Into<String>,
    {
        self.clone().over(pairs, Scope::Table)
    }

    /// The pairs as they were given, references and all.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.values
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
    }

    fn over<K, V>(mut self, pairs: impl IntoIterator<Item = (K, V)>, scope: Scope) -> Result<Self>
    where
        K: AsRef<str>,
        V: Into<String>,
    {
        for (name, value) in pairs {
            let spec = spec_of(name.as_ref(), scope)?;
            let value = value.into();
            if !has_reference(&value) {
                spec.check(&value)?;
            }
            self.values.insert(spec.name, value);
        }
        Ok(self)
    }

    fn exclude(&self, name: &str, other: &str) -> Result<()> {
        if self.values.contains_key(name) && self.values.contains_key(other) {
            return Err(Error::Configuration(format!(
                "options `{name}` and `{other}` both say where the server is; give one of them"
            )));
        }
        Ok(())
    }

    /// What is needed to connect; resolves references.
    pub fn connection(&self) -> Result<ConnectionOptions> {
        if self.flag("ssl")? {
            return Err(no_tls("option `ssl`"));
        }
        let mut options = ConnectionOptions {
            address: self.address()?,
            username: self.text("username")?,
            password: self.text("password")?.map(Secret),
            db: self.narrow("db")?,
            connect_timeout: self.seconds("socket_connect_timeout")?,
            timeout: self.seconds("socket_timeout")?,
            client_name: self.required("client_name")?,
        };
        if let Some(url) = self.text("url")? {
            self.add_url(&url, &mut options)?;
        }
        if options.username.is_some() && options.password.is_none() {
            return Err(Error::Configuration(
                "option `username` needs a `password` with it".to_owned(),
            ));
        }
        if !options
            .client_name
            .bytes()
            .all(|byte| (b'!'..=b'~').contains(&byte))
        {
            return Err(Error::Configuration(format!(
                "option `client_name` is {:?}; Redis takes printable ASCII without spaces",
                options.client_name
            )));
        }
        Ok(options)
    }

    /// What says how to read; resolves references.
    pub fn read(&self) -> Result<ReadOptions> {
        let pattern = self.required("key_pattern")?;
        Ok(ReadOptions {
            key_pattern: (pattern != "*").then(|| pattern.into_bytes()),
            batch_size: self.integer("batch_size")?.unwrap_or(1),
            value_type: match self.required("value_type")?.as_str() {
                "binary" => ValueType::Binary,
                _ => ValueType::String,
            },
            invalid_utf8: match self.required("invalid_utf8")?.as_str() {
                "replace" => InvalidUtf8::Replace,
                "null" => InvalidUtf8::Null,
                "skip" => InvalidUtf8::Skip,
                _ => InvalidUtf8::Error,
            },
            max_records: self.integer("max_records_per_batch")?,
            fail_on_data_loss: self.flag("fail_on_data_loss")?,
        })
    }

    /// Where the server is, to be shown: without credentials, references unresolved.
    pub fn place(&self) -> String {
        let value = |name: &str| self.values.get(name).map(String::as_str);
        let address = match (value("url"), value("unix_socket_path"), value("host")) {
            (Some(url), _, _) if has_reference(url) => "redis://{{ … }}".to_owned(),
            (Some(_), _, _) => self.connection().map_or_else(
                |_| "redis://…".to_owned(),
                |options| format!("{}/{}", options.address, options.db),
            ),
            (None, Some(path), _) => path.to_owned(),
            (None, None, host) => format!(
                "{}:{}",
                host.unwrap_or("…"),
                value("port").unwrap_or("6379")
            ),
        };
        match value("db") {
            Some(db) if value("url").is_none() => format!("{address}, db {db}"),
            _ => address,
        }
    }

    fn address(&self) -> Result<Address> {
        if let Some(path) = self.text("unix_socket_path")? {
            return Ok(Address::Unix(PathBuf::from(path)));
        }
        Ok(Address::Tcp {
            // `add_url` puts the URL's own address over this one.
            host: self.text("host")?.unwrap_or_default(),
            port: self.narrow("port")?,
        })
    }

    /// Lays what a URL says over the options, refusing what both say.
    fn add_url(&self, text: &str, options: &mut ConnectionOptions) -> Result<()> {
        use redis::IntoConnectionInfo as _;

        // The crate's own errors are not passed on: they may quote the URL.
        let wrong = |what: &str| {
            Error::Configuration(format!(
                "option `url` {what}; it must look like redis://[user[:password]@]host[:port][/db] \
                 or unix:///path[?db=n], with special characters in the password percent-encoded"
            ))
        };
        let url = redis::parse_redis_url(text).ok_or_else(|| wrong("is not a Redis URL"))?;
        if matches!(url.scheme(), "rediss" | "valkeys") {
            return Err(no_tls("a `rediss://` URL"));
        }
        let parameters: &[&str] = match url.scheme() {
            "unix" | "redis+unix" | "valkey+unix" => &["db", "user", "pass"],
            _ => &[],
        };
        if let Some((name, _)) = url
            .query_pairs()
            .find(|(name, _)| !parameters.contains(&name.as_ref()))
        {
            return Err(wrong(&format!(
                "has the parameter {name:?}, which means nothing here"
            )));
        }
        let says_db = match parameters {
            [] => !matches!(url.path(), "" | "/"),
            _ => url.query_pairs().any(|(name, _)| name == "db"),
        };
        let info = url
            .into_connection_info()
            .map_err(|_| wrong("does not parse"))?;
        options.address = match info.addr() {
            redis::ConnectionAddr::Tcp(host, port) => Address::Tcp {
                host: host.trim_matches(['[', ']']).to_owned(),
                port: *port,
            },
            redis::ConnectionAddr::Unix(path) => Address::Unix(path.clone()),
            _ => return Err(wrong("names a kind of address that is not supported")),
        };
        let redis = info.redis_settings();
        let twice = |name: &str| {
            Error::Configuration(format!(
                "option `{name}` is given and the `url` says it too; give it once"
            ))
        };
        if let Some(username) = redis.username().filter(|name| !name.is_empty()) {
            if options.username.replace(username.to_owned()).is_some() {
                return Err(twice("username"));
            }
        }
        if let Some(password) = redis.password() {
            if options
                .password
                .replace(Secret(password.to_owned()))
                .is_some()
            {
                return Err(twice("password"));
            }
        }
        if says_db {
            if self.values.contains_key("db") {
                return Err(twice("db"));
            }
            options.db = u32::try_from(redis.db()).map_err(|_| wrong("has a negative database"))?;
        }
        Ok(())
    }

    /// A value or its default, references resolved and checked.
    fn text(&self, name: &'static str) -> Result<Option<String>> {
        let spec = spec_of(name, Scope::Connection)?;
        let Some(value) = self.values.get(name) else {
            return Ok(spec.default.map(str::to_owned));
        };
        if !has_reference(value) {
            return Ok(Some(value.clone()));
        }
        let resolved = resolve(spec, value)?;
        spec.check(&resolved)?;
        Ok(Some(resolved))
    }

    fn required(&self, name: &'static str) -> Result<String> {
        self.text(name)?
            .ok_or_else(|| Error::Configuration(format!("option `{name}` is not set")))
    }

    fn integer(&self, name: &'static str) -> Result<Option<u64>> {
        let parse = |text: String| {
            text.parse()
                .map_err(|_| Error::Configuration(format!("option `{name}` is not a number")))
        };
        self.text(name)?.map(parse).transpose()
    }

    /// An integer whose kind bounds it to `T`.
    fn narrow<T: TryFrom<u64> + Default>(&self, name: &'static str) -> Result<T> {
        T::try_from(self.integer(name)?.unwrap_or_default())
            .map_err(|_| Error::Configuration(format!("option `{name}` is out of range")))
    }

    fn seconds(&self, name: &'static str) -> Result<Duration> {
        parse_seconds(&self.required(name)?)
            .ok_or_else(|| Error::Configuration(format!("option `{name}` is not a time")))
    }

    fn flag(&self, name: &'static str) -> Result<bool> {
        Ok(self.required(name)?.eq_ignore_ascii_case("true"))
    }
}

impl OptionSpec {
    /// What a value must spell, in words.
    pub fn expects(&self) -> String {
        match self.kind {
            Kind::Text => "a text".to_owned(),
            Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Seconds => "a number of seconds above 0 and below 1e9".to_owned(),
            Kind::Flag => "`true` or `false`".to_owned(),
            Kind::Choice(choices) => format!("one of `{}`", choices.join("`, `")),
        }
    }

    fn check(&self, value: &str) -> Result<()> {
        let fits = match self.kind {
            Kind::Text => true,
            Kind::Integer { min, max } => value
                .parse::<u64>()
                .is_ok_and(|number| (min..=max).contains(&number)),
            Kind::Seconds => parse_seconds(value).is_some(),
            Kind::Flag => ["true", "false"]
                .iter()
                .any(|flag| value.eq_ignore_ascii_case(flag)),
            Kind::Choice(choices) => choices.contains(&value),
        };
        if fits {
            return Ok(());
        }
        let shown = if self.secret {
            "***".to_owned()
        } else {
            format!("{value:?}")
        };
        Err(Error::Configuration(format!(
            "option `{}` is {shown}; it must be {}",
            self.name,
            self.expects()
        )))
    }
}

fn no_tls(what: &str) -> Error {
    Error::Configuration(format!(
        "{what} asks for TLS, which this version of lakeflow-redis does not speak"
    ))
}

fn parse_seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    (seconds > 0.0 && seconds < 1e9).then(|| Duration::from_secs_f64(seconds))
}

fn spec_of(name: &str, scope: Scope) -> Result<&'static OptionSpec> {
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

/// `; did you mean …?` for the name that is most like the one given.
pub fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|name| (strsim::jaro_winkler(&given.to_lowercase(), name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"))
}

/// All but RFC 3986's unreserved characters, so that a host name stays one.
const RESERVED: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

fn has_reference(value: &str) -> bool {
    value
        .split_once(OPEN)
        .is_some_and(|(_, rest)| rest.contains(CLOSE))
}

/// Puts environment variables in the place of `{{ NAME }}`.
///
/// Inside a URL the value is percent-encoded, so that a password may hold any character; a
/// URL that is one reference as a whole is taken as it is.
fn resolve(spec: &OptionSpec, value: &str) -> Result<String> {
    let encode = spec.name == "url"
        && !(value.starts_with(OPEN) && value.find(CLOSE) == Some(value.len() - CLOSE.len()));
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((name, tail)) = after.split_once(CLOSE) else {
            break;
        };
        let name = name.trim();
        let resolved = std::env::var(name).map_err(|_| {
            Error::Configuration(format!(
                "option `{}` refers to the environment variable {name:?}, which is not set (or is not UTF-8)",
                spec.name
            ))
        })?;
        out.push_str(before);
        if encode {
            out.extend(percent_encoding::utf8_percent_encode(&resolved, RESERVED));
        } else {
            out.push_str(&resolved);
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Result<Options> {
        Options::for_connector(pairs.iter().copied())
    }

    fn message(pairs: &[(&str, &str)]) -> String {
        options(pairs).unwrap_err().to_string()
    }

    #[test]
    fn every_default_is_a_value_that_its_own_kind_takes() {
        for spec in OPTIONS {
            if let Some(default) = spec.default {
                spec.check(default).unwrap();
            }
        }
    }

    #[test]
    fn unknown_options_name_the_nearest() {
        let text = message(&[("host", "a"), ("pasword", "x")]);
        assert!(
            text.contains("\"pasword\"") && text.contains("`password`"),
            "{text}"
        );
    }

    #[test]
    fn values_are_checked_and_secrets_not_shown() {
        assert!(message(&[("host", "a"), ("port", "abc")]).contains("1 to 65535"));
        assert!(message(&[("host", "a"), ("db", "-1")]).contains("`db`"));
        assert!(message(&[("host", "a"), ("socket_timeout", "nan")]).contains("seconds"));
        assert!(message(&[("host", "a"), ("url", "redis://:canary@b")]).contains("`url`"));
        assert!(!message(&[("url", "redis://:canary@b:x/0")]).contains("canary"));
        assert!(message(&[("url", "rediss://b")]).contains("TLS"));
        assert!(message(&[("url", "redis://b/1?ssl=true")]).contains("\"ssl\""));
        assert!(message(&[("port", "1")]).contains("no server"));
    }

    #[test]
    fn urls_say_what_options_say() {
        let parsed = options(&[("url", "redis://me:p%40ss@[::1]:7000/3")])
            .unwrap()
            .connection()
            .unwrap();
        assert_eq!(parsed.address.to_string(), "[::1]:7000");
        assert_eq!(parsed.username.as_deref(), Some("me"));
        assert_eq!(parsed.password, Some(Secret("p@ss".to_owned())));
        assert_eq!(parsed.db, 3);

        let parsed = options(&[("url", "unix:///tmp/r.sock?db=2"), ("password", "x")])
            .unwrap()
            .connection()
            .unwrap();
        assert_eq!(parsed.address, Address::Unix(PathBuf::from("/tmp/r.sock")));
        assert_eq!(
            (parsed.db, parsed.password),
            (2, Some(Secret("x".to_owned())))
        );

        let twice = message(&[("url", "redis://:a@b/1"), ("password", "c")]);
        assert!(twice.contains("`password`"), "{twice}");
        assert!(message(&[("url", "redis://b/1"), ("db", "1")]).contains("`db`"));
    }

    #[test]
    fn references_are_kept_until_they_are_needed() {
        // PATH is the one variable that is surely set.
        let path = std::env::var("PATH").unwrap();
        let kept = options(&[("host", "a"), ("password", "x{{ PATH }}")]).unwrap();
        assert!(kept.given().any(|pair| pair == ("password", "x{{ PATH }}")));
        let password = kept.connection().unwrap().password;
        assert_eq!(password, Some(Secret(format!("x{path}"))));

        let url = options(&[("url", "redis://:{{PATH}}@host.example-1/2")]).unwrap();
        assert_eq!(url.connection().unwrap().password, Some(Secret(path)));

        let missing = options(&[("host", "{{ NO_SUCH_VARIABLE }}")]).unwrap();
        let text = missing.connection().unwrap_err().to_string();
        assert!(
            text.contains("`host`") && text.contains("NO_SUCH_VARIABLE"),
            "{text}"
        );
    }

    #[test]
    fn one_read_has_its_own_options_over_the_connectors() {
        let base = options(&[("host", "a"), ("batch_size", "5")]).unwrap();
        assert_eq!(base.read().unwrap().batch_size, 5);
        let read = base.for_read([("batch_size", "7")]).unwrap();
        assert_eq!(read.read().unwrap().batch_size, 7);
        let refused = base.for_read([("host", "b")]).unwrap_err().to_string();
        assert!(refused.contains("connector as a whole"), "{refused}");
    }

    #[test]
    fn places_hold_no_secret() {
        let place = |pairs| options(pairs).unwrap().place();
        assert_eq!(place(&[("host", "a"), ("db", "2")]), "a:6379, db 2");
        assert_eq!(place(&[("url", "redis://u:canary@h:7/1")]), "h:7/1");
        assert_eq!(place(&[("url", "redis://:{{ X }}@h")]), "redis://{{ … }}");
    }
}
