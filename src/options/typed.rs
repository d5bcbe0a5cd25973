//! Options as the code behind takes them.

use std::path::PathBuf;
use std::time::Duration;

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
    /// SCAN's COUNT; None where it is chosen while reading.
    pub batch_size: Option<u64>,
    /// The columns to read, in their order; None for all.
    pub columns: Option<Vec<String>>,
    /// The fields to read of hashes; None for all.
    pub fields: Option<Vec<Box<[u8]>>>,
    pub in_flight_bytes: u64,
    /// The most of the server's time to take, 1 being all of it.
    pub server_share: f64,
    pub value_type: ValueType,
    pub invalid_utf8: InvalidUtf8,
    pub max_records: Option<u64>,
    pub fail_on_data_loss: bool,
}
