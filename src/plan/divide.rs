//! Ranges of streams, divided among readers.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::entry_range::EntryRange;
use super::reach::{Reach, reach_of};
use crate::error::Result;
use crate::offset::{EntryId, Position};
use crate::options::ReadOptions;
use crate::tables::{At, Piece, entry_head, fetch_entries};
use crate::topology::Node;

/// Fewer entries are not worth a reader of their own.
const SHORTEST_PART: u64 = 1_000;

/// Divides ranges among `num_partitions` readers, as evenly as is known; a long one may be read by
/// several.
pub fn divide(
    node: &mut Node,
    db: u32,
    ranges: Vec<EntryRange>,
    options: &ReadOptions,
) -> Result<Vec<Vec<EntryRange>>> {
    let readers = usize::try_from(options.partitions).unwrap_or(usize::MAX);
    if readers < 2 || ranges.is_empty() {
        return Ok(Vec::from_iter((!ranges.is_empty()).then_some(ranges)));
    }
    node.connection.select(db)?;
    let keys = ranges.iter().map(|range| &range.key);
    let now = reach_of(node, keys, options, &Arc::default())?.found;
    let weigh = |range: EntryRange| {
        let length = now.get(&*range.key).map_or(0, |reach| reach.length);
        let entries = range.entries().map_or(length, |all| all.min(length));
        (entries + 1, range)
    };
    let weighed: Vec<(u64, EntryRange)> = ranges.into_iter().map(weigh).collect();
    let fair = weighed.iter().map(|(weight, _)| weight).sum::<u64>() / readers as u64;
    let mut parts: Vec<(u64, EntryRange)> = Vec::new();
    for (weight, range) in weighed {
        let wanted = weight / fair.max(SHORTEST_PART);
        match (now.get(&*range.key), range.end) {
            (Some(reach), Some(end)) if wanted > 1 && range.loss(end, Some(reach)).is_none() => {
                let cut = cut(node, &range, end, reach, wanted)?;
                let each = weight / cut.len() as u64;
                parts.extend(cut.into_iter().map(|part| (each, part)));
            }
            _ => parts.push((weight, range)),
        }
    }
    // The heaviest first, each to whom has least by then.
    parts.sort_by_key(|(weight, _)| Reverse(*weight));
    let mut loads: Vec<(u64, Vec<EntryRange>)> = vec![(0, Vec::new()); readers.min(parts.len())];
    for (weight, part) in parts {
        if let Some(least) = loads.iter_mut().min_by_key(|(load, _)| *load) {
            least.0 += weight;
            least.1.push(part);
        }
    }
    Ok(loads.into_iter().map(|(_, load)| load).collect())
}

/// Cuts a range in so many parts of about the same time, each of which begins with an entry.
fn cut(
    node: &mut Node,
    range: &EntryRange,
    end: Position,
    reach: &Reach,
    parts: u64,
) -> Result<Vec<EntryRange>> {
    let from = reach
        .first
        .map_or(range.start.id, |first| first.max(range.start.id));
    let span = end.id.number().saturating_sub(from.number());
    let step = |part: u64| {
        let id = EntryId::from_number(from.number() + span / u128::from(parts) * u128::from(part));
        id.previous().max(range.start.id)
    };
    let firsts = first_after(node, range, end.id, (0..parts).map(step))?;
    let mut parts = Vec::new();
    let mut start = range.start;
    let mut firsts = firsts.into_iter().peekable();
    while let Some(first) = firsts.next() {
        let last = firsts.peek().map_or(end.id, |next| next.previous());
        parts.push(EntryRange {
            end: Some(Position::new(last, None)),
            // That of the whole range may be gone by now, which is to be seen.
            first: range.first.filter(|_| start == range.start).or(Some(first)),
            start,
            ..range.clone()
        });
        start = Position::new(last, None);
    }
    if parts.is_empty() {
        parts.push(range.clone());
    }
    Ok(parts)
}

/// The first entries of a range after some ids.
fn first_after(
    node: &mut Node,
    range: &EntryRange,
    through: EntryId,
    ids: impl Iterator<Item = EntryId>,
) -> Result<BTreeSet<EntryId>> {
    let mut commands = node.connection.commands();
    for after in ids {
        let at = At::one_entry(after, through);
        fetch_entries(&Piece::new(range.key.clone(), 0, at), &mut commands);
    }
    node.connection.send(&commands)?;
    let mut firsts = BTreeSet::new();
    let mut replies = node.connection.replies(commands.count);
    for _ in 0..commands.count {
        if replies.array()? > 0 {
            firsts.insert(entry_head(&mut replies)?);
            replies.skip()?;
        }
    }
    replies.finish()?;
    Ok(firsts)
}
