//! `server_info`: one row a property of the server.

use std::collections::HashMap;

use super::{Context, Origin, Outcome, Piece, Spec, Table};
use crate::columns::{Rows, Type, column, key};
use crate::error::{Error, Result, show};
use crate::resp::{Commands, Replies};

pub struct ServerInfo;

static SPEC: Spec = Spec {
    name: "server_info",
    origin: Origin::Server,
    columns: &[
        key("section", Type::Text),
        key("property", Type::Text),
        column("value", Type::Text),
        column("collected_at", Type::Long),
    ],
    cursor_field: None,
    sends: &[],
};

impl Table for ServerInfo {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn fetch(&self, _: &[Piece], _: &Context, to: &mut Commands) {
        to.push(&[b"INFO"]);
    }

    fn append(
        &self,
        _: Vec<Piece>,
        replies: &mut Replies<'_>,
        rows: &mut Rows,
        context: &Context,
    ) -> Result<Outcome> {
        let info = replies.bytes()?;
        let mut properties = Properties::of(info).peekable();
        if properties.peek().is_none() {
            return Err(Error::Protocol(format!(
                "the reply to INFO says nothing: {}",
                show(info)
            )));
        }
        for property in properties {
            rows.bytes(&property.section)
                .bytes(&property.name)
                .bytes(property.value)
                .long(context.scanned_at)
                .end_row()?;
        }
        Ok(Outcome::default())
    }
}

struct Property<'a> {
    /// In lower case, as the command INFO takes it.
    section: Vec<u8>,
    name: Vec<u8>,
    value: &'a [u8],
}

/// INFO's text, line by line, under its own headers.
struct Properties<'a> {
    lines: std::slice::Split<'a, u8, fn(&u8) -> bool>,
    section: Vec<u8>,
    /// How often a name came in this section: loaded modules all are called `module`.
    names: HashMap<&'a [u8], usize>,
}

impl<'a> Properties<'a> {
    fn of(text: &'a [u8]) -> Self {
        Properties {
            lines: text.split(|byte| *byte == b'\n'),
            section: Vec::new(),
            names: HashMap::new(),
        }
    }
}

impl<'a> Iterator for Properties<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        loop {
            let line = self.lines.next()?.trim_ascii_end();
            if let Some(header) = line.strip_prefix(b"# ") {
                self.section = header.to_ascii_lowercase();
                self.names.clear();
                continue;
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            let times = self.names.entry(name).or_insert(0);
            *times += 1;
            let mut unique = name.to_vec();
            if *times > 1 {
                unique.extend_from_slice(format!("#{times}").as_bytes());
            }
            return Some(Property {
                section: self.section.clone(),
                name: unique,
                value,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_stand_under_their_headers_and_are_unique() {
        let text = b"# Server\r\nredis_version:7.0.15\r\nexecutable:/a:b\r\n\r\n# Modules\r\n\
            module:name=a,ver=1\r\nmodule:name=b,ver=2\r\n# Keyspace\r\n";
        let found: Vec<_> = Properties::of(text)
            .map(|p| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (text(&p.section), text(&p.name), text(p.value))
            })
            .collect();
        let expected = [
            ("server", "redis_version", "7.0.15"),
            ("server", "executable", "/a:b"),
            ("modules", "module", "name=a,ver=1"),
            ("modules", "module#2", "name=b,ver=2"),
        ];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(found, expected);
    }
}
