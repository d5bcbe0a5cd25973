//! Which servers to read, and whether they are still the same afterwards. A kind of deployment is
//! a file here: how to come to the nodes that together hold all keys, and what of each must not
//! change while it is read.

mod changes;
mod cluster;
mod own_line;
mod patience;
mod seeds;
mod sentinel;
mod server;
mod shards;
mod side_by_side;
mod slots;
mod standalone;

use std::sync::Arc;

pub use changes::Changes;
pub use own_line::{OwnLine, address_of, parse_own_line};
pub use patience::{has_spoken, is_passing, is_said_to_change, is_said_to_pass};
pub use sentinel::healthy_replica;
pub use server::{Keyspace, Product, Role, Server};
pub use shards::{Shard, check_covered, parse_slots};
pub use slots::{Holding, SLOTS, Slots, slot_of};

use cluster::Cluster;
use patience::agreed;
use seeds::first_of;
use sentinel::Sentinels;
use side_by_side::side_by_side;
use standalone::Standalone;

use crate::connection::{Cancel, Connection, Dialer};
use crate::error::{Error, Result};
use crate::options::{Address, ConnectionOptions, Databases, Mode};
use crate::retry::Retries;

pub use crate::options::check_cluster_database as check_database;

/// A server to read, connected, with what it said of itself.
pub struct Node {
    pub connection: Connection,
    /// Whom to ask for the state instead, where a replica is read.
    keeper: Option<Box<Node>>,
    pub server: Server,
    pub address: Address,
    /// As errors name it.
    pub name: String,
    pub state: State,
}

/// What must not change while a node's keys are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub role: Role,
    pub run_id: String,
    /// By which others know it: the nodes of a cluster, of a replica its primary's; to Sentinels it
    /// is the address.
    pub id: String,
    /// Rises whenever a node of a cluster is given slots.
    pub epoch: u64,
    /// The part of a cluster's keys that is here; None where that is all.
    pub holding: Option<Holding>,
}

impl Node {
    /// Connects to a server and asks what it is.
    fn open(dialer: &Dialer, address: &Address, cancel: &Cancel) -> Result<Self> {
        let name = address.to_string();
        let opened = dialer.open(address, cancel).and_then(|mut connection| {
            let server = Server::identify(&mut connection)?;
            server.check_loaded()?;
            if server.has_no_touch() {
                connection.set_no_touch()?;
            }
            Ok((connection, server))
        });
        let (connection, server) = opened.map_err(|error| error.at(&name))?;
        Ok(Node {
            state: State {
                role: server.role,
                run_id: server.run_id.clone(),
                id: String::new(),
                epoch: 0,
                holding: None,
            },
            connection,
            keeper: None,
            server,
            address: address.clone(),
            name,
        })
    }

    /// Who is asked, from now on, whether to go on waiting.
    pub fn set_cancel(&mut self, cancel: &Cancel) {
        self.connection.set_cancel(cancel.clone());
        if let Some(keeper) = &mut self.keeper {
            keeper.set_cancel(cancel);
        }
    }

    /// Connects anew where the connection is gone, or no longer of use.
    fn reconnect(&mut self, dialer: &Dialer, cancel: &Cancel) -> Result<()> {
        let again = Node::open(dialer, &self.address, cancel)?;
        let asking = self.connection.is_asking();
        (self.connection, self.server) = (again.connection, again.server);
        if asking {
            self.connection.set_asking();
        }
        if let Some(keeper) = &mut self.keeper {
            self.connection.set_readonly()?;
            keeper.reconnect(dialer, cancel)?;
        }
        Ok(())
    }

    /// Whether a key counts here, and is not only left behind by a slot that went, or ahead of
    /// one that comes.
    pub fn owns(&self, key: &[u8]) -> bool {
        let holding = self.state.holding.as_ref();
        holding.is_none_or(|holding| holding.owned.contains(slot_of(key)))
    }

