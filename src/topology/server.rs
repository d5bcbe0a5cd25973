//! What a server says of itself in `INFO server`.

use crate::connection::Connection;
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Redis,
    Valkey,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub product: Product,
    /// The product's own version, as it writes it.
    pub version: String,
    /// The version of Redis whose commands it has.
    redis_version: (u32, u32),
    /// `standalone`, `cluster` or `sentinel`.
    pub mode: String,
}

impl Server {
    pub fn identify(connection: &mut Connection) -> Result<Self> {
        let info: Vec<u8> = connection.query(redis::cmd("INFO").arg("server"))?;
        Server::parse(&String::from_utf8_lossy(&info))
    }

    /// Whether SCAN takes TYPE (6.0).
    pub fn scans_by_type(&self) -> bool {
        self.redis_version >= (6, 0)
    }

    /// Whether it has CLIENT NO-TOUCH (7.2).
    pub fn has_no_touch(&self) -> bool {
        self.redis_version >= (7, 2)
    }

    fn parse(info: &str) -> Result<Self> {
        let get = |name: &str| {
            info.lines()
                .filter_map(|line| line.trim_end().split_once(':'))
                .find_map(|(key, value)| (key == name).then(|| value.to_owned()))
        };
        let redis = get("redis_version").ok_or_else(|| {
            Error::Protocol("the reply to INFO server has no redis_version".to_owned())
        })?;
        let (product, version) = match get("valkey_version") {
            Some(version) => (Product::Valkey, version),
            None => (Product::Redis, redis.clone()),
        };
        let mut numbers = redis.split('.').map_while(|part| part.parse().ok());
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
        })
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let product = match self.product {
            Product::Redis => "Redis",
            Product::Valkey => "Valkey",
        };
        write!(f, "{product} {} ({})", self.version, self.mode)
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
}
