//! Ids of stream entries.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of a stream's entry; ordered as Redis orders them, by number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct EntryId {
    pub ms: u64,
    pub seq: u64,
}

impl EntryId {
    /// Before every entry: no stream holds it.
    pub const MIN: EntryId = EntryId { ms: 0, seq: 0 };

    pub fn is_min(&self) -> bool {
        *self == EntryId::MIN
    }

    /// After all ids of before a moment; MIN where there are none.
    pub fn before(ms: u64) -> EntryId {
        let seq = u64::MAX;
        ms.checked_sub(1)
            .map_or(EntryId::MIN, |ms| EntryId { ms, seq })
    }

    /// The last possible id before this one.
    #[must_use]
    pub fn previous(self) -> EntryId {
        match self.seq.checked_sub(1) {
            Some(seq) => EntryId { seq, ..self },
            None => EntryId::before(self.ms),
        }
    }

    /// The id as one number, in the same order.
    pub fn number(self) -> u128 {
        u128::from(self.ms) << 64 | u128::from(self.seq)
    }

    pub fn from_number(number: u128) -> EntryId {
        // Halves of it, neither of which can be too large.
        let half = |number: u128| u64::try_from(number & u128::from(u64::MAX)).unwrap_or(u64::MAX);
        EntryId {
            ms: half(number >> 64),
            seq: half(number),
        }
    }

    /// `<ms>-<seq>`, or `<ms>` alone for `<ms>-0`.
    pub fn parse(text: &[u8]) -> Option<EntryId> {
        let text = std::str::from_utf8(text).ok()?;
        let (ms, seq) = text.split_once('-').unwrap_or((text, "0"));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits)
        };
        Some(EntryId {
            ms: number(ms)?,
            seq: number(seq)?,
        })
    }

    /// The next possible id, with which a range after this one begins: `(id` needs 6.2.
    /// None after the last.
    pub fn next(self) -> Option<EntryId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(EntryId { seq, ..self }),
            None => Some(EntryId {
                ms: self.ms.checked_add(1)?,
                seq: 0,
            }),
        }
    }
}

impl From<EntryId> for String {
    fn from(id: EntryId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for EntryId {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<EntryId, &'static str> {
        EntryId::parse(text.as_bytes()).ok_or("no entry id")
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> EntryId {
        EntryId::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn ids_compare_as_numbers() {
        assert!(id("1-10") > id("1-9"));
        assert!(id("10-1") > id("9-1"));
        assert_eq!(id("7"), id("7-0"));
        for text in [
            "",
            "-",
            "1-",
            "-1",
            "+1-0",
            "1-0-0",
            "a",
            "18446744073709551616-0",
        ] {
            assert_eq!(EntryId::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_next_id_carries_over() {
        assert_eq!(id("5-1").next(), Some(id("5-2")));
        let max = u64::MAX;
        assert_eq!(id(&format!("5-{max}")).next(), Some(id("6-0")));
        assert_eq!(id(&format!("{max}-{max}")).next(), None);
        assert_eq!(id("5-2").previous(), id("5-1"));
        assert_eq!(id("6-0").previous(), id(&format!("5-{max}")));
        assert_eq!(EntryId::MIN.previous(), EntryId::MIN);
        for text in ["5-2", "0-0", &format!("{max}-{max}")] {
            assert_eq!(EntryId::from_number(id(text).number()), id(text));
        }
    }
}
