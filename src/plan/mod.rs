//! What a read of streams covers: the ranges (start, end] and the offset after them, both
//! fixed before the first row.

mod cap;
mod divide;
mod entry_range;
mod loss;
mod reach;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::offset::{self, EntryId, Position, Positions, Start};
use crate::options::ReadOptions;
use crate::receipt::Receipt;
use crate::tables::{At, Check, Piece, Short};
use crate::topology::{Node, Role};

use cap::{cap, count};
pub use divide::divide;
pub use entry_range::{EntryRange, pieces};
use loss::Loss;
pub use loss::{Stream, report_unread};
pub use reach::{Reach, read_reach};

use reach::{reach_of, scan_reach, unread_positions};

/// The table that is planned for.
const STREAMS: &str = "streams";

/// A database of one of the nodes that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub node: usize,
    pub db: u32,
}

impl Place {
    fn of<'a, 'n>(self, nodes: &'a mut [&'n mut Node]) -> Result<&'a mut &'n mut Node> {
        let gone = || Error::Protocol("a plan for a node that is not read".to_owned());
        nodes.get_mut(self.node).ok_or_else(gone)
    }
}

/// What a read of one place covers, as far as a cap on all of them allows.
pub struct Draft {
    place: Place,
    ranges: Vec<Range>,
    end: Positions,
}

pub struct Plan {
    pub place: Place,
    pub pieces: Vec<Piece>,
    pub end: Positions,
}

/// Entries of one stream that are yet to be read.
struct Range {
    place: Place,
    key: Vec<u8>,
    /// Where an earlier read ended; None is the beginning.
    start: Option<Position>,
    /// Whether no earlier read has come to this stream.
    fresh: bool,
    /// … or one has, but to another stream of that name.
    anew: bool,
    /// Its first entry, where no earlier read has come to the stream and it is not known how many
    /// entries came before.
    first: Option<EntryId>,
    through: Position,
    /// Entries ever added up to the range, where all that came since are there.
    added_before: Option<u64>,
    /// Entries in the range, where that is known.
    entries: Option<u64>,
    /// Entries in the whole stream: there are no more in the range.
    length: u64,
    /// What an entry weighs, where that is known.
    each: Option<u64>,
}

impl Range {
    fn after(&self) -> EntryId {
        self.start.map_or(EntryId::MIN, |position| position.id)
    }

    /// What reads so many entries after one id, through another.
    fn piece(&self, after: EntryId, through: EntryId, left: u64, check: Check) -> Piece {
        let at = At::Entries {
            after,
            through,
            left,
            start: self.after(),
            check,
        };
        Piece {
            each: self.each,
            ..Piece::new(self.key.as_slice().into(), self.length, at)
        }
    }
}

/// The id after which a read of streams begins, whatever was read: of the options, and of a start that
/// is for all streams.
pub fn bound(options: &ReadOptions, start: &Start) -> EntryId {
    match start {
        Start::After(id) => first_moment(options).max(*id),
        Start::Beginning | Start::Positions(_) => first_moment(options),
    }
}

/// The id after which the options let entries through.
fn first_moment(options: &ReadOptions) -> EntryId {
    options
        .start_timestamp
        .map_or(EntryId::MIN, EntryId::before)
}

