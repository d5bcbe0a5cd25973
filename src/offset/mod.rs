//! Where a read of streams stands: one position per database and key, as JSON.
//!
//! `{"servers": ["1f09ac2b"], "streams": {"<db>": {"<key>": {"added": 17, "id": "5-0"}}},
//! "table": "streams", "version": 1}`
//!
//! `servers` are the processes that were read, by the beginning of their `run_id`; left out where it
//! is not known. `added` is the stream's `entries-added` (Redis 7.0+), left out where it is not known, and
//! `since`, of a stream that an earlier offset does not have, what it was before the first entry that was read,
//! or `first`, that entry, where that is not known; with `after` where that read had a lower bound. `anew` is true where the stream had a position before, and was found
//! to be another one. A key
//! that is not UTF-8 is written as `base64:…`. Keys are sorted, as Spark compares the text.

mod entry_id;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result, cut};
use crate::options::Databases;

pub use entry_id::EntryId;

/// How far a stream was read, or reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Entries ever added up to `id`, where the server tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<u64>,
    /// Where a read that began with the stream did so: at its beginning, or after a bound.
    #[serde(default, skip_serializing_if = "EntryId::is_min")]
    pub after: EntryId,
    /// Whether the stream is another one than that of the position before, which was given up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
    /// The first entry of such a read where it is not known how many it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<EntryId>,
    pub id: EntryId,
    /// Entries that had been added before the first one that was read, where the read that came to
    /// this position began with the stream: so many less are to come when it is repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

impl Position {
    pub fn new(id: EntryId, added: Option<u64>) -> Position {
        Position {
            added,
            after: EntryId::MIN,
            anew: false,
            first: None,
            id,
            since: None,
        }
    }
}

/// The positions of one database's streams.
pub type Positions = BTreeMap<Vec<u8>, Position>;

/// From where to read streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    Beginning,
    /// The seed's own offset: after this id in every stream.
    After(EntryId),
    /// After the position of each stream; from the beginning where it has none.
    Positions(Reached),
}

/// Where a read of streams came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// By database.
    pub databases: BTreeMap<u32, Positions>,
    /// The processes that were read, by the beginning of their `run_id`.
    pub servers: BTreeSet<String>,
}

impl Reached {
    /// The position of a stream.
    pub fn of(&self, db: u32, key: &[u8]) -> Option<Position> {
        self.databases.get(&db)?.get(key).copied()
    }

    /// Notes that a process was read.
    pub fn was_at(&mut self, run_id: &str) {
        if let Some(begin) = run_id.get(..SHORT_ID) {
            self.servers.insert(begin.to_owned());
        }
    }
}

/// As much of a `run_id` as tells processes apart.
const SHORT_ID: usize = 8;

impl Start {
    /// The positions in a database, where there are any.
    pub fn positions(&self, db: u32) -> Option<&Positions> {
        match self {
            Start::Positions(reached) => reached.databases.get(&db),
            Start::Beginning | Start::After(_) => None,
        }
    }

    /// The databases in which it has positions.
    pub fn databases(&self) -> Vec<u32> {
        match self {
            Start::Positions(reached) => reached.databases.keys().copied().collect(),
            Start::Beginning | Start::After(_) => Vec::new(),
        }
    }

    /// Where a read came to: this, where nothing came to any stream. That another process was read is
    /// nothing new then.
    pub fn unless_changed(&self, end: &Reached) -> Reached {
        match self {
            Start::Positions(start) if start.databases == end.databases => start.clone(),
            _ => end.clone(),
        }
    }

    /// Whether a process was read before; None where nobody can say.
    pub fn knows(&self, run_id: &str) -> Option<bool> {
        match self {
            Start::Positions(reached) if !reached.servers.is_empty() => {
                Some(reached.servers.contains(run_id.get(..SHORT_ID)?))
            }
            _ => None,
        }
    }
}

const VERSION: u64 = 1;
const BYTES_PREFIX: &str = "base64:";

/// Checks an offset that a snapshot table was given; it is read whole all the same.
pub fn check_snapshot(offset: &Value, table: &str) -> Result<()> {
    match offset {
        Value::Null => Ok(()),
        Value::Object(map) if map.is_empty() => Ok(()),
        Value::Object(map)
            if map.len() == 1 && map.get("scanned_at").is_some_and(Value::is_i64) =>
        {
            Ok(())
        }
        other => Err(foreign(other, table, "{\"scanned_at\": <seconds>}")),
    }
}

