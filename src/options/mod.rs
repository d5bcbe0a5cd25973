//! The one table of option keys, and strings made into typed options by it.
//!
//! Parsing, the command line, the stub and the README all come from [`OPTIONS`]. Values may
//! hold `{{ NAME }}` references to environment variables; they are resolved when a typed
//! struct is made, so that what is kept (and pickled) is the reference.

mod connect;
mod place;
mod references;
mod rules;
mod spec;
mod spelling;
mod table;
mod typed;
mod url;
mod values;

use std::collections::BTreeMap;

use crate::error::{Error, Result};

pub use connect::check_cluster_database;
pub use rules::{Rule, Selection};
pub use spec::{Kind, OptionSpec, Scope, nearest};
pub use table::OPTIONS;
pub use typed::{
    Access, Address, ConnectionOptions, Credentials, Databases, InvalidUtf8, Mode, OnDenied,
    Password, Pem, ReadFrom, ReadOptions, Secret, Sentinel, Tls, ValueType,
};

use references::has_reference;
use spelling::parse_timestamp;
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
        for other in ["host", "port", "unix_socket_path", "nodes"] {
            options.exclude("url", other)?;
        }
        options.exclude("nodes", "host")?;
        options.exclude("nodes", "port")?;
        options.exclude("nodes", "unix_socket_path")?;
        options.exclude("unix_socket_path", "host")?;
        options.exclude("unix_socket_path", "port")?;
        if !["url", "host", "unix_socket_path", "nodes"]
            .iter()
            .any(|name| options.values.contains_key(name))
        {
            return Err(Error::configuration(
                "no server is named: give `host` (and `port`), `url`, `unix_socket_path`, or `nodes`"
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
        let mut given = Vec::new();
        for (name, value) in pairs {
            let spec = spec_of(name.as_ref(), scope)?;
            let value = value.into();
            if !has_reference(&value) {
                spec.check(&value)?;
            }
            given.push(spec.name);
            self.values.insert(spec.name, value);
        }
        // What is given for one read stands in for what says the same for all.
        for (one, other) in [("key_pattern", "sync_rules"), ("sync_rules", "key_pattern")] {
            if given.contains(&one) && !given.contains(&other) {
                self.values.remove(other);
            }
        }
        Ok(self)
    }

    fn exclude(&self, name: &'static str, other: &'static str) -> Result<()> {
        if self.values.contains_key(name) && self.values.contains_key(other) {
            let text = format!(
                "options `{name}` and `{other}` both say where the server is; give one of them"
            );
            return Err(Error::about([name, other], text));
        }
        Ok(())
    }

    /// What says how to read; resolves references.
    pub fn read(&self) -> Result<ReadOptions> {
        Ok(ReadOptions {
            selection: self.selection()?.0,
            on_denied: match self.required("on_denied")?.as_str() {
                "skip" => OnDenied::Skip,
                _ => OnDenied::Error,
            },
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
            partitions: self.integer("num_partitions")?.unwrap_or(1),
            max_records: self.integer("max_records_per_batch")?,
            start_timestamp: self.parsed("start_timestamp", parse_timestamp)?,
            end_timestamp: self.parsed("end_timestamp", parse_timestamp)?,
            fail_on_data_loss: self.flag("fail_on_data_loss")?,
        })
    }

    /// Which keys to read, and as what text the options say it.
    pub fn selection(&self) -> Result<(Selection, String)> {
        let pattern = self.required("key_pattern")?;
        let Some(rules) = self.text("sync_rules")? else {
            let rule = Rule {
                pattern: (pattern != "*").then(|| pattern.clone().into_bytes()),
                key_type: None,
            };
            return Ok((Selection::Everywhere(rule), pattern));
        };
        if self.values.contains_key("key_pattern") {
            return Err(Error::about(
                ["key_pattern", "sync_rules"],
                "options `key_pattern` and `sync_rules` both say which keys to read; give one of them",
            ));
        }
        Ok((rules::parse_rules(&rules)?, rules))
    }

    /// The databases to read; resolves no more references than say so.
    pub fn databases(&self) -> Result<Databases> {
        if let Some(databases) = self.selection()?.0.databases() {
            return Ok(databases);
        }
        if self.values.contains_key("url") {
            return Ok(self.connection()?.databases);
        }
        self.db()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn options(pairs: &[(&str, &str)]) -> Result<Options> {
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
        assert!(message(&[("url", "unix:///s"), ("ssl", "true")]).contains("TLS"));
        for tail in ["?canary@b/1", "#canary@b/1"] {
            let text = message(&[("url", &format!("redis://user:12{tail}"))]);
            assert!(
                text.contains("means nothing") && !text.contains("canary"),
                "{text}"
            );
        }
        assert!(message(&[("port", "1")]).contains("no server"));
    }

    fn given(password: &str) -> Option<Password> {
        Some(Password::Given(Secret(password.to_owned())))
    }

    #[test]
    fn urls_say_what_options_say() {
        let parsed = options(&[("url", "redis://me:p%40ss@[::1]:7000/3")])
            .unwrap()
            .connection()
            .unwrap();
        assert_eq!(parsed.seeds[0].to_string(), "[::1]:7000");
        assert_eq!(parsed.access.credentials.username.as_deref(), Some("me"));
        assert_eq!(parsed.access.credentials.password, given("p@ss"));
        assert_eq!(parsed.databases, Databases::These(vec![3]));

        let parsed = options(&[("url", "unix:///tmp/r.sock?db=2"), ("password", "x")])
            .unwrap()
            .connection()
            .unwrap();
        assert_eq!(parsed.seeds, [Address::Unix("/tmp/r.sock".into())]);
        assert_eq!(parsed.databases, Databases::These(vec![2]));
        assert_eq!(parsed.access.credentials.password, given("x"));

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
        let password = |options: &Options| {
            let connection = options.connection().unwrap();
            connection.access.credentials.password
        };
        assert_eq!(password(&kept), given(&format!("x{path}")));

        let url = options(&[("url", "redis://:{{PATH}}@host.example-1/2")]).unwrap();
        assert_eq!(password(&url), given(&path));

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
    fn options_that_mean_nothing_where_they_stand_are_refused() {
        for (pairs, part) in [
            (&[("ssl_ca_certs", "ca.pem")][..], "`ssl_ca_certs`"),
            (&[("ssl", "true"), ("ssl_certfile", "c")], "`ssl_keyfile`"),
            (
                &[
                    ("ssl", "true"),
                    ("ssl_cert_reqs", "none"),
                    ("ssl_ca_certs", "c"),
                ],
                "`ssl_ca_certs`",
            ),
            (&[("mode", "sentinel")], "`sentinel_master`"),
            (
                &[("mode", "cluster"), ("sentinel_master", "m")],
                "`sentinel_master`",
            ),
            (&[("mode", "cluster"), ("db", "1")], "`db`"),
            (&[("mode", "cluster"), ("db", "*")], "`db`"),
            (
                &[("mode", "standalone"), ("read_from", "replica")],
                "`read_from`",
            ),
            (
                &[("password", "a"), ("password_file", "b")],
                "`password_file`",
            ),
            (
                &[
                    ("key_pattern", "a"),
                    ("sync_rules", r#"[{"database": 0, "_type": "SET"}]"#),
                ],
                "`sync_rules`",
            ),
        ] {
            let pairs = [&[("host", "h")], pairs].concat();
            let text = message(&pairs);
            assert!(text.contains(part), "{pairs:?}: {text}");
        }
        assert!(message(&[("url", "rediss://b"), ("ssl", "false")]).contains("`ssl`"));
        assert!(message(&[("url", "redis://b"), ("ssl", "true")]).contains("`ssl`"));
        assert!(options(&[("url", "rediss://b"), ("ssl_check_hostname", "false")]).is_ok());
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
}
