//! A cluster: CLUSTER SLOTS says where the nodes are, and CLUSTER NODES, asked of each primary,
//! what is there and what is just being moved.

use std::collections::BTreeMap;
use std::sync::Mutex;

use redis::Value;

use super::server::Role;
use super::slots::{Holding, Slots};
use super::{Node, State, Topology, agreed, check_replica, first_of, side_by_side};
use crate::connection::{Cancel, Dialer};
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
}

/// A primary and its replicas.
#[derive(Debug, PartialEq, Eq)]
struct Shard {
    slots: Slots,
    primary: Address,
    replicas: Vec<Address>,
}

impl Cluster {
    pub fn new(options: &ConnectionOptions, dialer: Dialer) -> Self {
        Cluster {
            dialer,
            seeds: options.seeds.clone(),
            read_from: options.read_from,
            at_hand: Mutex::default(),
            heard_of: Mutex::default(),
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
        first_of(&seeds, |seed| {
            let node = Node::open(&self.dialer, seed, cancel)?;
            if node.server.mode != "cluster" {
                return Err(Error::Configuration(format!(
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
        Ok(nodes)
    }

    /// A replica of a shard that is up to date.
    fn replica(&self, shard: &Shard, primary: Node, cancel: &Cancel) -> Result<Node> {
        let mut failed = None;
        for address in &shard.replicas {
            let opened = Node::open(&self.dialer, address, cancel).and_then(|mut node| {
                check_replica(&node)?;
                node.connection
                    .set_readonly()
                    .map_err(|error| error.at(&node.name))?;
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
                Err(error) if error.is_unreachable() || error.is_topology() => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        let none = "it has none".to_owned();
        Err(Error::TopologyChanged(format!(
            "{}: no replica of it can be read, and `read_from` is `replica`: {}",
            primary.name,
            failed.map_or(none, |error| error.to_string())
        )))
    }
}

impl Topology for Cluster {
    fn mode(&self) -> &'static str {
        "cluster"
    }

    fn nodes(&self, cancel: &Cancel) -> Result<Vec<Node>> {
        agreed(cancel, || self.find(cancel))
    }

    fn state(&self, node: &mut Node, _: &Cancel) -> Result<State> {
        let Some(mut keeper) = node.keeper.take() else {
            return own_state(node);
        };
        let of_primary = own_state(&mut keeper);
        node.keeper = Some(keeper);
        node.server = super::Server::identify(&mut node.connection)?;
        check_replica(node)?;
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

fn check_covered(covered: &Slots) -> Result<()> {
    let missing = covered.missing();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::TopologyChanged(format!(
        "nobody in the cluster has slots {missing}, so that it cannot be read as a whole; \
         `redis-cli --cluster check` says more"
    )))
}

/// What a node says of itself by CLUSTER NODES.
fn own_state(node: &mut Node) -> Result<State> {
    let text: String = node.connection.query(redis::cmd("CLUSTER").arg("NODES"))?;
    let (role, epoch, holding) = parse_own_line(&text).ok_or_else(|| {
        Error::Protocol("CLUSTER NODES says nothing of the node itself".to_owned())
    })?;
    Ok(State {
        role,
        run_id: node.server.run_id.clone(),
        epoch,
        holding: Some(holding),
    })
}

/// The reply to CLUSTER SLOTS: ranges, each with its primary and its replicas.
fn parse_slots(ranges: &[Vec<Value>], asked: &Address) -> Result<Vec<Shard>> {
    let mut shards: BTreeMap<Address, Shard> = BTreeMap::new();
    for range in ranges {
        let malformed = || Error::Protocol("CLUSTER SLOTS gives no ranges of slots".to_owned());
        let [Value::Int(first), Value::Int(last), primary, replicas @ ..] = range.as_slice() else {
            return Err(malformed());
        };
        let first = u16::try_from(*first).map_err(|_| malformed())?;
        let last = u16::try_from(*last).map_err(|_| malformed())?;
        let primary = parse_endpoint(primary, asked)?;
        let shard = shards.entry(primary.clone()).or_insert_with(|| Shard {
            slots: Slots::default(),
            primary,
            replicas: Vec::new(),
        });
        shard.slots.insert(first..=last);
        for replica in replicas {
            let replica = parse_endpoint(replica, asked)?;
            if !shard.replicas.contains(&replica) {
                shard.replicas.push(replica);
            }
        }
    }
    Ok(shards.into_values().collect())
}

/// Where a node says that it is; one that names no host is where the asked one is.
fn parse_endpoint(node: &Value, asked: &Address) -> Result<Address> {
    let malformed = || Error::Protocol("CLUSTER SLOTS gives a node without an address".to_owned());
    let Value::Array(parts) = node else {
        return Err(malformed());
    };
    let (host, Some(Value::Int(port))) = (parts.first(), parts.get(1)) else {
        return Err(malformed());
    };
    let host = match host {
        Some(Value::BulkString(host)) => String::from_utf8_lossy(host).into_owned(),
        Some(Value::SimpleString(host)) => host.clone(),
        Some(Value::Nil) => String::new(),
        _ => return Err(malformed()),
    };
    let host = match (host.as_str(), asked) {
        ("", Address::Tcp { host, .. }) => host.clone(),
        ("" | "?", _) => {
            return Err(Error::Configuration(
                "a node of the cluster announces no host name, by which its configuration says \
                 that it is to be known (`cluster-preferred-endpoint-type`)"
                    .to_owned(),
            ));
        }
        _ => host,
    };
    Ok(Address::Tcp {
        host,
        port: u16::try_from(*port).map_err(|_| malformed())?,
    })
}

/// The line of CLUSTER NODES that a node writes of itself:
/// `<id> <address> myself,<role>,… <primary> <ping> <pong> <epoch> <link> <slots> …`, where slots
/// are `1`, `2-5`, `[6->-<id>]` (leaving) or `[7-<-<id>]` (arriving).
fn parse_own_line(text: &str) -> Option<(Role, u64, Holding)> {
    let mut lines = text.lines().map(|line| line.split_ascii_whitespace());
    let mut own = lines.find(|line| {
        let flags = line.clone().nth(2);
        flags.is_some_and(|flags| flags.split(',').any(|flag| flag == "myself"))
    })?;
    let mut flags = own.nth(2)?.split(',');
    let role = match flags.any(|flag| flag == "master") {
        true => Role::Primary,
        false => Role::Replica,
    };
    let epoch = own.nth(3)?.parse().ok()?;
    let mut holding = Holding::default();
    for slots in own.skip(1) {
        if let Some(open) = slots.strip_prefix('[').and_then(|s| s.strip_suffix(']')) {
            let (slot, rest) = open.split_once('-')?;
            let slot = slot.parse().ok()?;
            match (rest.strip_prefix(">-"), rest.strip_prefix("<-")) {
                (Some(to), _) => holding.leaving.insert(slot, to.to_owned()),
                (_, Some(from)) => holding.arriving.insert(slot, from.to_owned()),
                _ => return None,
            };
            continue;
        }
        let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
        holding
            .owned
            .insert(first.parse().ok()?..=last.parse().ok()?);
    }
    Some((role, epoch, holding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_says_what_it_has_and_what_is_moving() {
        let text = "aa 127.0.0.1:7001@17001,host master - 0 1 2 connected 5461-10922\n\
            bb 127.0.0.1:7000@17000 myself,master - 0 0 7 connected 0-5459 5460 [5->-aa] [9-<-aa]\n";
        let (role, epoch, holding) = parse_own_line(text).unwrap();
        assert_eq!((role, epoch), (Role::Primary, 7));
        assert_eq!(holding.owned.to_string(), "0-5460");
        assert_eq!(holding.leaving.into_keys().collect::<Vec<_>>(), [5]);
        assert_eq!(holding.arriving.into_keys().collect::<Vec<_>>(), [9]);
        let replica = "bb 127.0.0.1:7000@17000 myself,slave aa 0 0 2 connected\n";
        assert_eq!(parse_own_line(replica).unwrap().0, Role::Replica);
        for wrong in [
            "",
            "aa b master - 0 1 2 connected",
            "bb b myself,master - 0 0 x connected",
        ] {
            assert!(parse_own_line(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn ranges_make_shards() {
        let asked = Address::Tcp {
            host: "seed".to_owned(),
            port: 1,
        };
        let node = |host: &str, port| {
            Value::Array(vec![
                Value::BulkString(host.as_bytes().to_vec()),
                Value::Int(port),
                Value::BulkString(b"id".to_vec()),
            ])
        };
        let range =
            |first, last, nodes: &[Value]| [&[Value::Int(first), Value::Int(last)], nodes].concat();
        let ranges = [
            range(0, 5, &[node("a", 7), node("b", 8)]),
            range(9, 9, &[node("a", 7), node("b", 8)]),
            range(6, 8, &[node("", 9)]),
        ];
        let shards = parse_slots(&ranges, &asked).unwrap();
        let shown: Vec<_> = shards
            .iter()
            .map(|shard| format!("{} {} {}", shard.primary, shard.slots, shard.replicas.len()))
            .collect();
        assert_eq!(shown, ["a:7 0-5, 9 1", "seed:9 6-8 0"]);
        let mut covered = Slots::default();
        covered.insert(0..=9);
        let error = check_covered(&covered).unwrap_err().to_string();
        assert!(error.contains("10-16383"), "{error}");
        assert!(parse_slots(&[range(0, 1, &[node("?", 1)])], &asked).is_err());
        assert!(parse_slots(&[vec![Value::Int(1)]], &asked).is_err());
    }
}
