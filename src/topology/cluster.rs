//! A cluster: CLUSTER SLOTS says where the nodes are, and CLUSTER NODES, asked of each primary,
//! what is there and what is just being moved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use redis::Value;

use super::own_line::{address_of, parse_own_line};
use super::seeds::Turn;
use super::server::{Role, Server};
use super::shards::{Shard, check_covered, parse_slots};
use super::slots::{Holding, Slots};
use super::{Node, State, Topology, agreed, check_replica, is_passing, side_by_side};
use crate::connection::{Cancel, Dialer, pause};
use crate::error::{Error, Result, lock};
use crate::options::{Address, ConnectionOptions, ReadFrom};

pub struct Cluster {
    dialer: Dialer,
    seeds: Vec<Address>,
    read_from: ReadFrom,
    /// One that is connected already.
    at_hand: Mutex<Option<Node>>,
    /// Nodes that were heard of, to be asked where the seeds are gone.
    heard_of: Mutex<Vec<Address>>,
    turn: Turn,
}

impl Cluster {
    pub fn new(options: &ConnectionOptions, dialer: Dialer) -> Self {
        Cluster {
            dialer,
            seeds: options.seeds.clone(),
            read_from: options.read_from,
            at_hand: Mutex::default(),
            heard_of: Mutex::default(),
            turn: Turn::default(),
        }
    }

    /// Asks a node first that is connected already.
    #[must_use]
    pub fn by_way_of(self, node: Node) -> Self {
        *lock(&self.at_hand) = Some(node);
        self
    }

    /// The shards, as the first of the seeds says that answers, and that one.
    fn shards(&self, cancel: &Cancel) -> Result<(Vec<Shard>, Node)> {
        if let Some(node) = lock(&self.at_hand).take() {
            return shards_by(node);
        }
        let mut seeds = self.seeds.clone();
        seeds.extend(lock(&self.heard_of).clone());
        self.turn.first_of(&seeds, |seed| {
            let node = Node::open(&self.dialer, seed, cancel)?;
            if node.server.mode != "cluster" {
                return Err(Error::configuration(format!(
                    "{seed} is in {} mode, and option `mode` says `cluster`",
                    node.server.mode
                )));
            }
            shards_by(node)
        })
    }

    /// The nodes to read, unless they and the cluster's map of slots disagree.
    fn find(&self, cancel: &Cancel) -> Result<Vec<Node>> {
        let (shards, seed) = self.shards(cancel)?;
        let mut covered = Slots::default();
        for shard in &shards {
            covered.extend(&shard.slots);
        }
        check_covered(&covered)?;
        let nodes = shards.iter().flat_map(|shard| {
            let replicas = shard.replicas.iter();
            replicas.chain([&shard.primary])
        });
        *lock(&self.heard_of) = nodes.cloned().collect();
        let seed = Mutex::new(Some(seed));
        let connected = |address: &Address| {
            let mut seed = lock(&seed);
            seed.take_if(|seed| seed.address == *address)
        };
        let mut nodes = side_by_side(shards, cancel, |shard, cancel| {
            let mut primary = match connected(&shard.primary) {
                Some(node) => node,
                None => Node::open(&self.dialer, &shard.primary, cancel)?,
            };
            // Also of one that is connected, since others may have had to be waited for.
            primary.set_cancel(cancel);
            primary.state = own_state(&mut primary).map_err(|error| error.at(&primary.name))?;
            let owned = primary.state.holding.as_ref().map(|holding| &holding.owned);
            if primary.state.role != Role::Primary || owned != Some(&shard.slots) {
                return Err(Error::TopologyChanged(format!(
                    "{}: the nodes of the cluster do not agree on who has slots {}; read again \
                     when they do",
                    primary.name, shard.slots
                )));
            }
            match self.read_from {
                ReadFrom::Primary => Ok(primary),
                ReadFrom::Replica => self.replica(&shard, primary, cancel),
            }
        })?;
        // What the threads heeded is over with them.
        nodes.iter_mut().for_each(|node| node.set_cancel(cancel));
        self.add_slotless(&mut nodes, cancel)?;
        check_pairs(&nodes)?;
        Ok(nodes)
    }

    /// Adds primaries that have no slot yet, and are just being given their first.
    fn add_slotless(&self, nodes: &mut Vec<Node>, cancel: &Cancel) -> Result<()> {
        let known = |nodes: &[Node], id: &str| nodes.iter().any(|node| node.state.id == id);
        let targets = nodes.iter().filter_map(|node| node.state.holding.as_ref());
        let targets = targets.flat_map(|holding| holding.leaving.values().cloned());
        for id in targets.collect::<BTreeSet<_>>() {
            if known(nodes, &id) {
                continue;
            }
            let Some(asked) = nodes.first_mut() else {
                continue;
            };
            let text: String = asked.query_decider(redis::cmd("CLUSTER").arg("NODES"))?;
            let address = address_of(&text, &id).ok_or_else(|| {
                Error::TopologyChanged(format!(
                    "slots are being moved to node {id}, of which nobody knows where it is"
                ))
            })?;
            let mut node = Node::open(&self.dialer, &address, cancel)?;
            node.state = own_state(&mut node).map_err(|error| error.at(&node.name))?;
            nodes.push(node);
        }
        Ok(())
    }