/// The offset of a snapshot table.
pub fn snapshot(scanned_at: i64) -> Value {
    json!({ "scanned_at": scanned_at })
}

/// The offset of `streams`.
pub fn streams(reached: &Reached) -> Value {
    let databases: Map<String, Value> = reached
        .databases
        .iter()
        .map(|(db, positions)| (db.to_string(), positions_to_json(positions)))
        .collect();
    let mut offset = json!({ "streams": databases, "table": "streams", "version": VERSION });
    if !reached.servers.is_empty() {
        offset["servers"] = json!(reached.servers);
    }
    offset
}

fn positions_to_json(positions: &Positions) -> Value {
    let keys: Map<String, Value> = positions
        .iter()
        .map(|(key, position)| (key_to_text(key), json!(position)))
        .collect();
    keys.into()
}

/// Reads an offset of `streams` that is an end: one that a read returned, or `{}` for the beginning.
pub fn parse_end(offset: &Value, read: &Databases) -> Result<Reached> {
    match parse_streams(offset, read)? {
        Start::Positions(reached) => Ok(reached),
        Start::Beginning => Ok(Reached::default()),
        Start::After(_) => Err(Error::configuration(
            "an end of streams is an offset that a read or latest_offset returned; \
             `{\"entry_id\": …}` is for starts"
                .to_owned(),
        )),
    }
}

/// Reads an offset of `streams` for the databases that are to be read.
pub fn parse_streams(offset: &Value, read: &Databases) -> Result<Start> {
    const SHAPE: &str = "{}, {\"entry_id\": \"<ms>-<seq>\"}, or the offset that an earlier read of streams returned";
    let wrong = || foreign(offset, "streams", SHAPE);
    let map = match offset {
        Value::Null => return Ok(Start::Beginning),
        Value::Object(map) if map.is_empty() => return Ok(Start::Beginning),
        Value::Object(map) => map,
        _ => return Err(wrong()),
    };
    if let Some(id) = map.get("entry_id") {
        let id = id.as_str().and_then(|text| EntryId::parse(text.as_bytes()));
        return match id {
            Some(id) if map.len() == 1 => Ok(Start::After(id)),
            _ => Err(wrong()),
        };
    }
    match map.get("version") {
        Some(version) if *version == json!(VERSION) => {}
        Some(version) if version.as_u64().is_some_and(|version| version > VERSION) => {
            return Err(Error::configuration(format!(
                "the offset has version {version}; a newer lakeflow-redis wrote it, and this one reads version {VERSION}"
            )));
        }
        _ => return Err(wrong()),
    }
    let mut parsed = Reached::default();
    let mut known = 3;
    if let Some(servers) = map.get("servers") {
        let servers = BTreeSet::deserialize(servers).map_err(|_| wrong())?;
        (parsed.servers, known) = (servers, 4);
    }
    let databases = match (map.get("table"), map.get("streams")) {
        (Some(Value::String(table)), Some(Value::Object(databases)))
            if table == "streams" && map.len() == known =>
        {
            databases
        }
        _ => return Err(wrong()),
    };
    for (database, keys) in databases {
        let number = database.parse().map_err(|_| wrong())?;
        if let Databases::These(numbers) = read
            && !numbers.contains(&number)
        {
            return Err(Error::configuration(format!(
                "the offset is of database {database}, and this connector reads {read}"
            )));
        }
        let mut positions = Positions::new();
        for (text, entry) in keys.as_object().ok_or_else(wrong)? {
            let position = Position::deserialize(entry).map_err(|_| {
                Error::configuration(format!(
                    "the offset's position of stream {text:?} is malformed: {}",
                    shorten(entry)
                ))
            })?;
            let key = text_to_key(text).ok_or_else(wrong)?;
            if positions.insert(key, position).is_some() {
                return Err(twice("stream", text));
            }
        }
        if parsed.databases.insert(number, positions).is_some() {
            return Err(twice("database", database));
        }
    }
    Ok(Start::Positions(parsed))
}

