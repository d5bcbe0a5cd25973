//! SCAN over one node's keys: one page after the other, each key once.

use crate::error::Result;
use crate::resp::{Commands, Replies};
use crate::seen::Seen;
use crate::tables::Key;

/// A scan under way.
pub struct Scan {
    cursor: u64,
    done: bool,
    pattern: Option<Vec<u8>>,
    /// The type that the server is to filter by.
    key_type: Option<&'static str>,
    seen: Seen,
}

/// What a page of SCAN named.
pub struct Names {
    /// Without those that came before.
    pub keys: Vec<Key>,
    pub repeated: u64,
}

impl Scan {
    pub fn new(pattern: Option<Vec<u8>>, key_type: Option<&'static str>) -> Self {
        Scan {
            cursor: 0,
            done: false,
            pattern,
            key_type,
            seen: Seen::default(),
        }
    }

    pub fn done(&self) -> bool {
        self.done
    }

    /// Asks for the next page.
    pub fn ask(&self, count: u64, to: &mut Commands) {
        let cursor = self.cursor.to_string();
        let count = count.to_string();
        let mut arguments: Vec<&[u8]> = vec![b"SCAN", cursor.as_bytes()];
        if let Some(pattern) = &self.pattern {
            arguments.extend([b"MATCH", pattern.as_slice()]);
        }
        arguments.extend([b"COUNT", count.as_bytes()]);
        if let Some(key_type) = self.key_type {
            arguments.extend([b"TYPE", key_type.as_bytes()]);
        }
        to.push(&arguments);
    }

    /// The keys of the page that was asked for.
    pub fn page(&mut self, replies: &mut Replies<'_>) -> Result<Names> {
        replies.array()?;
        self.cursor = replies.cursor()?;
        self.done = self.cursor == 0;
        let named = replies.array()?;
        let mut keys = Vec::new();
        for _ in 0..named {
            let key = replies.bytes()?;
            if self.seen.insert(key) {
                keys.push(key.into());
            }
        }
        let repeated = (named - keys.len()) as u64;
        Ok(Names { keys, repeated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Decoder;

    #[test]
    fn keys_that_come_again_are_dropped() {
        let mut scan = Scan::new(Some(b"a*".to_vec()), Some("hash"));
        let mut commands = Commands::default();
        scan.ask(10, &mut commands);
        assert!(
            commands
                .bytes
                .starts_with(b"*8\r\n$4\r\nSCAN\r\n$1\r\n0\r\n$5\r\nMATCH\r\n")
        );

        let wire = b"*2\r\n$20\r\n18446744073709551615\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n\
            *2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$1\r\nc\r\n";
        let mut decoder = Decoder::new(wire.as_slice());
        let mut replies = Replies::new(&mut decoder, 2);
        assert_eq!(scan.page(&mut replies).unwrap().keys.len(), 2);
        assert!(!scan.done() && scan.cursor == u64::MAX);
        let names = scan.page(&mut replies).unwrap();
        assert_eq!(*names.keys, [(*b"c").into()]);
        assert_eq!(names.repeated, 1);
        assert!(scan.done());
    }
}
