//! The fields of a stream's entry, as JSON.

use std::collections::{HashMap, HashSet};

use crate::error::Result;
use crate::resp::Replies;

/// The fields of one entry: names and values in the entry's own order.
#[derive(Default)]
pub struct Fields {
    bytes: Vec<u8>,
    /// Where each name and each value ends in `bytes`, in turn.
    ends: Vec<usize>,
}

impl Fields {
    pub fn read(&mut self, replies: &mut Replies<'_>) -> Result<()> {
        self.bytes.clear();
        self.ends.clear();
        for _ in 0..2 * replies.pairs()? {
            self.bytes.extend_from_slice(replies.bytes()?);
            self.ends.push(self.bytes.len());
        }
        Ok(())
    }

    fn text(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }

    fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.ends.len() / 2).map(|pair| (self.text(2 * pair), self.text(2 * pair + 1)))
    }

    /// Writes a JSON object; a name that repeats holds an array of its values. Bytes are
    /// left as they are, so that the text is UTF-8 exactly if they all are.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let mut separator: &[u8] = b"{";
        let mut member = |name: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(separator);
            separator = b", ";
            write_string(name, out);
            out.extend_from_slice(b": ");
        };
        if self.has_repeated_names() {
            for (name, values) in self.by_name() {
                member(name, out);
                write_one_or_array(&values, out);
            }
        } else {
            for (name, value) in self.pairs() {
                member(name, out);
                write_string(value, out);
            }
        }
        out.extend_from_slice(if self.ends.is_empty() { b"{}" } else { b"}" });
    }

    fn has_repeated_names(&self) -> bool {
        /// Up to so many names, comparing each with each beats hashing.
        const FEW: usize = 16;
        let names = || self.pairs().map(|(name, _)| name);
        if self.ends.len() / 2 <= FEW {
            names()
                .enumerate()
                .any(|(n, name)| names().take(n).any(|earlier| earlier == name))
        } else {
            let mut known = HashSet::new();
            !names().all(|name| known.insert(name))
        }
    }

    /// The values of each name, by the name's first place.
    fn by_name(&self) -> Vec<(&[u8], Vec<&[u8]>)> {
        let mut places = HashMap::new();
        let mut members: Vec<(&[u8], Vec<&[u8]>)> = Vec::new();
        for (name, value) in self.pairs() {
            let place = *places.entry(name).or_insert(members.len());
            if place == members.len() {
                members.push((name, Vec::new()));
            }
            members[place].1.push(value);
        }
        members
    }
}

fn write_one_or_array(values: &[&[u8]], out: &mut Vec<u8>) {
    if let [value] = values {
        return write_string(value, out);
    }
    for (index, value) in values.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"[" } else { b", " });
        write_string(value, out);
    }
    out.push(b']');
}

/// A JSON string whose bytes need not be UTF-8; `serde_json` writes only `str`.
fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= b' ' && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
        }
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Decoder;

    fn json_of(pairs: &[&[u8]]) -> Vec<u8> {
        let mut wire = format!("*{}\r\n", pairs.len()).into_bytes();
        for text in pairs {
            wire.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
            wire.extend_from_slice(text);
            wire.extend_from_slice(b"\r\n");
        }
        let mut decoder = Decoder::new(wire.as_slice());
        let mut fields = Fields::default();
        fields.read(&mut Replies::new(&mut decoder, 1)).unwrap();
        let mut out = Vec::new();
        fields.write_json(&mut out);
        out
    }

    #[test]
    fn fields_keep_their_order_and_repeated_names_hold_arrays() {
        let json = json_of(&[b"b", b"1", b"a", b"x\ny\"\\\0", b"b", b"2"]);
        assert_eq!(json, br#"{"b": ["1", "2"], "a": "x\ny\"\\\u0000"}"#);
        let parsed: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(parsed["a"], "x\ny\"\\\0");
        assert_eq!(json_of(&[]), b"{}");
        assert_eq!(json_of(&[b"\xff", b"\xfe"]), b"{\"\xff\": \"\xfe\"}");
    }
}