    /// The keys that are here of a slot, also of one that is just coming.
    pub fn keys_in_slot(&mut self, slot: u16) -> Result<Vec<Box<[u8]>>> {
        let cluster = |what: &str| {
            let mut command = redis::cmd("CLUSTER");
            command.arg(what).arg(slot);
            command
        };
        let count: u64 = self.connection.query(&cluster("COUNTKEYSINSLOT"))?;
        let mut keys = cluster("GETKEYSINSLOT");
        // Some may come in between, of which those that were there throughout are counted.
        let keys: Vec<Vec<u8>> = self.connection.query(keys.arg(2 * count + 1000))?;
        Ok(keys.into_iter().map(Vec::into_boxed_slice).collect())
    }

    /// Goes to each of the databases that are to be read: one that is out of range, or that the
    /// user may not go to, is an error.
    pub fn select_each(&mut self, databases: &Databases) -> Result<()> {
        let numbers: Vec<u32> = match databases {
            Databases::These(numbers) => numbers.clone(),
            Databases::All => self.server.databases.keys().copied().collect(),
        };
        for db in numbers {
            let selected = self.connection.select(db);
            selected.map_err(|error| error.at(&self.name))?;
        }
        Ok(())
    }

    /// Asks the one that has a say in its slots.
    fn query_decider<T: redis::FromRedisValue>(&mut self, command: &redis::Cmd) -> Result<T> {
        let decider = match &mut self.keeper {
            Some(keeper) => &mut **keeper,
            None => self,
        };
        let answer = decider.connection.query(command);
        answer.map_err(|error| error.at(&decider.name))
    }

    /// A further connection to this node.
    pub fn open_beside(&self, dialer: &Dialer, cancel: &Cancel) -> Result<Node> {
        let mut node = Node::open(dialer, &self.address, cancel)?;
        if self.keeper.is_some() {
            node.connection.set_readonly()?;
        }
        Ok(node)
    }

    /// The databases with keys that a cluster's read leaves out: where a cluster has others than
    /// database 0, this one is read alone.
    pub fn left_out(&self) -> Vec<u32> {
        let others = self.server.databases.keys().filter(|db| **db != 0);
        match self.state.holding {
            Some(_) => others.copied().collect(),
            None => Vec::new(),
        }
    }

    /// A further connection to the node that has a say in this one's slots, which is the primary
    /// where this one is a replica.
    pub fn open_again(&self, dialer: &Dialer, cancel: &Cancel) -> Result<Node> {
        let keeper = self.keeper.as_ref();
        let address = keeper.map_or(&self.address, |keeper| &keeper.address);
        Node::open(dialer, address, cancel)
    }
}

/// A kind of deployment.
pub trait Topology: Send + Sync {
    /// Its name, as the option `mode` takes it.
    fn mode(&self) -> &'static str;

    /// Whether each node holds a part of the keys, by slots.
    fn is_sharded(&self) -> bool {
        false
    }

    /// Whether another node may take a node's place, so that nobody waits for that one.
    fn changes(&self) -> bool {
        true
    }

    /// Connects to nodes that together hold all keys, each key once.
    fn nodes(&self, cancel: &Cancel) -> Result<Vec<Node>>;

    /// What a node says by now.
    fn state(&self, node: &mut Node, cancel: &Cancel) -> Result<State>;

    fn dialer(&self) -> &Dialer;

    /// What was noticed while connecting that a user should know.
    fn warnings(&self) -> Vec<String> {
        self.dialer().warnings()
    }

    /// Comes back to a node after its connection is gone; whether it is as it was, so that a read can go
    /// on where it was.
    fn come_back(&self, node: &mut Node, cancel: &Cancel) -> Result<bool> {
        let now = node
            .reconnect(self.dialer(), cancel)
            .and_then(|()| self.state(node, cancel));
        let now = now.map_err(|error| error.at(&node.name))?;
        // One that does not tell its process may be another one.
        Ok(now == node.state && !now.run_id.is_empty())
    }