    /// A replica of a shard that is up to date.
    fn replica(&self, shard: &Shard, mut primary: Node, cancel: &Cancel) -> Result<Node> {
        // Where it is by now: what came with its slots came before.
        primary.server =
            Server::identify(&mut primary.connection).map_err(|error| error.at(&primary.name))?;
        let mut failed = None;
        for address in &shard.replicas {
            let opened = Node::open(&self.dialer, address, cancel).and_then(|mut node| {
                let ready = check_replica(&node)
                    .and_then(|()| check_primary(&mut node, &primary.state.id))
                    .and_then(|()| catch_up(&mut node, &primary, cancel))
                    .and_then(|()| node.connection.set_readonly());
                ready.map_err(|error| error.at(&node.name))?;
                Ok(node)
            });
            match opened {
                Ok(node) => {
                    return Ok(Node {
                        state: State {
                            role: Role::Replica,
                            run_id: node.server.run_id.clone(),
                            ..primary.state.clone()
                        },
                        keeper: Some(Box::new(primary)),
                        ..node
                    });
                }
                Err(error) if is_passing(&error) => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        let none = || Error::TopologyChanged("it has none".to_owned());
        let what = format!(
            "no replica of {} can be read, and `read_from` is `replica`",
            primary.name
        );
        Err(failed.unwrap_or_else(none).at(what))
    }
}

impl Topology for Cluster {
    fn mode(&self) -> &'static str {
        "cluster"
    }

    fn is_sharded(&self) -> bool {
        true
    }

    fn nodes(&self, cancel: &Cancel) -> Result<Vec<Node>> {
        agreed(cancel, || {
            let found = self.find(cancel);
            if matches!(&found, Err(error) if error.is_topology()) {
                // It may be the only one that sees the cluster so.
                self.turn.pass_on();
            }
            found
        })
    }

    fn state(&self, node: &mut Node, _: &Cancel) -> Result<State> {
        let Some(mut keeper) = node.keeper.take() else {
            return own_state(node);
        };
        let of_primary = own_state(&mut keeper);
        node.keeper = Some(keeper);
        node.server = Server::identify(&mut node.connection)?;
        check_replica(node)?;
        let id = node.state.id.clone();
        check_primary(node, &id)?;
        Ok(State {
            role: node.server.role,
            run_id: node.server.run_id.clone(),
            ..of_primary?
        })
    }

    fn dialer(&self) -> &Dialer {
        &self.dialer
    }
}

/// The shards as a node says.
fn shards_by(mut node: Node) -> Result<(Vec<Shard>, Node)> {
    let asked = node.connection.query(redis::cmd("CLUSTER").arg("SLOTS"));
    let shards = asked.and_then(|slots: Vec<Vec<Value>>| parse_slots(&slots, &node.address));
    Ok((shards.map_err(|error| error.at(&node.name))?, node))
}

/// What is moving is read at both ends: each must say so.
fn check_pairs(nodes: &[Node]) -> Result<()> {
    let moves = |open: fn(&Holding) -> &BTreeMap<u16, String>| {
        nodes.iter().flat_map(move |node| {
            let holding = node.state.holding.iter();
            let moves = holding.flat_map(open);
            moves.map(|(slot, other)| (*slot, node.state.id.as_str(), other.as_str()))
        })
    };
    let given: BTreeSet<_> = moves(|holding| &holding.leaving).collect();
    let taken = moves(|holding| &holding.arriving).map(|(slot, to, from)| (slot, from, to));
    let taken: BTreeSet<_> = taken.collect();
    let name = |id: &str| {
        let node = nodes.iter().find(|node| node.state.id == id);
        node.map_or(id.to_owned(), |node| node.name.clone())
    };
    let Some((slot, from, to)) = given.symmetric_difference(&taken).next() else {
        return Ok(());
    };
    Err(Error::TopologyChanged(format!(
        "slot {slot} is being moved from {} to {}, of which only one of them knows; read again, and \
         if it stays so, end the move by `redis-cli --cluster fix`",
        name(from),
        name(to)
    )))
}

/// What a node says of itself by CLUSTER NODES.
fn own_state(node: &mut Node) -> Result<State> {
    let text: String = node.connection.query(redis::cmd("CLUSTER").arg("NODES"))?;
    let own = parse_own_line(&text).ok_or_else(says_nothing)?;
    Ok(State {
        role: own.role,
        run_id: node.server.run_id.clone(),
        id: own.id,
        epoch: own.epoch,
        holding: Some(own.holding),
    })
}

fn says_nothing() -> Error {
    Error::Protocol("CLUSTER NODES says nothing of the node itself".to_owned())
}

/// Replicas may be given to another primary.
fn check_primary(replica: &mut Node, id: &str) -> Result<()> {
    let text: String = replica
        .connection
        .query(redis::cmd("CLUSTER").arg("NODES"))?;
    let own = parse_own_line(&text).ok_or_else(says_nothing)?;
    match own.primary.as_deref() == Some(id) {
        true => Ok(()),
        false => Err(Error::TopologyChanged(
            "this is no replica of its primary any more; read again".to_owned(),
        )),
    }
}

/// How long a replica may take to come to where its primary was …
const CATCH_UP: Duration = Duration::from_secs(2);
const CATCH_UP_PAUSE: Duration = Duration::from_millis(20);

/// Waits until a replica has what its primary had when it was asked for its slots: what came with
/// these slots is to be there.
fn catch_up(replica: &mut Node, primary: &Node, cancel: &Cancel) -> Result<()> {
    let began = Instant::now();
    let Some(wanted) = primary.server.repl_offset else {
        return Ok(());
    };
    loop {
        let offset = replica.server.repl_offset.unwrap_or(wanted);
        if offset >= wanted {
            return Ok(());
        }
        if began.elapsed() > CATCH_UP {
            return Err(Error::TopologyChanged(format!(
                "the replica is {} bytes behind its primary",
                wanted - offset
            )));
        }
        pause(CATCH_UP_PAUSE, cancel)?;
        replica.server = Server::identify(&mut replica.connection)?;
    }
}
