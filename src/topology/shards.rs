//! The reply to CLUSTER SLOTS: who has which slots.

use std::collections::BTreeMap;

use redis::Value;

use super::slots::Slots;
use crate::error::{Error, Result};
use crate::options::Address;

/// A primary and its replicas.
#[derive(Debug, PartialEq, Eq)]
pub struct Shard {
    pub slots: Slots,
    pub primary: Address,
    pub replicas: Vec<Address>,
}

pub fn check_covered(covered: &Slots) -> Result<()> {
    let missing = covered.missing();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::TopologyChanged(format!(
        "nobody in the cluster has slots {missing}, so that it cannot be read as a whole; \
         `redis-cli --cluster check` says more"
    )))
}

/// The reply to CLUSTER SLOTS: ranges, each with its primary and its replicas.
pub fn parse_slots(ranges: &[Vec<Value>], asked: &Address) -> Result<Vec<Shard>> {
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
        ("", Address::Unix(_)) => {
            return Err(Error::configuration(
                "this node of a cluster has not heard yet at which address it is, and was asked by \
                 its Unix socket; connect by `host` and `port`"
                    .to_owned(),
            ));
        }
        ("?", _) => {
            return Err(Error::configuration(
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

#[cfg(test)]
mod tests {
    use super::*;

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