    /// What is no longer as it was when the nodes were found; None where all is.
    fn moved(&self, nodes: Vec<&mut Node>, cancel: &Cancel) -> Result<Option<Changes>> {
        let changes = side_by_side(nodes, cancel, |node: &mut Node, here| {
            node.set_cancel(here);
            let now = match self.state(node, here) {
                // A server may hang up on who was idle for long; another process is noticed.
                Err(error) if error.is_unreachable() => node
                    .reconnect(self.dialer(), here)
                    .and_then(|()| self.state(node, here)),
                now => now,
            };
            node.set_cancel(cancel);
            let now = now.map_err(|error| error.at(&node.name))?;
            Ok(Changes::between(&node.name, &node.state, &now))
        })?;
        Ok(changes.into_iter().flatten().reduce(Changes::and))
    }
}

/// What the options lead to.
pub struct Found {
    pub topology: Arc<dyn Topology>,
    pub nodes: Vec<Node>,
}

/// Connects to every node that holds a part of the data, by what is there. A server that has spoken is
/// waited for.
pub fn find(options: &ConnectionOptions, retries: &Retries, cancel: &Cancel) -> Result<Found> {
    let mut trouble = retries.begin();
    trouble.patiently(cancel, has_spoken, || find_now(options, cancel))
}

fn find_now(options: &ConnectionOptions, cancel: &Cancel) -> Result<Found> {
    let (topology, node) = recognize(options, cancel)?;
    let nodes = match node {
        Some(node) => vec![node],
        None => topology.nodes(cancel)?,
    };
    Ok(Found { topology, nodes })
}

/// Whether the keys are sharded, without connecting to all who hold them.
pub fn is_sharded(options: &ConnectionOptions, cancel: &Cancel) -> Result<bool> {
    let mut trouble = Retries::new(options.retry_deadline).begin();
    let (topology, _) = trouble.patiently(cancel, has_spoken, || recognize(options, cancel))?;
    Ok(topology.is_sharded())
}

/// The kind of deployment, and its only node where that is connected by then.
fn recognize(
    options: &ConnectionOptions,
    cancel: &Cancel,
) -> Result<(Arc<dyn Topology>, Option<Node>)> {
    let dialer = Dialer::new(&options.access)?;
    let topology: Arc<dyn Topology> = match options.mode {
        Mode::Sentinel => Arc::new(Sentinels::new(options, dialer)?),
        Mode::Cluster => Arc::new(Cluster::new(options, dialer)),
        Mode::Standalone => Arc::new(Standalone::new(options, dialer)),
        Mode::Auto => {
            let node = first_that_answers(&dialer, &options.seeds, cancel)?;
            match node.server.mode.as_str() {
                "cluster" => {
                    check_database(&options.databases)?;
                    Arc::new(Cluster::new(options, dialer).by_way_of(node))
                }
                "sentinel" => Arc::new(Sentinels::new(options, dialer)?),
                _ => {
                    let standalone = Standalone::new(options, dialer);
                    standalone.check_alone(options)?;
                    standalone.check(&node)?;
                    return Ok((Arc::new(standalone), Some(node)));
                }
            }
        }
    };
    Ok((topology, None))
}

/// The first of several servers that can be reached; the others may be down.
fn first_that_answers(dialer: &Dialer, seeds: &[Address], cancel: &Cancel) -> Result<Node> {
    first_of(seeds, |seed| Node::open(dialer, seed, cancel))
}

/// Whether a replica may be read instead of its primary.
fn check_replica(node: &Node) -> Result<()> {
    let changed = |what: &str| Err(Error::TopologyChanged(what.to_owned()));
    match (node.server.role, node.server.link_up) {
        (Role::Replica, true) => Ok(()),
        (Role::Replica, false) => {
            changed("the replica has lost its primary, so that it may be behind by any time")
        }
        (Role::Primary, _) => changed("this replica is a primary by now; read again"),
    }
}