/// Finds out what there is to read of one place from an offset on, no further than a target.
pub fn draft(
    node: &mut Node,
    place: Place,
    (start, target): (&Start, Option<&offset::Reached>),
    options: &ReadOptions,
    receipt: &Arc<Receipt>,
) -> Result<Draft> {
    let db = place.db;
    let bound = bound(options, start);
    let now = scan_reach(node, db, options, receipt)?;
    let mut end = unread_positions(node, db, start.positions(db), &now, options, receipt)?;
    let mut ranges = Vec::new();
    let mut firsts = BTreeMap::new();
    for (key, reach) in now {
        let last = reach.position;
        let read = start.positions(db).and_then(|all| all.get(&key).copied());
        // A replica that is behind the offset has nothing to say of what came after it.
        if let Some(read) = read
            && node.server.role == Role::Replica
            && last.id < read.id
        {
            receipt.warn(
                "the replica is behind the offset of some streams, of which nothing was read; they \
                 are read on when it has come so far",
            );
            end.insert(key, read);
            continue;
        }
        let target = match target {
            Some(target) => match target.of(db, &key).filter(|target| is_of(&reach, *target)) {
                Some(position) => Some(position),
                // It came, or came anew, after the target was fixed.
                None => {
                    end.extend(read.map(|read| (key, read)));
                    continue;
                }
            },
            None => None,
        };
        let mut begin = read;
        let before_bound = reach.first.is_some_and(|first| first <= bound);
        if let Some(read) = read
            && let Some(loss) = Loss::of(read, &reach, start.knows(&node.server.run_id))
            // What was trimmed before the first moment that is wanted is not missed.
            && !(before_bound && matches!(loss, Loss::Trimmed(_)))
        {
            loss.report(Stream { db, key: &key }, read, Some(last), options, receipt)?;
            begin = loss.resume(read);
        }
        let anew = read.is_some() && begin.is_none();
        let read = read.and(begin);
        if begin.map_or(EntryId::MIN, |begin| begin.id) < bound {
            begin = Some(Position::new(bound, None));
        }
        let through = match options.end_timestamp.map(EntryId::before) {
            Some(id) if id < last.id => Position::new(id, None),
            _ => last,
        };
        let through = match target {
            Some(target) if target.id < through.id => Position::new(target.id, target.added),
            _ => through,
        };
        let added_before = added_before(begin, &reach);
        let range = Range {
            place,
            added_before,
            entries: match through == last {
                true => entries_after(begin, &reach),
                false => through
                    .added
                    .zip(added_before)
                    .map(|(to, from)| to.saturating_sub(from)),
            },
            start: begin,
            fresh: read.is_none(),
            anew,
            first: None,
            key,
            through,
            length: reach.length,
            each: reach.each(),
        };
        if range.after() < range.through.id {
            firsts.extend(reach.first.map(|first| (range.key.clone(), first)));
            ranges.push(range);
        } else {
            // What was read already is not to come again, and the stream does not reach further. An offset
            // of which nothing has changed stays as it is.
            let furthest = match read {
                Some(read) if read.id == through.id => Position {
                    added: read.added.or(through.added),
                    ..read
                },
                Some(read) if read.id > through.id => read,
                _ => through,
            };
            end.insert(range.key, furthest);
        }
    }
    find_firsts(node, db, &mut ranges, &firsts, options)?;
    Ok(Draft { place, ranges, end })
}

/// Finds the first entries of ranges with which a stream is begun, and of which it is not known how many
/// entries they have: given are those of the streams.
fn find_firsts(
    node: &mut Node,
    db: u32,
    ranges: &mut [Range],
    firsts: &BTreeMap<Vec<u8>, EntryId>,
    options: &ReadOptions,
) -> Result<()> {
    let mut sought = Vec::new();
    for range in &mut *ranges {
        if !range.fresh || range.added_before.is_some() {
            continue;
        }
        match firsts.get(&range.key) {
            Some(first) if *first > range.after() => range.first = Some(*first),
            Some(_) => sought.push(range.piece(range.after(), range.through.id, 1, Check::Nothing)),
            None => {}
        }
    }
    if sought.is_empty() {
        return Ok(());
    }
    let found = count(node, db, sought, options)?;
    for range in ranges {
        let found = found.get(range.key.as_slice());
        range.first = range.first.or(found.map(|(_, first)| *first));
    }
    Ok(())
}

/// How far a range is to be read.
#[derive(Clone, Copy)]
struct Reached {
    position: Position,
    /// How many entries that is, where it is known.
    entries: Option<u64>,
}

