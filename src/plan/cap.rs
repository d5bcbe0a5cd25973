//! Where a cap on a read's entries cuts each stream off.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{Place, Range, Reached, STREAMS};
use crate::error::Result;
use crate::offset::{EntryId, Position};
use crate::options::ReadOptions;
use crate::receipt::Receipt;
use crate::resp::{Commands, Replies};
use crate::tables::{Check, Key, Outcome, Piece, after_page, entry_head, fetch_entries};
use crate::topology::Node;
use crate::visit::{Visitor, Wants, Work, visit_once};

/// How far each range may be read so that it is so many entries in all, in equal shares; None
/// where a stream's turn has not come. Only ids are looked at: the entries are read afterwards, as they are consumed.
pub fn cap(
    nodes: &mut [&mut Node],
    ranges: &mut [Range],
    limit: u64,
    options: &ReadOptions,
) -> Result<Vec<Option<Reached>>> {
    take_turns(ranges);
    let mut reached: Vec<Option<Reached>> = vec![None; ranges.len()];
    let mut pending: VecDeque<usize> = (0..ranges.len()).collect();
    let mut left = limit;
    while left > 0 && !pending.is_empty() {
        let served = pending
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let share = left / served as u64;
        let turn: Vec<usize> = pending.drain(..served).collect();
        let mut pieces: BTreeMap<Place, Vec<Piece>> = BTreeMap::new();
        for index in &turn {
            let range = &ranges[*index];
            let after = reached[*index].map_or(range.after(), |reached| reached.position.id);
            let piece = range.piece(after, range.through.id, share, Check::Nothing);
            pieces.entry(range.place).or_default().push(piece);
        }
        let mut counts = BTreeMap::new();
        for (place, pieces) in pieces {
            counts.insert(place, count(place.of(nodes)?, place.db, pieces, options)?);
        }
        for index in turn {
            let range = &ranges[index];
            let here = counts.get(&range.place);
            let counted = here.and_then(|here| here.get(range.key.as_slice()).copied());
            let (count, last) = counted.unwrap_or((0, range.through.id));
            left = left.saturating_sub(count);
            let before = reached[index].and_then(|reached| reached.entries);
            let entries = before.unwrap_or_default() + count;
            if count == share && last < range.through.id {
                let added = range.added_before.map(|before| before + entries);
                let position = Position::new(last, added);
                reached[index] = Some(Reached {
                    position,
                    entries: Some(entries),
                });
                pending.push_back(index);
            } else {
                reached[index] = Some(Reached {
                    position: range.through,
                    entries: Some(entries),
                });
            }
        }
    }
    Ok(reached)
}

/// How many entries ranges have, and the last id of each.
pub fn count(
    node: &mut Node,
    db: u32,
    pieces: Vec<Piece>,
    options: &ReadOptions,
) -> Result<Counts> {
    node.connection.select(db)?;
    let mut visitor = CountEntries::default();
    let work = Work::pieces(pieces);
    visit_once(&mut node.connection, work, &mut [&mut visitor], options)
        .map_err(|error| error.at(&node.name))?;
    Ok(visitor.counts)
}

/// Begins with another stream at every read, so that none starves where there are more streams
/// than entries to read. Which one follows from the positions: they change from read to read,
/// and the same ones give the same plan.
fn take_turns(ranges: &mut [Range]) {
    let mut positions = DefaultHasher::new();
    for range in &*ranges {
        (&range.key, range.after()).hash(&mut positions);
    }
    let first = positions.finish() % (ranges.len().max(1) as u64);
    ranges.rotate_left(usize::try_from(first).unwrap_or_default());
}

type Counts = BTreeMap<Key, (u64, EntryId)>;

/// Counts the entries of ranges, and finds the last of each.
#[derive(Default)]
struct CountEntries {
    counts: Counts,
    taken: u64,
    receipt: Receipt,
}

impl Visitor for CountEntries {
    fn table(&self) -> &'static str {
        STREAMS
    }

    fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    fn wants(&self) -> Wants {
        Wants::Nothing
    }

    fn taken(&self) -> u64 {
        self.taken
    }

    fn fetch(&self, pieces: &[Piece], to: &mut Commands) {
        for piece in pieces {
            fetch_entries(piece, to);
        }
    }

    fn take(&mut self, pieces: Vec<Piece>, replies: &mut Replies<'_>) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        for piece in pieces {
            let entries = replies.array()? as u64;
            let mut last = None;
            for _ in 0..entries {
                last = Some(entry_head(replies)?);
                replies.skip()?;
            }
            self.taken += entries;
            if let Some(last) = last {
                let counted = self.counts.entry(piece.key.clone()).or_insert((0, last));
                *counted = (counted.0 + entries, last);
            }
            outcome.more = after_page(piece, entries, last);
        }
        Ok(outcome)
    }
}
