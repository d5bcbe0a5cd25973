//! Options as the code behind takes them.

use std::path::PathBuf;
use std::time::Duration;

use super::rules::Selection;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// Where to begin, what is there, and what of it to read.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    pub mode: Mode,
    /// The server; or nodes of a cluster; or Sentinels. At least one.
    pub seeds: Vec<Address>,
    pub read_from: ReadFrom,
    pub databases: Databases,
    /// How long to try again what fails for a while.
    pub retry_deadline: Duration,
    /// How to come into the servers that are read.
    pub access: Access,
    pub sentinel: Sentinel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Auto,
    Standalone,
    Cluster,
    Sentinel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    Primary,
    Replica,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Databases {
    /// All that hold keys.
    All,
    /// At least one, ascending.
    These(Vec<u32>),
}

impl Databases {
    /// Those that are named.
    pub fn numbers(&self) -> &[u32] {
        match self {
            Databases::All => &[],
            Databases::These(numbers) => numbers,
        }
    }

    pub fn includes(&self, db: u32) -> bool {
        match self {
            Databases::All => true,
            Databases::These(numbers) => numbers.contains(&db),
        }
    }

    /// Whether there may be more than one, so that rows have to tell.
    pub fn may_be_many(&self) -> bool {
        !matches!(self, Databases::These(numbers) if numbers.len() == 1)
    }
}

impl std::fmt::Display for Databases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Databases::All => f.write_str("all databases"),
            Databases::These(numbers) => {
                let shown: Vec<_> = numbers.iter().map(u32::to_string).collect();
                let word = if shown.len() == 1 {
                    "database"
                } else {
                    "databases"
                };
                write!(f, "{word} {}", shown.join(", "))
            }
        }
    }
}

/// How to connect to any one server, and as whom.
#[derive(Clone, Debug)]
pub struct Access {
    pub credentials: Credentials,
    /// None for a plaintext connection.
    pub tls: Option<Tls>,
    pub connect_timeout: Duration,
    pub timeout: Duration,
    pub client_name: String,
}

#[derive(Clone, Debug, Default)]
pub struct Credentials {
    pub username: Option<String>,
    pub password: Option<Password>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    Given(Secret),
    InFile(PathBuf),
}

#[derive(Clone, Debug)]
pub struct Tls {
    /// None for the system's.
    pub authorities: Option<Pem>,
    /// A client's certificates and its key.
    pub client: Option<(Pem, Pem)>,
    pub verify: bool,
    pub check_hostname: bool,
}

/// Where PEM text is, or the text, which may hold a private key.
#[derive(Clone, Debug)]
pub enum Pem {
    Path(PathBuf),
    Text(Secret),
}

#[derive(Clone, Debug)]
pub struct Sentinel {
    pub master: Option<String>,
    pub credentials: Credentials,
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

/// What becomes of a key that the user may not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDenied {
    Error,
    Skip,
}

#[derive(Clone, Debug)]
pub struct ReadOptions {
    pub selection: Selection,
    pub on_denied: OnDenied,
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
    /// Into how many parts a node's database is divided, at the most.
    pub partitions: u64,
    pub max_records: Option<u64>,
    /// Milliseconds since 1970, from which on streams are read.
    pub start_timestamp: Option<u64>,
    /// … and before which.
    pub end_timestamp: Option<u64>,
    pub fail_on_data_loss: bool,
}
