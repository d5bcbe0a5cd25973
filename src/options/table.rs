//! The one table of option keys.

use super::spec::{Kind, OptionSpec, Scope, nearest, option};
use crate::error::{Error, Result};

/// A SCAN of more would keep a server from its other clients for a tenth of a second.
const MAX_SCAN_COUNT: u64 = 1_000_000;

/// Each has a connection of its own, of which servers allow 10,000 by default.
const MAX_PARTITIONS: u64 = 4096;

const COUNT: Kind = Kind::Integer {
    min: 1,
    max: u32::MAX as u64,
};

/// Tables that are made of keys.
const OF_KEYS: &[&str] = &[
    "keys",
    "strings",
    "hashes",
    "lists",
    "sets",
    "sorted_sets",
    "streams",
];

pub const OPTIONS: &[OptionSpec] = &[
    option(
        "url",
        Kind::Text,
        None,
        Scope::Connection,
        "The server as `redis://[user[:password]@]host[:port][/db]`, `rediss://…` for TLS, or `unix:///path[?db=n]`.",
    )
    .secret(),
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
        "mode",
        Kind::Choice(&["auto", "standalone", "cluster", "sentinel"]),
        Some("auto"),
        Scope::Connection,
        "What the server is part of; `auto` asks it whether it is a node of a cluster or stands alone.",
    ),
    option(
        "nodes",
        Kind::Nodes,
        None,
        Scope::Connection,
        "Instead of `host`: nodes of the cluster to ask for the others, or the Sentinels, as `host:port` between commas.",
    ),
    option(
        "read_from",
        Kind::Choice(&["primary", "replica"]),
        Some("primary"),
        Scope::Connection,
        "In a cluster or under Sentinels: whether to read the primaries, or a replica of each.",
    ),
    option(
        "sentinel_master",
        Kind::Text,
        None,
        Scope::Connection,
        "`mode=sentinel`: the name that the Sentinels know the primary by.",
    ),
    option(
        "sentinel_username",
        Kind::Text,
        None,
        Scope::Connection,
        "`mode=sentinel`: the ACL user at the Sentinels, which have users of their own.",
    ),
    option(
        "sentinel_password",
        Kind::Text,
        None,
        Scope::Connection,
        "`mode=sentinel`: the password for AUTH at the Sentinels.",
    )
    .secret(),
    option(
        "username",
        Kind::Text,
        None,
        Scope::Connection,
        "The ACL user (Redis 6.0+); without it a password is that of the default user.",
    ),
    option(
        "password",
        Kind::Text,
        None,
        Scope::Connection,
        "The password for AUTH; best as a reference such as `{{ REDIS_PASSWORD }}`.",
    )
    .secret(),
    option(
        "password_file",
        Kind::Text,
        None,
        Scope::Connection,
        "A file that holds the password, without its last line break; read at every connection.",
    ),
    option(
        "db",
        Kind::Databases,
        Some("0"),
        Scope::Connection,
        "The databases to read: `0`, `0,1,2`, or `*` for all that hold keys; of several, tables have a column `db`.",
    ),
    option(
        "ssl",
        Kind::Flag,
        Some("false"),
        Scope::Connection,
        "Whether to use TLS, as a `rediss://` URL says too.",
    ),
    option(
        "ssl_ca_certs",
        Kind::Text,
        None,
        Scope::Connection,
        "TLS: the authorities to trust instead of the system's, as a path or as PEM text.",
    ),
    option(
        "ssl_certfile",
        Kind::Text,
        None,
        Scope::Connection,
        "TLS: the client's certificate, as a path or as PEM text.",
    ),
    option(
        "ssl_keyfile",
        Kind::Text,
        None,
        Scope::Connection,
        "TLS: the client certificate's private key, as a path or as PEM text.",
    )
    .secret(),
    option(
        "ssl_cert_reqs",
        Kind::Choice(&["required", "none"]),
        Some("required"),
        Scope::Connection,
        "TLS: whether the server must have a certificate that can be trusted; `none` warns.",
    ),
    option(
        "ssl_check_hostname",
        Kind::Flag,
        Some("true"),
        Scope::Connection,
        "TLS: whether the server's certificate must be for the host that is connected to.",
    ),
    option(
        "socket_connect_timeout",
        Kind::Seconds { or_none: false },
        Some("10"),
        Scope::Connection,
        "Seconds within which a connection must be made.",
    ),
    option(
        "socket_timeout",
        Kind::Seconds { or_none: false },
        Some("30"),
        Scope::Connection,
        "Seconds of silence after which an awaited reply counts as lost.",
    ),
    option(
        "retry_deadline",
        Kind::Seconds { or_none: true },
        Some("60"),
        Scope::Connection,
        "Seconds for which to try again, after growing pauses, what fails for a while: a server that loads its data, \
         is busy or takes no more clients, and a connection that is lost in the middle of a read. `0` is not at all.",
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
    )
    .only_for(OF_KEYS),
    option(
        "sync_rules",
        Kind::Rules,
        None,
        Scope::Table,
        "Which keys to read, as JSON: a list of objects with `database` and `key_pattern`, `_type` or both; `db` does not count then.",
    )
    .only_for(OF_KEYS),
    option(
        "on_denied",
        Kind::Choice(&["error", "skip"]),
        Some("error"),
        Scope::Table,
        "Whether a key that the user may not read is an error, or left out and counted.",
    )
    .only_for(OF_KEYS),
    option(
        "batch_size",
        Kind::Integer {
            min: 1,
            max: MAX_SCAN_COUNT,
        },
        None,
        Scope::Table,
        "How many keys to ask for per SCAN (its COUNT); by default what keeps the server busy and its other clients served.",
    )
    .only_for(OF_KEYS),
    option(
        "columns",
        Kind::List,
        None,
        Scope::Table,
        "The columns to read, in this order, between commas or as a JSON array; nothing is fetched for the others.",
    ),
    option(
        "fields",
        Kind::List,
        None,
        Scope::Table,
        "`hashes`: the fields to read, between commas or as a JSON array; other fields are not fetched.",
    )
    .only_for(&["hashes"]),
    option(
        "max_in_flight_bytes",
        Kind::Integer {
            min: 64 * 1024,
            max: 1024 * 1024 * 1024,
        },
        Some("8388608"),
        Scope::Table,
        "Reply bytes that may be asked for and not yet read; they take memory on the server.",
    )
    .only_for(OF_KEYS),
    option(
        "max_server_share",
        Kind::Share,
        Some("1"),
        Scope::Table,
        "The share of the server's time that a read may take, such as `0.25`; it pauses in between.",
    )
    .only_for(OF_KEYS),
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
        "num_partitions",
        Kind::Integer {
            min: 1,
            max: MAX_PARTITIONS,
        },
        Some("1"),
        Scope::Table,
        "For distributed reads: into how many parts to divide the keys of each database (in a cluster, the nodes are the parts), or its streams' entries.",
    )
    .only_for(OF_KEYS),
    option(
        "max_records_per_batch",
        COUNT,
        None,
        Scope::Table,
        "`streams`: read at most this many entries per call, spread over the streams.",
    )
    .only_for(&["streams"]),
    option(
        "start_timestamp",
        Kind::Timestamp,
        None,
        Scope::Table,
        "`streams`: leave out entries from before this moment, by their ids: ISO 8601 or milliseconds.",
    )
    .only_for(&["streams"]),
    option(
        "end_timestamp",
        Kind::Timestamp,
        None,
        Scope::Table,
        "`streams`: read no entries from this moment on; a later read can go on with them.",
    )
    .only_for(&["streams"]),
    option(
        "fail_on_data_loss",
        Kind::Flag,
        Some("true"),
        Scope::Table,
        "`streams`: whether entries that are lost since the offset, or go during the read, are an error; otherwise the receipt lists the gaps.",
    )
    .only_for(&["streams"]),
];

pub fn spec_of(name: &str, scope: Scope) -> Result<&'static OptionSpec> {
    let known = OPTIONS.iter().find(|spec| spec.name == name);
    match known {
        Some(spec) if scope == Scope::Connection || spec.scope == Scope::Table => Ok(spec),
        Some(spec) => {
            let text = format!("option `{name}` is for the connector as a whole, not for one read");
            Err(Error::about([spec.name], text))
        }
        None => {
            let names = OPTIONS.iter().map(|spec| spec.name);
            Err(Error::configuration(format!(
                "unknown option {name:?}{}",
                nearest(name, names)
            )))
        }
    }
}
