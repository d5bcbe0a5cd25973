//! The option `url`, which says what several others say.

use super::connect::{SENTINEL_PORT, twice};
use super::{Address, ConnectionOptions, Databases, Mode, Options, Password, Secret};
use crate::error::{Error, Result};

impl Options {
    /// Lays what a URL says over the options, refusing what both say. Whether it asks for TLS.
    pub(super) fn add_url(&self, text: &str, options: &mut ConnectionOptions) -> Result<bool> {
        use redis::IntoConnectionInfo as _;

        // The crate's own errors are not passed on: they may quote the URL.
        let wrong = |what: &str| {
            let text = format!(
                "option `url` {what}; it must look like redis://[user[:password]@]host[:port][/db] \
                 (rediss:// for TLS) or unix:///path[?db=n], with special characters in the password percent-encoded"
            );
            Error::about(["url"], text)
        };
        let mut url = redis::parse_redis_url(text).ok_or_else(|| wrong("is not a Redis URL"))?;
        let encrypted = matches!(url.scheme(), "rediss" | "valkeys");
        if encrypted {
            // The crate knows this scheme only where it brings TLS itself.
            url.set_scheme("redis")
                .map_err(|()| wrong("does not parse"))?;
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
        let port_given = url.port();
        let info = url
            .into_connection_info()
            .map_err(|_| wrong("does not parse"))?;
        options.seeds = vec![match info.addr() {
            redis::ConnectionAddr::Tcp(host, port) => Address::Tcp {
                host: host.trim_matches(['[', ']']).to_owned(),
                port: match options.mode {
                    Mode::Sentinel => port_given.unwrap_or(SENTINEL_PORT),
                    _ => *port,
                },
            },
            redis::ConnectionAddr::Unix(path) => Address::Unix(path.clone()),
            _ => return Err(wrong("names a kind of address that is not supported")),
        }];
        let redis = info.redis_settings();
        const URL: &str = "the `url`";
        if self.values.contains_key("ssl") && self.flag("ssl")? != encrypted {
            return Err(Error::about(
                ["ssl", "url"],
                "option `ssl` contradicts the `url`: rediss:// asks for TLS, and redis:// for none",
            ));
        }
        let credentials = &mut options.access.credentials;
        if let Some(username) = redis.username().filter(|name| !name.is_empty())
            && credentials.username.replace(username.to_owned()).is_some()
        {
            return Err(twice("username", "url", URL));
        }
        if let Some(password) = redis.password().map(|text| Secret(text.to_owned()))
            && let Some(other) = credentials.password.replace(Password::Given(password))
        {
            return Err(match other {
                Password::Given(_) => twice("password", "url", URL),
                Password::InFile(_) => twice("password_file", "url", URL),
            });
        }
        if says_db {
            if self.values.contains_key("db") {
                return Err(twice("db", "url", URL));
            }
            let db = u32::try_from(redis.db()).map_err(|_| wrong("has a database out of range"))?;
            options.databases = Databases::These(vec![db]);
        }
        Ok(encrypted)
    }
}
