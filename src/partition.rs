//! A part of a read, as JSON that another process takes.
//!
//! Of a table of keys `{"cursors": {"bits": 7, "from": 0, "to": 16}, "db": 0, "node": {…}, "scanned_at":
//! 1790000000, "table": "hashes", "version": 1}`, without `cursors` where it is all of a node's database; of `streams` `{"db": 0,
//! "ranges": [{"end": {…}, "key": "…", "start": {…}}], …}`; of `server_info` only `node` and `scanned_at`. It holds
//! nothing that an option says: who reads it connects by its own.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result, cut};
use crate::plan::EntryRange;
use crate::scan::CursorRange;
use crate::tables::Origin;
use crate::topology::Node;

const VERSION: u64 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partition {
    /// A node itself.
    Server { node: NodeThen, scanned_at: i64 },
    /// The keys of a node's database, or a part of them.
    Keys {
        node: NodeThen,
        db: u32,
        cursors: Option<CursorRange>,
        /// Unix seconds: that of all parts.
        scanned_at: i64,
    },
    /// Entries of a database's streams, wherever these are.
    Entries { db: u32, ranges: Vec<EntryRange> },
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
    pub fn of(node: &Node) -> Self {
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

    /// Whether it has the same keys as then. One of its cursors is good for one process only.
    pub fn check(&self, node: &Node, by_cursor: bool) -> Result<()> {
        let now = NodeThen::of(node);
        let what = if by_cursor && now.run_id != self.run_id {
            "another process answers, whose keys are in another order"
        } else if (&now.slots, now.epoch) != (&self.slots, self.epoch) {
            "it has other slots, or had meanwhile"
        } else {
            return Ok(());
        };
        Err(Error::TopologyChanged(format!(
            "{}: since the read was divided, {what}; divide it again, which \
             in Spark is to load the table again",
            node.name
        )))
    }
}

/// What is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursors: Option<CursorRange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    db: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<NodeThen>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ranges: Option<Vec<EntryRange>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scanned_at: Option<i64>,
    table: String,
    version: u64,
}

impl Partition {
    pub fn to_json(&self, table: &str) -> Value {
        let empty = Written {
            cursors: None,
            db: None,
            node: None,
            ranges: None,
            scanned_at: None,
            table: table.to_owned(),
            version: VERSION,
        };
        json!(match self.clone() {
            Partition::Server { node, scanned_at } => Written {
                node: Some(node),
                scanned_at: Some(scanned_at),
                ..empty
            },
            Partition::Keys {
                node,
                db,
                cursors,
                scanned_at,
            } => Written {
                cursors,
                scanned_at: Some(scanned_at),
                db: Some(db),
                node: Some(node),
                ..empty
            },
            Partition::Entries { db, ranges } => Written {
                db: Some(db),
                ranges: Some(ranges),
                ..empty
            },
        })
    }

    /// Reads a partition of a table.
    pub fn parse(value: &Value, table: &str, origin: &Origin) -> Result<Partition> {
        let wrong = |why: &str| {
            Error::configuration(format!(
                "{} is no partition of table {table}, as get_partitions returns them: {why}",
                cut(&value.to_string())
            ))
        };
        let written =
            Written::deserialize(value).map_err(|error| wrong(&cut(&error.to_string())))?;
        if written.version != VERSION {
            return Err(wrong(&format!(
                "it has version {}, and this lakeflow-redis reads version {VERSION}",
                written.version
            )));
        }
        if written.table != table {
            return Err(wrong(&format!("it is of table {}", cut(&written.table))));
        }
        if !written.cursors.is_none_or(CursorRange::is_valid) {
            return Err(wrong("its range of cursors is none"));
        }
        let Written {
            cursors,
            db,
            node,
            ranges,
            scanned_at,
            ..
        } = written;
        let of_node = (node, scanned_at);
        match (origin, of_node, db, ranges, cursors) {
            (Origin::Server, (Some(node), Some(scanned_at)), None, None, None) => {
                Ok(Partition::Server { node, scanned_at })
            }
            (Origin::Keys { .. }, (Some(node), Some(scanned_at)), Some(db), None, cursors) => {
                Ok(Partition::Keys {
                    node,
                    db,
                    cursors,
                    scanned_at,
                })
            }
            (Origin::Entries, (None, None), Some(db), Some(ranges), None) => {
                Ok(Partition::Entries { db, ranges })
            }
            _ => Err(wrong("it is of another kind of table")),
        }
    }

    /// The database that it is of, where it is of one.
    pub fn db(&self) -> Option<u32> {
        match self {
            Partition::Server { .. } => None,
            Partition::Keys { db, .. } | Partition::Entries { db, .. } => Some(*db),
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
        let cursors = json!({"bits": 3, "from": 0, "to": 4});
        let good = json!({"cursors": cursors, "db": 0, "node": node, "scanned_at": 5, "table": "hashes", "version": 1});
        assert_eq!(parse(&good, "hashes").unwrap().to_json("hashes"), good);
        let range =
            json!({"key": "base64:/w==", "start": {"id": "0-0", "added": 3}, "end": {"id": "5-1"}});
        let ranges = json!({"db": 3, "ranges": [range], "table": "streams", "version": 1});
        assert_eq!(
            parse(&ranges, "streams").unwrap().to_json("streams"),
            ranges
        );
        for (table, change, value) in [
            ("hashes", "version", json!(2)),
            ("hashes", "version", json!(null)),
            ("hashes", "table", json!("lists")),
            ("hashes", "db", json!(null)),
            ("hashes", "db", json!(-1)),
            ("hashes", "node", json!(null)),
            ("hashes", "ranges", json!([])),
            ("hashes", "scanned_at", json!(null)),
            ("hashes", "cursors", json!({"bits": 3, "from": 4, "to": 9})),
            ("hashes", "more", json!(1)),
            ("hashes", "mo\0re", json!(1)),
            ("hashes", "table", json!("li\nsts")),
            ("streams", "ranges", json!([{"key": "k"}])),
            ("streams", "cursors", cursors.clone()),
            ("streams", "node", node.clone()),
        ] {
            let mut bad = if table == "hashes" { &good } else { &ranges }.clone();
            bad[change] = value;
            let error = parse(&bad, table).unwrap_err();
            assert!(matches!(error, Error::Configuration { .. }), "{bad}");
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
        for bad in [json!(null), json!([]), json!("x"), json!({})] {
            assert!(parse(&bad, "keys").is_err());
        }
    }
}
