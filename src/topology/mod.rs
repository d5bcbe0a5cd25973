//! Which servers to read, and what each of them is. Clusters and Sentinels join here: each is
//! another way to come to a list of nodes.

mod server;

pub use server::{Product, Server};

use crate::connection::{Cancel, Connection};
use crate::error::Result;
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

/// Connects to every node that holds a part of the data.
pub fn nodes(options: &ConnectionOptions, cancel: &Cancel) -> Result<Vec<Node>> {
    Ok(vec![Node::open(options, cancel.clone())?])
}
