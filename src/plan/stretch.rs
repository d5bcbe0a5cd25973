//! Ranges of streams that were planned before, perhaps by another process, and are read now.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::loss::Loss;
use super::reach::{Reach, reach_of};
use crate::error::{Error, Result, show};
use crate::offset::{EntryId, Position, key_to_text, text_to_key};
use crate::options::ReadOptions;
use crate::receipt::Receipt;
use crate::tables::{At, Key, Piece};
use crate::topology::{Node, Role};

/// Fewer entries are not worth a reader of their own.
const SHORTEST_PART: u64 = 1_000;

/// Entries of one stream: (start, end], or a part of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stretch {
    pub end: Position,
    /// Of a part, its first entry: while the stream begins with this one or an earlier one, none of
    /// the part was trimmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<EntryId>,
    #[serde(serialize_with = "write_key", deserialize_with = "read_key")]
    pub key: Key,
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

impl Stretch {
    /// What is to be read of a stream, which an earlier read may have come to; None where that is
    /// nothing. No entry up to the bound is wanted.
    pub fn between(
        key: &[u8],
        read: Option<Position>,
        end: Position,
        bound: EntryId,
    ) -> Option<Stretch> {
        let start = match read {
            Some(read) if read.id >= bound => read,
            Some(_) => Position::new(bound, None),
            None => Position::new(bound, end.since),
        };
        let came_anew = read == Some(start) && was_created_anew(start, end);
        (start.id < end.id || came_anew).then(|| Stretch {
            end,
            first: None,
            key: key.into(),
            start,
        })
    }

    /// How many entries it has, if none was deleted.
    fn entries(&self) -> Option<u64> {
        self.end.added?.checked_sub(self.start.added?)
    }

    /// What was lost of it, and from where to read what is left.
    fn loss(&self, now: &Reach) -> Option<Loss> {
        if was_created_anew(self.start, self.end) {
            return Some(Loss::Anew);
        }
        let loss = match now.position.id < self.end.id {
            true => Loss::Older,
            false => Loss::of(self.start, now, None)?,
        };
        Some(match (loss, self.entries()) {
            // What came after the end is for others to miss.
            (Loss::Trimmed(Some(lost)), Some(all)) => Loss::Trimmed(Some(lost.min(all))),
            (loss, _) => loss,
        })
    }

    /// How many entries are yet to come, where nothing was deleted that might be among them.
    fn due(&self, now: &Reach, loss: Option<Loss>) -> Option<u64> {
        let all = self.entries()?;
        match (now.deleted?, loss) {
            (deleted, _) if deleted > self.start.id => None,
            (_, None) => Some(all),
            (_, Some(Loss::Trimmed(Some(lost)))) => all.checked_sub(lost),
            (_, Some(_)) => None,
        }
    }
}

/// Whether a stream's end cannot be one of the stream that an earlier read came to.
fn was_created_anew(read: Position, end: Position) -> bool {
    let counts = read.added.zip(end.added);
    end.id < read.id || counts.is_some_and(|(then, now)| now < then)
}

/// What reads stretches of a node's streams, of which something may be lost by now.
pub fn pieces(
    node: &mut Node,
    db: u32,
    stretches: &[&Stretch],
    options: &ReadOptions,
    receipt: &Arc<Receipt>,
) -> Result<Vec<Piece>> {
    node.connection.select(db)?;
    let keys: BTreeSet<&Key> = stretches.iter().map(|stretch| &stretch.key).collect();
    let now = reach_of(node, keys.into_iter(), options, receipt)?;
    let mut pieces = Vec::new();
    for stretch in stretches {
        let key = &stretch.key;
        if now.denied.contains(&**key) {
            continue;
        }
        let reach = now.found.get(&**key);
        let reaches = reach.is_some_and(|reach| reach.position.id >= stretch.end.id);
        if node.server.role == Role::Replica && !reaches {
            return Err(Error::TopologyChanged(format!(
                "the replica has not come to the end of what is to be read of stream {}, entry {}; \
                 read again when it has",
                show(key),
                stretch.end.id
            )));
        }
        let Some(reach) = reach else {
            Loss::Gone.report(key, stretch.start, None, options, receipt)?;
            continue;
        };
        let loss = stretch.loss(reach);
        let mut after = stretch.start.id;
        if let Some(loss) = loss {
            loss.report(key, stretch.start, Some(reach.position), options, receipt)?;
            let begin = loss.resume(stretch.start).map(|begin| begin.id);
            after = begin.unwrap_or(
                options
                    .start_timestamp
                    .map_or(EntryId::MIN, EntryId::before),
            );
        }
        let at = At::Entries {
            after,
            through: stretch.end.id,
            left: u64::MAX,
            start: after,
            due: stretch.due(reach, loss),
            first: match loss {
                None => stretch.first,
                // What is missing by now was reported.
                Some(Loss::Trimmed(_)) => {
                    let first = stretch.first.and(reach.first);
                    first.filter(|first| *first <= stretch.end.id)
                }
                Some(_) => None,
            },
        };
        pieces.push(Piece {
            each: reach.each(),
            ..Piece::new(key.clone(), reach.length, at)
        });
    }
    Ok(pieces)
}

