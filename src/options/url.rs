//! The option `url`, which says what several others say.

use super::{Address, ConnectionOptions, Options, Secret, no_tls};
use crate::error::{Error, Result};

impl Options {
    /// Lays what a URL says over the options, refusing what both say.
    pub(super) fn add_url(&self, text: &str, options: &mut ConnectionOptions) -> Result<()> {
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
        // Neither is quoted: behind an unescaped `?` or `#` may stand the rest of a password.
        if url.fragment().is_some() {
            return Err(wrong("has a fragment (`#…`), which means nothing here"));
        }
        if url
            .query_pairs()
            .any(|(name, _)| !parameters.contains(&name.as_ref()))
        {
            return Err(wrong("has a parameter (`?…`) that means nothing here"));
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
        if let Some(username) = redis.username().filter(|name| !name.is_empty())
            && options.username.replace(username.to_owned()).is_some()
        {
            return Err(twice("username"));
        }
        if let Some(password) = redis.password().map(|text| Secret(text.to_owned()))
            && options.password.replace(password).is_some()
        {
            return Err(twice("password"));
        }
        if says_db {
            if self.values.contains_key("db") {
                return Err(twice("db"));
            }
            options.db =
                u32::try_from(redis.db()).map_err(|_| wrong("has a database out of range"))?;
        }
        Ok(())
    }
}
