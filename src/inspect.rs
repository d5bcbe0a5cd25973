//! What is there, without reading it: for `check`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::connection::Cancel;
use crate::error::Result;
use crate::options::Options;
use crate::permissions::{WHERE_SLOTS_MOVE, refused};
use crate::retry::Retries;
use crate::tables::{Sends, TABLES, Without};
use crate::topology::{self, Node, Role};

/// What is found: the servers, the user and the databases, and what cannot be had of them.
///
/// As JSON: `mode`, `nodes` (a list of `address`, `product`, `version`, `role`, `keys`), `tls`,
/// `user`, `databases` (by number: `keys`, and `expires` or null), `tables` (by name: `readable`,
/// `refused` commands, `null_columns`, `notes`), `limits` and `warnings` (lists of sentences).
pub fn inspect(options: &Options, cancel: &Cancel) -> Result<Value> {
    let connect = options.connection()?;
    let mut found = topology::find(&connect, &Retries::new(connect.retry_deadline), cancel)?;
    let dialer = found.topology.dialer();
    let mut tables = serde_json::Map::new();
    // Each node has users of its own.
    let mut probes = Vec::new();
    let mut deciders = Vec::new();
    for node in &found.nodes {
        probes.push(node.open_beside(dialer, cancel)?);
        deciders.push(node.open_again(dialer, cancel)?);
    }
    for table in TABLES {
        let refused = refused_by_any(&mut probes, &table.sends())?;
        tables.insert(table.spec().name.to_owned(), describe(&refused));
    }
    let mut limits = limits(&found.nodes);
    if found.topology.is_sharded() {
        let refused = refused_by_any(&mut deciders, WHERE_SLOTS_MOVE)?;
        if !refused.is_empty() {
            limits.push(format!(
                "The user may not send {}: a read fails where slots move meanwhile, or were left \
                 moving.",
                names(&refused).join(", ")
            ));
        }
    }
    let chosen = options.databases()?;
    let mut databases: BTreeMap<u32, (u64, Option<u64>)> = BTreeMap::new();
    for node in &mut found.nodes {
        node.select_each(&chosen)?;
        for (db, keyspace) in &node.server.databases {
            let (keys, expires) = databases.entry(*db).or_insert((0, Some(0)));
            *keys += keyspace.keys;
            *expires = expires.zip(keyspace.expires).map(|(a, b)| a + b);
        }
    }
    let databases = databases.into_iter().map(|(db, (keys, expires))| {
        let facts = json!({ "keys": keys, "expires": expires });
        (db.to_string(), facts)
    });
    Ok(json!({
        "mode": found.topology.mode(),
        "nodes": found.nodes.iter().map(describe_node).collect::<Vec<_>>(),
        "tls": dialer.is_encrypted(),
        "user": dialer.username().unwrap_or("default"),
        "databases": databases.collect::<serde_json::Map<_, _>>(),
        "tables": tables,
        "limits": limits,
        "warnings": found.topology.warnings(),
    }))
}

/// The commands that a user may not send to one of the nodes.
fn refused_by_any(probes: &mut [Node], sends: &[Sends]) -> Result<Vec<Sends>> {
    let mut all: Vec<Sends> = Vec::new();
    for probe in probes {
        let refused = refused(&mut probe.connection, sends);
        for one in refused.map_err(|error| error.at(&probe.name))? {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    Ok(all)
}

/// As they are typed.
fn names(sends: &[Sends]) -> Vec<String> {
    let typed = |sends: &Sends| sends.words().collect::<Vec<_>>().join(" ").to_uppercase();
    sends.iter().map(typed).collect()
}

fn describe_node(node: &Node) -> Value {
    let keys: u64 = node.server.databases.values().map(|all| all.keys).sum();
    json!({
        "address": node.name,
        "product": node.server.product.to_string(),
        "version": node.server.version,
        "role": node.server.role.to_string(),
        "keys": keys,
    })
}

fn describe(refused: &[Sends]) -> Value {
    let mut null_columns = Vec::new();
    let mut notes: Vec<&str> = Vec::new();
    for sends in refused {
        match sends.without {
            Without::Null(column) => null_columns.push(column),
            Without::But(note) if !notes.contains(&note) => notes.push(note),
            Without::But(_) | Without::Unreadable => {}
        }
    }
    let readable = refused
        .iter()
        .all(|sends| sends.without != Without::Unreadable);
    json!({
        "readable": readable,
        "refused": names(refused),
        "null_columns": null_columns,
        "notes": notes,
    })
}

/// Says that a cluster has keys in other databases than the one that is read.
pub fn left_out(nodes: &[Node]) -> Option<String> {
    let left_out: BTreeSet<u32> = nodes.iter().flat_map(Node::left_out).collect();
    let numbers: Vec<_> = left_out.iter().map(ToString::to_string).collect();
    (!numbers.is_empty()).then(|| {
        format!(
            "This cluster has keys in other databases ({}), which are not read: of a cluster, only \
             database 0 is.",
            numbers.join(", ")
        )
    })
}

/// What these servers cannot promise, by their version and configuration.
fn limits(nodes: &[Node]) -> Vec<String> {
    let mut limits = Vec::new();
    let oldest = nodes.iter().map(|node| node.server.redis_version).min();
    let oldest = oldest.unwrap_or_default();
    let evicts = |policy: &str| {
        let policies = nodes
            .iter()
            .filter_map(|node| node.server.eviction.as_ref());
        policies.into_iter().any(|one| one.contains(policy))
    };
    if oldest < (6, 0) {
        limits.push(
            "Before Redis 6.0, SCAN does not filter by type: a TYPE is sent for each key."
                .to_owned(),
        );
    }
    if oldest < (7, 0) {
        limits.push(
            "Before Redis 7.0, streams do not count their entries: those that were trimmed before \
             they were read are not noticed, and a stream that was deleted and created anew only \
             where its ids went back."
                .to_owned(),
        );
    }
    if oldest < (7, 2) && (evicts("lru") || evicts("lfu")) {
        limits.push(
            "Before Redis 7.2, reading a key counts as a use of it, and this server evicts by use."
                .to_owned(),
        );
    }
    if evicts("lfu") {
        limits.push(
            "Where keys are evicted by how often they are used (LFU), `keys.idle_time_seconds` is \
             null."
                .to_owned(),
        );
    }
    for node in nodes {
        let holding = node.state.holding.iter();
        for slot in holding.flat_map(|holding| holding.leaving.keys()) {
            limits.push(format!(
                "Slot {slot} is being moved from {} to another node, or was left so: `streams` cannot \
                 be read until it is done.",
                node.name
            ));
        }
    }
    limits.extend(left_out(nodes));
    if nodes.iter().any(|node| node.server.role == Role::Replica) {
        limits.push(
            "Replicas are read, which are behind their primaries by what is under way.".to_owned(),
        );
    }
    limits
}