/// Makes drafts of all places plans, which together keep to the cap.
pub fn plans(
    drafts: Vec<Draft>,
    nodes: &mut [&mut Node],
    options: &ReadOptions,
) -> Result<Vec<Plan>> {
    let mut plans = BTreeMap::new();
    let mut ranges = Vec::new();
    for draft in drafts {
        ranges.extend(draft.ranges);
        let plan = Plan {
            place: draft.place,
            pieces: Vec::new(),
            end: draft.end,
        };
        plans.insert(draft.place, plan);
    }
    let reached = match options.max_records {
        Some(limit) => cap(nodes, &mut ranges, limit, options)?,
        None => {
            let whole = |range: &Range| Reached {
                position: range.through,
                entries: range.entries,
            };
            ranges.iter().map(|range| Some(whole(range))).collect()
        }
    };
    for (range, reached) in ranges.into_iter().zip(reached) {
        let Some(plan) = plans.get_mut(&range.place) else {
            continue;
        };
        if let Some(Reached { position, entries }) = reached {
            let piece = range.piece(range.after(), position.id, u64::MAX, Check::of(entries));
            plan.pieces.push(piece);
        }
        // A stream whose turn has not come stays where it was.
        if let Some(Reached { position, .. }) = reached {
            let since = range.added_before.filter(|_| range.fresh);
            let begun = since.is_some() || range.first.is_some();
            let after = match begun {
                true => range.after(),
                false => EntryId::MIN,
            };
            let position = Position {
                after,
                anew: range.anew,
                first: range.first,
                since,
                ..position
            };
            plan.end.insert(range.key, position);
        } else if let Some(start) = range.start {
            let added = start.added.or(range.added_before);
            plan.end.insert(range.key, Position { added, ..start });
        }
    }
    Ok(plans.into_values().collect())
}

/// Whether a stream may be the one of which a position is.
fn is_of(now: &Reach, position: Position) -> bool {
    let counts = now.position.added.zip(position.added);
    now.position.id >= position.id && counts.is_none_or(|(now, then)| now >= then)
}

/// How many entries there are after a position.
fn entries_after(start: Option<Position>, now: &Reach) -> Option<u64> {
    let after = start.map_or(EntryId::MIN, |position| position.id);
    match now.first {
        Some(first) if first <= after => {
            let before = added_before(start, now)?;
            now.position.added?.checked_sub(before)
        }
        _ => Some(now.length),
    }
}

/// How many entries had been added to a stream when it was read so far, if none that came since was
/// deleted or trimmed.
fn added_before(start: Option<Position>, now: &Reach) -> Option<u64> {
    let after = start.map_or(EntryId::MIN, |position| position.id);
    if now.deleted? > after {
        return None;
    }
    match now.first {
        Some(first) if first <= after => start?.added,
        _ => now.position.added?.checked_sub(now.length),
    }
}

/// Whether entries that went while a stream was read were deleted, or are lost.
pub fn check_short(
    node: &mut Node,
    db: u32,
    short: &[Short],
    options: &ReadOptions,
    receipt: &Arc<Receipt>,
) -> Result<()> {
    if short.is_empty() {
        return Ok(());
    }
    node.connection.select(db)?;
    let keys = short.iter().map(|short| &short.key);
    let now = reach_of(node, keys, options, &Arc::default())?.found;
    for short in short {
        let read = Position::new(short.start, None);
        let now = now.get(&*short.key);
        let was_deleted = now.is_some_and(|now| match now.deleted {
            Some(deleted) => deleted > short.start,
            // Before 7.0: while an earlier entry is there, none was trimmed.
            None => now.first.is_some_and(|first| first <= short.start),
        });
        if !was_deleted {
            let lost = Loss::Trimmed(short.entries);
            let now = now.map(|now| now.position);
            lost.report(
                Stream {
                    db,
                    key: &short.key,
                },
                read,
                now,
                options,
                receipt,
            )?;
        }
    }
    Ok(())
}
