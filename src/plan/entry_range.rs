//! Ranges of streams that were planned before, perhaps by another process, and are read now.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::first_moment;
use super::loss::{Loss, Stream, report_unread};
use super::reach::{Reach, reach_of};
use crate::error::{Error, Result, show};
use crate::offset::{EntryId, Position, key_to_text, text_to_key};
use crate::options::ReadOptions;
use crate::receipt::Receipt;
use crate::tables::{At, Check, Key, Piece};
use crate::topology::{Node, Role};

/// Entries of one stream: (start, end], or a part of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryRange {
    /// None where the stream was gone, and is no more than missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Position>,
    /// Its first entry, where it is not known how many it has: with this one all are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<EntryId>,
    #[serde(serialize_with = "write_key", deserialize_with = "read_key")]
    pub key: Key,
    /// Whether the process that it was planned by is one that was read before, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<bool>,
    pub start: Position,
}

fn write_key<S: Serializer>(key: &Key, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_str(&key_to_text(key))
}

fn read_key<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Key, D::Error> {
    let text = String::deserialize(from)?;
    let key = text_to_key(&text).ok_or_else(|| de::Error::custom("no key"))?;
    Ok(key.into_boxed_slice())
}

impl EntryRange {
    /// What is to be read of a stream that an earlier read may have come to; None where that is
    /// nothing. No entry up to the bound is wanted.
    pub fn between(
        key: &[u8],
        read: Option<Position>,
        end: Option<Position>,
        bound: EntryId,
        known: Option<bool>,
    ) -> Option<EntryRange> {
        let range = |start, end, first| EntryRange {
            end,
            first,
            key: key.into(),
            known,
            start,
        };
        let Some(end) = end else {
            return read.map(|read| range(read, None, None));
        };
        match read {
            Some(read) if read == end => None,
            Some(read) if begins_anew(read, end) => Some(range(read, Some(end), None)),
            Some(read) => {
                let start = match read.id >= bound {
                    true => read,
                    false => Position::new(bound, None),
                };
                let end = Position::new(end.id, end.added);
                (start.id < end.id).then(|| range(start, Some(end), None))
            }
            None => (bound < end.id).then(|| EntryRange::fresh(key, end, bound)),
        }
    }

    /// The beginning of a stream, after a bound.
    fn fresh(key: &[u8], end: Position, bound: EntryId) -> EntryRange {
        // With another bound there were other entries.
        let planned = end.after == bound;
        EntryRange {
            // How it began is said by now.
            end: Some(Position::new(end.id, end.added)),
            first: end.first.filter(|_| planned),
            key: key.into(),
            known: None,
            start: Position::new(bound, end.since.filter(|_| planned)),
        }
    }

    /// How many entries it has, if none was deleted.
    pub(super) fn entries(&self) -> Option<u64> {
        self.end?.added?.checked_sub(self.start.added?)
    }

    /// What was lost of it by now, if anything, since it was planned or before.
    pub(super) fn loss(&self, end: Position, now: Option<&Reach>) -> Option<Loss> {
        let Some(now) = now else {
            return Some(Loss::Gone);
        };
        let loss = match now.position.id < end.id {
            true => Loss::behind(self.known),
            false => Loss::of(self.start, now, self.known)?,
        };
        Some(match (loss, self.entries()) {
            // What came after the end is for others to miss.
            (Loss::Trimmed(Some(lost)), Some(all)) => Loss::Trimmed(Some(lost.min(all))),
            // It is a part of what was lost, and other parts miss of it, too.
            (Loss::Trimmed(_), None) if self.first.is_some() => Loss::Trimmed(None),
            (loss, _) => loss,
        })
    }

    /// How to see that all of it comes.
    fn check(&self, end: Position, now: &Reach, loss: Option<Loss>) -> Check {
        let no_later_one_deleted = now.deleted.is_some_and(|last| last <= self.start.id);
        let lost = match loss {
            Some(Loss::Trimmed(lost)) => lost,
            _ => Some(0),
        };
        let entries = self.entries().filter(|_| no_later_one_deleted);
        if let Some(due) = entries
            .zip(lost)
            .and_then(|(all, lost)| all.checked_sub(lost))
        {
            return Check::Due(due);
        }
        // What is missing by now was reported.
        let first = match loss {
            None => self.first,
            Some(_) => self.first.and(now.first).filter(|first| *first <= end.id),
        };
        first.map_or(Check::Nothing, Check::Begins)
    }
}

/// Whether an end is one of another stream than the one that an earlier read came to. A plan that did
/// not know of that read cannot say.
fn begins_anew(read: Position, end: Position) -> bool {
    let counts = read.added.zip(end.added);
    end.anew || end.id < read.id || counts.is_some_and(|(then, now)| now < then)
}

/// What reads ranges of a node's streams, of which something may be lost by now.
pub fn pieces(
    node: &mut Node,
    db: u32,
    ranges: &[&EntryRange],
    options: &ReadOptions,
    receipt: &Arc<Receipt>,
) -> Result<Vec<Piece>> {
    node.connection.select(db)?;
    let keys: BTreeSet<&Key> = ranges.iter().map(|range| &range.key).collect();
    let now = reach_of(node, keys.into_iter(), options, receipt)?;
    let mut pieces = Vec::new();
    for range in ranges {
        let key = &range.key;
        let stream = Stream { db, key };
        let reach = now.found.get(&**key);
        let position = reach.map(|reach| reach.position);
        if now.denied.contains(&**key) {
            report_unread(stream, "may not be read any more", options, receipt)?;
            continue;
        }
        let Some(end) = range.end else {
            let loss = reach.map_or(Loss::Gone, |_| Loss::Anew);
            loss.report(stream, range.start, position, options, receipt)?;
            continue;
        };
        if node.server.role == Role::Replica && position.is_none_or(|now| now.id < end.id) {
            return Err(Error::TopologyChanged(format!(
                "the replica has not come to the end of what is to be read of stream {}, entry {}; \
                 read again when it has",
                show(key),
                end.id
            )));
        }
        let anew = begins_anew(range.start, end);
        if anew {
            let loss = match end.id < range.start.id {
                true => Loss::behind(range.known),
                false => Loss::Anew,
            };
            loss.report(stream, range.start, Some(end), options, receipt)?;
        }
        let range = match anew {
            true => &EntryRange::fresh(key, end, first_moment(options)),
            false => *range,
        };
        let loss = range.loss(end, reach);
        if let Some(loss) = loss {
            loss.report(stream, range.start, position, options, receipt)?;
        }
        let Some(reach) = reach.filter(|_| matches!(loss, None | Some(Loss::Trimmed(_)))) else {
            // Another stream is there now, if any, which the next plan begins with.
            continue;
        };
        let at = At::Entries {
            after: range.start.id,
            through: end.id,
            left: u64::MAX,
            start: range.start.id,
            check: range.check(end, reach, loss),
        };
        pieces.push(Piece {
            each: reach.each(),
            ..Piece::new(key.clone(), reach.length, at)
        });
    }
    Ok(pieces)
}
