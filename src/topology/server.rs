//! What a server says of itself by INFO.

use std::collections::BTreeMap;

use crate::connection::Connection;
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Redis,
    Valkey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Primary,
    Replica,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub product: Product,
    /// The product's own version, as it writes it.
    pub version: String,
    /// The version of Redis whose commands it has.
    pub redis_version: (u32, u32),
    /// `standalone`, `cluster` or `sentinel`.
    pub mode: String,
    /// Whether its data are not in memory yet: then it answers to little more than INFO.
    loading: bool,
    pub role: Role,
    /// Of a replica, whether it hears from its primary.
    pub link_up: bool,
    /// How far its data is, in bytes of the commands that made them.
    pub repl_offset: Option<u64>,
    /// Another one in every process.
    pub run_id: String,
    /// `maxmemory-policy`, where it is told.
    pub eviction: Option<String>,
    pub databases: BTreeMap<u32, Keyspace>,
}

/// What a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyspace {
    pub keys: u64,
    /// Keys that expire; None where the server does not say.
    pub expires: Option<u64>,
}

impl Server {
    pub fn identify(connection: &mut Connection) -> Result<Self> {
        let info: Vec<u8> = connection.query(&redis::cmd("INFO"))?;
        Server::parse(&String::from_utf8_lossy(&info))
    }

    /// The error that any command for its data would be.
    pub fn check_loaded(&self) -> Result<()> {
        match self.loading {
            true => Err(Error::from_reply(
                b"LOADING Redis is loading the dataset in memory",
            )),
            false => Ok(()),
        }
    }

    /// Whether SCAN takes TYPE (6.0).
    pub fn scans_by_type(&self) -> bool {
        self.redis_version >= (6, 0)
    }

    /// Whether it has CLIENT NO-TOUCH (7.2).
    pub fn has_no_touch(&self) -> bool {
        self.redis_version >= (7, 2)
    }

    /// Whether any key of a database may expire.
    pub fn keys_expire(&self, db: u32) -> bool {
        // A database that is not named has no keys; one that says nothing may have any.
        let keyspace = self.databases.get(&db);
        keyspace.is_some_and(|keyspace| keyspace.expires != Some(0))
    }

    /// Reads the reply to INFO.
    pub fn parse(info: &str) -> Result<Self> {
        let lines = || {
            info.lines()
                .filter_map(|line| line.trim_end().split_once(':'))
        };
        let get = |name: &str| {
            let mut found = lines().filter(|(key, _)| *key == name);
            found.next().map(|(_, value)| value.to_owned())
        };
        let redis = get("redis_version")
            .ok_or_else(|| Error::Protocol("the reply to INFO has no redis_version".to_owned()))?;
        let (product, version) = match get("valkey_version") {
            Some(version) => (Product::Valkey, version),
            None => (Product::Redis, redis.clone()),
        };
        let mut numbers = redis.split('.').map_while(|part| part.parse().ok());
        let databases = lines().filter_map(|(name, facts)| {
            let db = name.strip_prefix("db")?.parse().ok()?;
            let fact = |wanted: &str| {
                let mut facts = facts.split(',').filter_map(|fact| fact.split_once('='));
                let (_, number) = facts.find(|(name, _)| *name == wanted)?;
                number.parse().ok()
            };
            let keys = fact("keys")?;
            let expires = fact("expires");
            Some((db, Keyspace { keys, expires }))
        });
        Ok(Server {
            product,
            version,
            redis_version: (
                numbers.next().unwrap_or_default(),
                numbers.next().unwrap_or_default(),
            ),
            mode: get("redis_mode")
                .or_else(|| get("server_mode"))
                .unwrap_or_else(|| "standalone".to_owned()),
            loading: get("loading").as_deref() == Some("1"),
            role: match get("role").as_deref() {
                Some("slave" | "replica") => Role::Replica,
                _ => Role::Primary,
            },
            link_up: get("master_link_status").is_none_or(|status| status == "up"),
            repl_offset: get("slave_repl_offset")
                .or_else(|| get("master_repl_offset"))
                .and_then(|offset| offset.parse().ok()),
            run_id: get("run_id").unwrap_or_default(),
            eviction: get("maxmemory_policy"),
            databases: databases.collect(),
        })
    }
}

impl std::fmt::Display for Product {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Product::Redis => "Redis",
            Product::Valkey => "Valkey",
        })
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.product, self.version, self.mode)
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Role::Primary => "primary",
            Role::Replica => "replica",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_versions_are_told_apart() {
        let redis = Server::parse("# Server\r\nredis_version:5.0.6\r\nredis_mode:standalone\r\n");
        let redis = redis.unwrap();
        assert_eq!(redis.to_string(), "Redis 5.0.6 (standalone)");
        assert!(!redis.scans_by_type());
        let valkey = "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\nserver_mode:cluster";
        let valkey = Server::parse(valkey).unwrap();
        assert_eq!(valkey.to_string(), "Valkey 9.1.2 (cluster)");
        assert!(valkey.scans_by_type());
        assert!(Server::parse("nonsense").is_err());
    }

    #[test]
    fn databases_say_how_many_keys_expire() {
        let info = "redis_version:7.0.15\r\nrole:slave\r\nmaster_link_status:down\r\n\
            db0:keys=5,expires=0,avg_ttl=0\r\ndb12:keys=2,expires=1\r\ndb3:keys=1\r\n";
        let server = Server::parse(info).unwrap();
        assert_eq!((server.role, server.link_up), (Role::Replica, false));
        let known: Vec<_> = server
            .databases
            .iter()
            .map(|(db, all)| (*db, all.keys))
            .collect();
        assert_eq!(known, [(0, 5), (3, 1), (12, 2)]);
        let expiring: Vec<_> = (0..14).filter(|db| server.keys_expire(*db)).collect();
        assert_eq!(expiring, [3, 12]);
    }
}
