//! Which keys to read: a pattern, or the rules of `sync_rules`.
//!
//! Rules are a JSON list of objects: `database` (a number), `key_pattern` (a glob, as in SCAN's
//! MATCH) and `_type` (as TYPE says it, in any case), of which one of the latter must be there.
//! They are a union.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::spelling::MAX_DATABASE;
use super::{Databases, nearest};
use crate::error::{Error, Result, cut};

/// The types of keys that have a table of their own.
const TYPES: [&str; 6] = ["string", "hash", "list", "set", "zset", "stream"];
const FIELDS: [&str; 3] = ["database", "key_pattern", "_type"];

/// Keys of one database: those that match a pattern, and are of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// None where every name matches.
    pub pattern: Option<Vec<u8>>,
    /// As TYPE says it; None where every type will do.
    pub key_type: Option<&'static str>,
}

/// Which keys to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// In each database that is read.
    Everywhere(Rule),
    /// By database.
    Rules(BTreeMap<u32, Vec<Rule>>),
}

impl Selection {
    /// The databases that rules name, which count instead of the option `db`.
    pub fn databases(&self) -> Option<Databases> {
        match self {
            Selection::Everywhere(_) => None,
            Selection::Rules(rules) => Some(Databases::These(rules.keys().copied().collect())),
        }
    }

    /// The rules for a database.
    pub fn of(&self, db: u32) -> &[Rule] {
        match self {
            Selection::Everywhere(rule) => std::slice::from_ref(rule),
            Selection::Rules(rules) => rules.get(&db).map_or(&[], Vec::as_slice),
        }
    }
}

