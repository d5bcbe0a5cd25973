//! Naming a node's keys: SCAN, one page after the other, and names that are given.

mod glob;
mod listing;
mod select;

use crate::error::Result;
use crate::resp::{Commands, Replies};

pub use listing::Listing;
pub use select::{Select, What, selects, types_of};

/// A scan under way.
pub struct Scan {
    cursor: u64,
    done: bool,
    select: Select,
    /// Whether the server is to filter by the type that is wanted.
    by_type: bool,
}

impl Scan {
    pub fn new(select: Select, by_type: bool) -> Self {
        Scan {
            cursor: 0,
            done: false,
            select,
            by_type,
        }
    }

    pub fn done(&self) -> bool {
        self.done
    }

    /// Whether nothing of it was asked for yet.
    pub fn is_new(&self) -> bool {
        self.cursor == 0 && !self.done
    }

    pub fn select(&self) -> &Select {
        &self.select
    }

    /// Asks for the next page.
    pub fn ask(&self, count: u64, to: &mut Commands) {
        let cursor = self.cursor.to_string();
        let count = count.to_string();
        let mut arguments: Vec<&[u8]> = vec![b"SCAN", cursor.as_bytes()];
        if let What::Pattern(Some(pattern)) = &self.select.what {
            arguments.extend([b"MATCH", pattern.as_slice()]);
        }
        arguments.extend([b"COUNT", count.as_bytes()]);
        if let Some(key_type) = self.select.key_type.filter(|_| self.by_type) {
            arguments.extend([b"TYPE", key_type.as_bytes()]);
        }
        to.push(&arguments);
    }

    /// Takes the page that was asked for; gives how many keys it named. Some may have been named
    /// before.
    pub fn page(&mut self, replies: &mut Replies<'_>, mut take: impl FnMut(&[u8])) -> Result<u64> {
        replies.array()?;
        let cursor = replies.cursor()?;
        let named = replies.array()?;
        for _ in 0..named {
            let key = replies.bytes()?;
            if !self.select.is_covered(key) {
                take(key);
            }
        }
        // Only now: a page that breaks off is to be asked for again.
        self.cursor = cursor;
        self.done = cursor == 0;
        Ok(named as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Rule;
    use crate::resp::Decoder;

    #[test]
    fn pages_follow_the_cursor_to_its_end() {
        let rule = Rule {
            pattern: Some(b"a*".to_vec()),
            key_type: Some("hash"),
        };
        let mut scan = Scan::new(selects(&[rule], None).remove(0), true);
        let mut commands = Commands::default();
        scan.ask(10, &mut commands);
        assert!(
            commands
                .bytes
                .starts_with(b"*8\r\n$4\r\nSCAN\r\n$1\r\n0\r\n$5\r\nMATCH\r\n")
        );

        let wire = b"*2\r\n$20\r\n18446744073709551615\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n\
            *2\r\n$1\r\n0\r\n*1\r\n$1\r\nc\r\n";
        let mut decoder = Decoder::new(wire.as_slice());
        let mut replies = Replies::new(&mut decoder, 2);
        let mut keys = Vec::new();
        let mut take = |key: &[u8]| keys.push(key.to_vec());
        assert_eq!(scan.page(&mut replies, &mut take).unwrap(), 2);
        assert!(!scan.done() && scan.cursor == u64::MAX);
        assert_eq!(scan.page(&mut replies, &mut take).unwrap(), 1);
        assert!(scan.done());
        assert_eq!(keys, [b"a", b"b", b"c"]);
    }
}