/// Divides stretches among `num_partitions` readers, as evenly as is known; a long one may be read by
/// several.
pub fn divide(
    node: &mut Node,
    db: u32,
    stretches: Vec<Stretch>,
    options: &ReadOptions,
) -> Result<Vec<Vec<Stretch>>> {
    let readers = usize::try_from(options.partitions).unwrap_or(usize::MAX);
    if readers < 2 || stretches.is_empty() {
        return Ok(Vec::from_iter((!stretches.is_empty()).then_some(stretches)));
    }
    node.connection.select(db)?;
    let keys = stretches.iter().map(|stretch| &stretch.key);
    let now = reach_of(node, keys, options, &Arc::default())?.found;
    let mut weighed: Vec<(u64, Stretch)> = Vec::new();
    for stretch in stretches {
        let length = now.get(&*stretch.key).map_or(0, |reach| reach.length);
        let entries = stretch.entries().map_or(length, |all| all.min(length));
        weighed.push((entries + 1, stretch));
    }
    let fair = weighed.iter().map(|(weight, _)| weight).sum::<u64>() / readers as u64;
    let mut parts: Vec<(u64, Stretch)> = Vec::new();
    for (weight, stretch) in weighed {
        let wanted = weight / fair.max(SHORTEST_PART);
        match now.get(&*stretch.key) {
            Some(reach) if wanted > 1 && stretch.loss(reach).is_none() => {
                let cut = cut(node, &stretch, reach, wanted)?;
                let each = weight / cut.len() as u64;
                parts.extend(cut.into_iter().map(|part| (each, part)));
            }
            _ => parts.push((weight, stretch)),
        }
    }
    // The heaviest first, each to whom has least by then.
    parts.sort_by_key(|(weight, _)| Reverse(*weight));
    let mut shares: Vec<(u64, Vec<Stretch>)> = vec![(0, Vec::new()); readers.min(parts.len())];
    for (weight, part) in parts {
        if let Some(least) = shares.iter_mut().min_by_key(|(load, _)| *load) {
            least.0 += weight;
            least.1.push(part);
        }
    }
    Ok(shares.into_iter().map(|(_, share)| share).collect())
}

/// Cuts a stretch in so many parts of about the same time, each of which begins with an entry.
fn cut(node: &mut Node, stretch: &Stretch, reach: &Reach, parts: u64) -> Result<Vec<Stretch>> {
    let from = match reach.first {
        Some(first) if first > stretch.start.id => first,
        _ => stretch.start.id,
    };
    let span = stretch.end.id.number().saturating_sub(from.number());
    let mut commands = Vec::new();
    for part in 0..parts {
        let id = EntryId::from_number(from.number() + span / u128::from(parts) * u128::from(part));
        let id = id.max(stretch.start.id.next().unwrap_or(stretch.start.id));
        let mut command = redis::cmd("XRANGE");
        command.arg(&*stretch.key).arg(id.to_string());
        command.arg(stretch.end.id.to_string()).arg("COUNT").arg(1);
        commands.push(command);
    }
    let mut firsts = BTreeSet::new();
    for command in commands {
        let entries: Vec<(String, redis::Value)> = node.connection.query(&command)?;
        let ids = entries.iter().map(|(id, _)| EntryId::parse(id.as_bytes()));
        firsts.extend(ids.flatten());
    }
    let mut parts = Vec::new();
    let mut start = stretch.start;
    let mut firsts = firsts.into_iter().peekable();
    while let Some(first) = firsts.next() {
        let next = firsts.peek().map(|next| next.previous());
        let end = next.map_or(Position::new(stretch.end.id, None), |id| {
            Position::new(id, None)
        });
        parts.push(Stretch {
            end,
            first: Some(first),
            key: stretch.key.clone(),
            start,
        });
        start = Position::new(end.id, None);
    }
    if parts.is_empty() {
        parts.push(stretch.clone());
    }
    Ok(parts)
}