/// A key as offsets write it: as it is, or as `base64:…`.
pub fn key_to_text(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.starts_with(BYTES_PREFIX) => text.to_owned(),
        _ => format!("{BYTES_PREFIX}{}", BASE64.encode(key)),
    }
}

pub fn text_to_key(text: &str) -> Option<Vec<u8>> {
    match text.strip_prefix(BYTES_PREFIX) {
        Some(encoded) => BASE64.decode(encoded).ok(),
        None => Some(text.as_bytes().to_vec()),
    }
}

/// There is more than one way to spell a database or a key, and no telling which position counts.
fn twice(what: &str, spelled: &str) -> Error {
    let spelled = cut(spelled);
    Error::configuration(format!(
        "the offset has {what} \"{spelled}\" twice, spelled in two ways"
    ))
}

fn foreign(offset: &Value, table: &str, shape: &str) -> Error {
    Error::configuration(format!(
        "{} is no offset of table {table}, which takes {shape}",
        shorten(offset)
    ))
}

fn shorten(value: &Value) -> String {
    cut(&value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> EntryId {
        EntryId::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn positions_survive_json() {
        let mut positions = Positions::new();
        for (n, key) in [&b"a"[..], b"\xff\0", b"base64:x", b""].iter().enumerate() {
            let added = (n % 2 == 0).then_some(n as u64);
            let position = Position {
                since: added.map(|added| added / 2),
                ..Position::new(id("18446744073709551615-3"), added)
            };
            positions.insert(key.to_vec(), position);
        }
        let mut reached = Reached {
            databases: BTreeMap::from([(0, Positions::new()), (3, positions)]),
            servers: BTreeSet::new(),
        };
        assert_eq!(streams(&reached).as_object().unwrap().len(), 3);
        reached.was_at("1f09ac2b55");
        reached.was_at("");
        let offset = streams(&reached);
        assert_eq!(offset["servers"], json!(["1f09ac2b"]));
        let these = |numbers: &[u32]| Databases::These(numbers.to_vec());
        for read in [these(&[0, 3, 5]), Databases::All] {
            let parsed = parse_streams(&offset, &read).unwrap();
            assert_eq!(parsed, Start::Positions(reached.clone()));
            assert_eq!(parsed.knows("1f09ac2b77"), Some(true));
            assert_eq!(parsed.knows("2f09ac2b55"), Some(false));
            assert_eq!(parsed.knows(""), None);
        }
        let error = parse_streams(&offset, &these(&[0]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("database 3"), "{error}");
        assert!(check_snapshot(&offset, "hashes").is_err());
    }

    #[test]
    fn bad_offsets_are_refused() {
        for offset in [
            json!([]),
            json!("x"),
            json!({"scanned_at": 5}),
            json!({"entry_id": 5}),
            json!({"entry_id": "1-x"}),
            json!({"entry_id": "1-1", "x": 1}),
            json!({"version": 2}),
            json!({"version": -1}),
            json!({"streams": {}, "table": "hashes", "version": 1}),
            json!({"streams": [], "table": "streams", "version": 1}),
            json!({"streams": {"x": {}}, "table": "streams", "version": 1}),
            json!({"streams": {"0": []}, "table": "streams", "version": 1}),
            json!({"streams": {"0": {"k": "1-1"}}, "table": "streams", "version": 1}),
            json!({"streams": {"0": {"k": {"id": "1-1", "added": -1}}}, "table": "streams", "version": 1}),
            json!({"streams": {"0": {"base64:?": {"id": "1-1"}}}, "table": "streams", "version": 1}),
            json!({"streams": {"0": {"a": {"id": "1-1"}, "base64:YQ==": {"id": "2-1"}}}, "table": "streams", "version": 1}),
            json!({"streams": {"0": {}, "00": {}}, "table": "streams", "version": 1}),
            json!({"streams": {}, "table": "streams", "version": 1, "more": 1}),
            json!({"streams": {}, "table": "streams", "version": 1, "servers": 1}),
            json!({"streams": {}, "table": "streams", "version": 1, "servers": [1]}),
        ] {
            assert!(
                matches!(
                    parse_streams(&offset, &Databases::All),
                    Err(Error::Configuration { .. })
                ),
                "{offset}"
            );
        }
        for offset in [json!(null), json!({}), json!({"scanned_at": 5})] {
            assert!(check_snapshot(&offset, "hashes").is_ok());
        }
    }
}
