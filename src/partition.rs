//! A part of a read, as JSON that another process takes.
//!
//! Of a table of keys `{"db": 0, "node": {…}, "share": {"bits": 7, "from": 0, "to": 16}, "table": "hashes",
//! "version": 1}`, without `share` where it is all of a node's database; of `streams` `{"db": 0,
//! "ranges": [{"end": {…}, "key": "…", "start": {…}}], …}`; of `server_info` the `node` alone. It holds
//! nothing that an option says: who reads it connects by its own.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result, cut};
use crate::plan::Stretch;
use crate::scan::Share;
use crate::tables::Origin;
use crate::topology::Node;

const VERSION: u64 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeThen>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Vec<Stretch>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    table: String,
    version: u64,
}

/// A node, and what of it must not have changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeThen {
    #[serde(default)]
    epoch: u64,
    /// By which the others of a cluster know it, or its address under Sentinels.
    id: String,
    /// The process.
    run_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slots: Option<String>,
}

impl NodeThen {
    fn of(node: &Node) -> Self {
        let holding = node.state.holding.as_ref();
        NodeThen {
            epoch: node.state.epoch,
            id: node.state.id.clone(),
            run_id: node.state.run_id.clone(),
            slots: holding.map(|holding| holding.owned.to_text()),
        }
    }

    /// Whether it is this one, whatever became of it.
    pub fn is(&self, node: &Node) -> bool {
        node.state.holding.is_none() || node.state.id == self.id
    }

    /// Whether it has the same keys as then; one of its cursors is good for one process only.
    pub fn check(&self, node: &Node, share: Option<Share>) -> Result<()> {
        let now = NodeThen::of(node);
        let what = if share.is_some() && now.run_id != self.run_id {
            "another process answers, whose keys are in another order"
        } else if (&now.slots, now.epoch) != (&self.slots, self.epoch) {
            "it has other slots, or had meanwhile"
        } else {
            return Ok(());
        };
        Err(Error::TopologyChanged(format!(
            "{}: since the read was divided, {what}; divide it again",
            node.name
        )))
    }
}

impl Partition {
    fn new(table: &str) -> Self {
        Partition {
            db: None,
            node: None,
            ranges: None,
            share: None,
            table: table.to_owned(),
            version: VERSION,
        }
    }

    /// A node itself.
    pub fn of_server(table: &str, node: &Node) -> Self {
        Partition {
            node: Some(NodeThen::of(node)),
            ..Partition::new(table)
        }
    }

    /// The keys of a node's database, or a share of them.
    pub fn of_keys(table: &str, node: &Node, db: u32, share: Option<Share>) -> Self {
        Partition {
            db: Some(db),
            share,
            ..Partition::of_server(table, node)
        }
    }

    /// Ranges of a database's streams, wherever these are.
    pub fn of_ranges(table: &str, db: u32, ranges: Vec<Stretch>) -> Self {
        Partition {
            db: Some(db),
            ranges: Some(ranges),
            ..Partition::new(table)
        }
    }

    pub fn to_json(&self) -> Value {
        json!(self)
    }

    /// Reads a partition of a table.
    pub fn parse(value: &Value, table: &str, origin: &Origin) -> Result<Partition> {
        let wrong = |why: &str| {
            Error::Configuration(format!(
                "{} is no partition of table {table}, as get_partitions returns them: {why}",
                cut(&value.to_string())
            ))
        };
        let partition = Partition::deserialize(value).map_err(|error| wrong(&error.to_string()))?;
        if partition.version != VERSION {
            return Err(wrong(&format!(
                "it has version {}, and this lakeflow-redis reads version {VERSION}",
                partition.version
            )));
        }
        if partition.table != table {
            return Err(wrong(&format!("it is of table {}", partition.table)));
        }
        let has = (
            partition.db.is_some(),
            partition.node.is_some(),
            partition.ranges.is_some(),
        );
        let expected = match origin {
            Origin::Keys { .. } => (true, true, false),
            Origin::Entries => (true, false, true),
            Origin::Server => (false, true, false),
        };
        let shared = matches!(origin, Origin::Keys { .. });
        match partition.share {
            _ if has != expected => Err(wrong("it is of another kind of table")),
            Some(share) if !shared || !share.is_valid() => Err(wrong("its share is none")),
            _ => Ok(partition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;

    fn parse(value: &Value, table: &str) -> Result<Partition> {
        Partition::parse(value, table, &tables::table(table).unwrap().spec().origin)
    }

    #[test]
    fn what_is_no_partition_is_refused() {
        let node = json!({"epoch": 0, "id": "", "run_id": "a"});
        let share = json!({"bits": 3, "from": 0, "to": 4});
        let good = json!({"db": 0, "node": node, "share": share, "table": "hashes", "version": 1});
        let parsed = parse(&good, "hashes").unwrap();
        assert_eq!(parsed.to_json(), good);
        let range =
            json!({"key": "base64:/w==", "start": {"id": "0-0", "added": 3}, "end": {"id": "5-1"}});
        let ranges = json!({"db": 3, "ranges": [range], "table": "streams", "version": 1});
        let parsed = parse(&ranges, "streams").unwrap();
        assert_eq!(parsed.to_json(), ranges);
        for (table, change, value) in [
            ("hashes", "version", json!(2)),
            ("hashes", "version", json!(null)),
            ("hashes", "table", json!("lists")),
            ("hashes", "db", json!(null)),
            ("hashes", "db", json!(-1)),
            ("hashes", "node", json!(null)),
            ("hashes", "ranges", json!([])),
            ("hashes", "share", json!({"bits": 3, "from": 4, "to": 9})),
            ("hashes", "more", json!(1)),
            ("streams", "ranges", json!([{"key": "k"}])),
            ("streams", "share", share.clone()),
            ("streams", "node", node.clone()),
        ] {
            let mut bad = if table == "hashes" { &good } else { &ranges }.clone();
            bad[change] = value;
            let error = parse(&bad, table).unwrap_err();
            assert!(matches!(error, Error::Configuration(_)), "{bad}");
        }
        for bad in [json!(null), json!([]), json!("x"), json!({})] {
            assert!(parse(&bad, "keys").is_err());
        }
    }
}