/// Reads what the option `sync_rules` says.
pub fn parse_rules(text: &str) -> Result<Selection> {
    let wrong = |what: String| Error::about(["sync_rules"], format!("option `sync_rules`{what}"));
    // It may quote what it found there, at any length.
    let text_of = |error: &serde_json::Error| cut(&error.to_string());
    let list: Vec<Value> = serde_json::from_str(text)
        .map_err(|error| wrong(format!(" is not a JSON list of rules: {}", text_of(&error))))?;
    if list.is_empty() {
        return Err(wrong(
            " has no rule, so that no key would be read".to_owned(),
        ));
    }
    // Once more: a list of values drops fields that are given twice.
    let list: Vec<Fields> = serde_json::from_str(text).map_err(|error| {
        wrong(format!(
            " is not a JSON list of objects: {}",
            text_of(&error)
        ))
    })?;
    let mut rules: BTreeMap<u32, Vec<Rule>> = BTreeMap::new();
    for (place, fields) in list.iter().enumerate() {
        let (db, rule) =
            parse_rule(fields).map_err(|what| wrong(format!(", rule {}{what}", place + 1)))?;
        let rules = rules.entry(db).or_default();
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    Ok(Selection::Rules(rules))
}

fn parse_rule(Fields(fields): &Fields) -> Result<(u32, Rule), String> {
    let mut database = None;
    let mut rule = Rule {
        pattern: None,
        key_type: None,
    };
    for (place, (name, value)) in fields.iter().enumerate() {
        let wrong = |what: &str| {
            let value = cut(&value.to_string());
            Err(format!(", field `{name}`: {value} {what}"))
        };
        if fields[..place].iter().any(|(earlier, _)| earlier == name) {
            return Err(format!(", field `{name}`: it is given twice"));
        }
        match (name.as_str(), value) {
            ("database", Value::Number(number)) => {
                let number = number.as_u64().and_then(|number| number.try_into().ok());
                match number.filter(|db| *db <= MAX_DATABASE) {
                    Some(number) => database = Some(number),
                    None => return wrong("is not the number of a database"),
                }
            }
            ("database", _) => return wrong("is not a whole number, such as 0"),
            ("key_pattern", Value::String(pattern)) if pattern.is_empty() => {
                return wrong("matches no name; leave it out where any name will do");
            }
            ("key_pattern", Value::String(pattern)) => {
                rule.pattern = Some(pattern.clone().into_bytes());
            }
            ("key_pattern", _) => return wrong("is not a string, such as \"user:*\""),
            ("_type", Value::String(given)) => {
                let known = TYPES.iter().find(|known| given.eq_ignore_ascii_case(known));
                rule.key_type = known.copied();
                if known.is_none() {
                    let nearest = nearest(given, TYPES.into_iter());
                    let types = TYPES.join(", ").to_uppercase();
                    return wrong(&format!("is none of {types}{nearest}"));
                }
            }
            ("_type", _) => return wrong("is not a string, such as \"SET\""),
            _ => {
                let nearest = nearest(name, FIELDS.into_iter());
                return Err(format!(
                    ", field \"{}\": there is none of that name{nearest}",
                    cut(name)
                ));
            }
        }
    }
    let database = database.ok_or(", field `database`: it is missing")?;
    if rule.pattern.is_none() && rule.key_type.is_none() {
        return Err(", fields `key_pattern` and `_type`: one of them is needed".to_owned());
    }
    rule.pattern = rule.pattern.filter(|pattern| pattern != b"*");
    Ok((database, rule))
}

/// An object's fields as they stand there, so that none that is given twice is lost.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a rule, which is an object such as {\"database\": 0, \"_type\": \"SET\"}",
                )
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: Option<&str>, key_type: Option<&'static str>) -> Rule {
        Rule {
            pattern: pattern.map(|text| text.as_bytes().to_vec()),
            key_type,
        }
    }

    #[test]
    fn rules_are_grouped_by_database() {
        let text = r#"[{"database": 1, "key_pattern": "a*"}, {"database": 0, "_type": "Set"},
            {"database": 1, "key_pattern": "*", "_type": "ZSET"}, {"database": 1, "key_pattern": "a*"}]"#;
        let selection = parse_rules(text).unwrap();
        assert_eq!(selection.of(0), [rule(None, Some("set"))]);
        assert_eq!(
            selection.of(1),
            [rule(Some("a*"), None), rule(None, Some("zset"))]
        );
        assert_eq!(selection.of(2), []);
        assert_eq!(selection.databases(), Some(Databases::These(vec![0, 1])));
    }

    #[test]
    fn malformed_rules_name_their_place_and_the_field() {
        let cases = [
            ("", "line 1 column 0"),
            ("{}", "list of rules"),
            ("[]", "no rule"),
            ("[1]", "list of objects"),
            (
                r#"[{"database": 0, "key_pattern": "a"}"#,
                "line 1 column 36",
            ),
            (
                r#"[{"database": 0}]"#,
                "rule 1, fields `key_pattern` and `_type`",
            ),
            (
                r#"[{"key_pattern": "a"}]"#,
                "rule 1, field `database`: it is missing",
            ),
            (
                r#"[{"database": 0, "_type": "SET"}, {"database": "0", "_type": "SET"}]"#,
                "rule 2, field `database`",
            ),
            (r#"[{"database": -1, "_type": "SET"}]"#, "field `database`"),
            (r#"[{"database": 1.5, "_type": "SET"}]"#, "field `database`"),
            (
                r#"[{"database": true, "_type": "SET"}]"#,
                "field `database`",
            ),
            (
                r#"[{"database": 4294967296, "_type": "SET"}]"#,
                "field `database`",
            ),
            (
                r#"[{"database": 0, "_type": "HASHES"}]"#,
                "did you mean `hash`",
            ),
            (r#"[{"database": 0, "_type": null}]"#, "field `_type`"),
            (
                r#"[{"database": 0, "key_pattern": ["a"]}]"#,
                "field `key_pattern`",
            ),
            (
                r#"[{"database": 0, "key_pattern": ""}]"#,
                "field `key_pattern`",
            ),
            (
                r#"[{"database": 0, "pattern": "a"}]"#,
                "did you mean `key_pattern`",
            ),
            (
                r#"[{"database": 0, "_type": "SET", "_type": "LIST"}]"#,
                "field `_type`: it is given twice",
            ),
        ];
        for (text, part) in cases {
            let error = parse_rules(text).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("`sync_rules`"),
                "{text}: {error}"
            );
        }
    }
}
