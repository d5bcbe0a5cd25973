//! A primary with replicas, watched by Sentinels, who say which is which.

use redis::Value;

use super::seeds::Turn;
use super::server::{Role, Server};
use super::{Node, State, Topology, agreed, check_replica, is_passing};
use crate::connection::{Cancel, Dialer};
use crate::error::{Error, Result};
use crate::options::{Access, Address, ConnectionOptions, ReadFrom};

pub struct Sentinels {
    dialer: Dialer,
    /// Sentinels have users of their own.
    sentinel_dialer: Dialer,
    seeds: Vec<Address>,
    turn: Turn,
    master: String,
    read_from: ReadFrom,
}

impl Sentinels {
    pub fn new(options: &ConnectionOptions, dialer: Dialer) -> Result<Self> {
        let master = options.sentinel.master.clone().ok_or_else(|| {
            Error::configuration(
                "the server is a Sentinel; option `sentinel_master` says which of the primaries \
                 that it watches to read"
                    .to_owned(),
            )
        })?;
        let access = Access {
            credentials: options.sentinel.credentials.clone(),
            ..options.access.clone()
        };
        Ok(Sentinels {
            dialer,
            sentinel_dialer: Dialer::new(&access)?,
            seeds: options.seeds.clone(),
            turn: Turn::default(),
            master,
            read_from: options.read_from,
        })
    }

    /// Where the server to read is, as the first Sentinel says that answers and knows.
    fn addresses(&self, cancel: &Cancel) -> Result<Vec<Address>> {
        // One that does not know the primary is no reason not to ask the others.
        let mut ignorant = None;
        let found = self.turn.first_of(&self.seeds, |seed| {
            let found = self.ask(seed, cancel);
            let found = found.map_err(|error| error.at(format!("Sentinel {seed}")))?;
            found.ok_or_else(|| {
                ignorant = Some(self.unknown().at(format!("Sentinel {seed}")));
                self.unknown_here()
            })
        });
        match (found, ignorant) {
            (Err(error), Some(ignorant)) if error.is_unreachable() => Err(ignorant),
            (found, _) => found,
        }
    }

    /// Passed over, as one is that does not answer.
    fn unknown_here(&self) -> Error {
        Error::Unreachable(std::io::Error::other("it does not know the primary"))
    }

    fn ask(&self, seed: &Address, cancel: &Cancel) -> Result<Option<Vec<Address>>> {
        let mut connection = self.sentinel_dialer.open(seed, cancel)?;
        let about_master = |what: &str| {
            let mut command = redis::cmd("SENTINEL");
            command.arg(what).arg(&self.master);
            command
        };
        let primary: Result<Option<(String, u16)>> =
            connection.query(&about_master("GET-MASTER-ADDR-BY-NAME"));
        let primary = primary.map_err(|error| match error.is_reply("ERR") {
            true => Error::configuration(
                "this is no Sentinel, which option `mode` (or `sentinel_master`) says it is"
                    .to_owned(),
            ),
            false => error,
        })?;
        let Some((host, port)) = primary else {
            return Ok(None);
        };
        if self.read_from == ReadFrom::Primary {
            return Ok(Some(vec![Address::Tcp { host, port }]));
        }
        // Since 5.0 it is called REPLICAS, too; no server has dropped the older name.
        let replicas: Vec<Value> = connection.query(&about_master("SLAVES"))?;
        let healthy: Vec<_> = replicas.iter().filter_map(healthy_replica).collect();
        match healthy.len() {
            0 => Err(Error::TopologyChanged(format!(
                "the Sentinel knows no replica of {:?} that is up, and `read_from` is `replica`; \
                 read again when there is one, or from the primary",
                self.master
            ))),
            _ => Ok(Some(healthy)),
        }
    }

    fn unknown(&self) -> Error {
        Error::configuration(format!(
            "option `sentinel_master` is {:?}, which the Sentinel does not watch",
            self.master
        ))
    }

    fn check_role(&self, node: &Node) -> Result<()> {
        if self.read_from == ReadFrom::Replica {
            return check_replica(node);
        }
        match node.server.role {
            Role::Primary => Ok(()),
            Role::Replica => Err(Error::TopologyChanged(format!(
                "the Sentinels say that it is the primary of {:?}, and it says that it is a \
                 replica; read again when they are through with what they are at",
                self.master
            ))),
        }
    }
}

impl Topology for Sentinels {
    fn mode(&self) -> &'static str {
        "sentinel"
    }

    fn nodes(&self, cancel: &Cancel) -> Result<Vec<Node>> {
        agreed(cancel, || {
            let mut refused = None;
            for address in self.addresses(cancel)? {
                let opened = Node::open(&self.dialer, &address, cancel);
                let checked = opened.and_then(|node| match self.check_role(&node) {
                    Ok(()) => Ok(node),
                    Err(error) => Err(error.at(&node.name)),
                });
                match checked {
                    Ok(mut node) => {
                        node.state.id = address.to_string();
                        return Ok(vec![node]);
                    }
                    // Another replica may do.
                    Err(error) if is_passing(&error) => refused = Some(error),
                    Err(error) => return Err(error),
                }
            }
            Err(refused.unwrap_or_else(|| self.unknown()))
        })
    }

    /// A primary that was cut off does not know that there is another, but the Sentinels do.
    fn state(&self, node: &mut Node, cancel: &Cancel) -> Result<State> {
        let server = Server::identify(&mut node.connection)?;
        let addresses = self.addresses(cancel)?;
        let named = addresses.iter().find(|named| **named == node.address);
        Ok(State {
            role: server.role,
            run_id: server.run_id,
            id: named
                .or(addresses.first())
                .map_or_else(String::new, ToString::to_string),
            ..node.state.clone()
        })
    }

    fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.dialer.warnings();
        for warning in self.sentinel_dialer.warnings() {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        warnings
    }
}

/// The address of a replica that is up, out of pairs of a name and a value.
pub fn healthy_replica(replica: &Value) -> Option<Address> {
    let pairs: std::collections::HashMap<String, String> =
        redis::FromRedisValue::from_redis_value_ref(replica).ok()?;
    let flags = pairs.get("flags")?;
    let down = ["s_down", "o_down", "disconnected"];
    let link = pairs
        .get("master-link-status")
        .is_none_or(|link| link == "ok");
    let up = link && !flags.split(',').any(|flag| down.contains(&flag));
    up.then_some(())?;
    Some(Address::Tcp {
        host: pairs.get("ip")?.clone(),
        port: pairs.get("port")?.parse().ok()?,
    })
}
