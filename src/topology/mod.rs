//! Which servers to read, and what each of them is. Clusters and Sentinels join here: each is
//! another way to come to a list of nodes.

mod server;

pub use server::{Product, Server};

use crate::connection::{Cancel, Connection};
use crate::error::{Error, Result};
use crate::options::ConnectionOptions;

/// A server to read, connected, with what it said of itself.
pub struct Node {
    pub connection: Connection,
    pub server: Server,
    /// Its address, as errors name it.
    pub name: String,
}

impl Node {
    fn open(options: &ConnectionOptions, cancel: Cancel) -> Result<Self> {
        let name = options.address.to_string();
        let opened = Connection::open(options, cancel).and_then(|mut connection| {
            let server = Server::identify(&mut connection)?;
            check_standalone(&server)?;
            if server.has_no_touch() {
                connection.set_no_touch()?;
            }
            Ok((connection, server))
        });
        let (connection, server) = opened.map_err(|error| error.at(&name))?;
        Ok(Node {
            connection,
            server,
            name,
        })
    }
}

impl Node {
    /// Whether any key of a database expires, by INFO.
    pub fn keys_expire(&mut self, db: u32) -> Result<bool> {
        let info: Vec<u8> = self.connection.query(redis::cmd("INFO").arg("keyspace"))?;
        let info = String::from_utf8_lossy(&info);
        let database = format!("db{db}:");
        let facts = info.lines().find_map(|line| line.strip_prefix(&database));
        let expiring = facts.and_then(|facts| {
            facts
                .trim_end()
                .split(',')
                .find_map(|fact| fact.strip_prefix("expires="))
        });
        // A database without a line has no keys; one that says nothing may have any.
        Ok(facts.is_some() && expiring != Some("0"))
    }
}

/// Connects to every node that holds a part of the data.
pub fn nodes(options: &ConnectionOptions, cancel: &Cancel) -> Result<Vec<Node>> {
    Ok(vec![Node::open(options, cancel.clone())?])
}

/// A node of a cluster holds a part of the keys, and a Sentinel none: read as if it were all
/// there is, either would give a table that is silently short.
fn check_standalone(server: &Server) -> Result<()> {
    match server.mode.as_str() {
        "standalone" => Ok(()),
        mode => Err(Error::Configuration(format!(
            "{server} is not a standalone server, and this version of lakeflow-redis reads no other; \
             in {mode} mode it does not hold all keys itself"
        ))),
    }
}
