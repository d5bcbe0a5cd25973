//! The one table of option keys, and strings made into typed options by it.
//!
//! Parsing, the command line, the stub and the README all come from [`OPTIONS`]. Values may
//! hold `{{ NAME }}` references to environment variables; they are resolved when a typed
//! struct is made, so that what is kept (and pickled) is the reference.

mod references;
mod table;
mod typed;
mod url;
mod values;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Error, Result};

pub use table::{Kind, OPTIONS, OptionSpec, Scope, nearest};
pub use typed::{Address, ConnectionOptions, InvalidUtf8, ReadOptions, Secret, ValueType};

use references::has_reference;
use table::spec_of;

/// Strings that were checked against [`OPTIONS`], references unresolved.
#[derive(Clone, Default)]
pub struct Options {
    values: BTreeMap<&'static str, String>,
}

/// Without the values, of which some are secret.
impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
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
                self.values.get("client_name")
            )));
        }
        Ok(options)
    }

    /// What says how to read; resolves references.
    pub fn read(&self) -> Result<ReadOptions> {
        let pattern = self.required("key_pattern")?;
        Ok(ReadOptions {
            key_pattern: (pattern != "*").then(|| pattern.into_bytes()),
            batch_size: self.integer("batch_size")?,
            columns: self.list("columns")?,
            fields: self.list("fields")?.map(|names| {
                let bytes = names.into_iter().map(String::into_bytes);
                bytes.map(Vec::into_boxed_slice).collect()
            }),
            in_flight_bytes: self.narrow("max_in_flight_bytes")?,
            server_share: self.share("max_server_share")?,
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
            host: host_name(&self.text("host")?.unwrap_or_default())?,
            port: self.narrow("port")?,
        })
    }
}

/// A host as the resolver takes it; an IPv6 address may come in brackets.
fn host_name(given: &str) -> Result<String> {
    let bare = given
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(given);
    if bare.contains("://") {
        return Err(Error::Configuration(
            "option `host` holds a URL, which belongs into option `url`".to_owned(),
        ));
    }
    Ok(bare.to_owned())
}

fn no_tls(what: &str) -> Error {
    Error::Configuration(format!(
        "{what} asks for TLS, which this version of lakeflow-redis does not speak"
    ))
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
        for tail in ["?canary@b/1", "#canary@b/1"] {
            let text = message(&[("url", &format!("redis://user:12{tail}"))]);
            assert!(
                text.contains("means nothing") && !text.contains("canary"),
                "{text}"
            );
        }
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
        assert_eq!(base.read().unwrap().batch_size, Some(5));
        let read = base.for_read([("batch_size", "7")]).unwrap();
        assert_eq!(read.read().unwrap().batch_size, Some(7));
        let refused = base.for_read([("host", "b")]).unwrap_err().to_string();
        assert!(refused.contains("connector as a whole"), "{refused}");
    }

    #[test]
    fn lists_are_names_between_commas_or_json() {
        let fields = |given| {
            let read = options(&[("host", "a"), ("fields", given)])?.read()?;
            let fields = read.fields.unwrap_or_default();
            let fields = fields.iter().map(|name| String::from_utf8_lossy(name));
            Ok::<_, Error>(fields.collect::<Vec<_>>().join("|"))
        };
        assert_eq!(fields("a, b").unwrap(), "a|b");
        assert_eq!(fields(r#"["a,b", " "]"#).unwrap(), "a,b| ");
        assert_eq!(fields(r#"[""]"#).unwrap(), "");
        for wrong in ["", "a,,b", "a,a", "[]", "[1]", "[\"a\""] {
            assert!(fields(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn places_hold_no_secret() {
        let place = |pairs| options(pairs).unwrap().place();
        assert_eq!(place(&[("host", "a"), ("db", "2")]), "a:6379, db 2");
        assert_eq!(place(&[("url", "redis://u:canary@h:7/1")]), "h:7/1");
        assert_eq!(place(&[("url", "redis://:{{ X }}@h")]), "redis://{{ … }}");
    }
}
