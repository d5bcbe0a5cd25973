//! What a read of streams covers: the ranges (start, end] and the offset after them, both
//! fixed before the first row.

mod cap;
mod reach;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result, show};
use crate::offset::{EntryId, Position, Positions, Start};
use crate::options::ReadOptions;
use crate::receipt::Receipt;
use crate::tables::{At, Piece};
use crate::topology::{Node, Role};

use cap::cap;
use reach::{scan_reach, unread_positions};

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
    through: Position,
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
    fn piece(&self, after: EntryId, through: EntryId, left: u64) -> Piece {
        let at = At::Entries {
            after,
            through,
            left,
        };
        Piece {
            each: self.each,
            ..Piece::new(self.key.as_slice().into(), self.length, at)
        }
    }
}

/// Finds out what there is to read of one place from an offset on.
pub fn draft(
    node: &mut Node,
    place: Place,
    start: &Start,
    options: &ReadOptions,
    receipt: &Arc<Receipt>,
) -> Result<Draft> {
    let db = place.db;
    let now = scan_reach(node, db, options, receipt)?;
    let mut end = unread_positions(node, start.positions(db), &now, options)?;
    let mut ranges = Vec::new();
    for (key, reach) in now {
        let through = reach.position;
        // A replica that is behind the offset has nothing to say of what came after it.
        if let Some(read) = start
            .positions(db)
            .and_then(|positions| positions.get(&key))
            && node.server.role == Role::Replica
            && through.id < read.id
        {
            end.insert(key, *read);
            continue;
        }
        let range = Range {
            place,
            start: begin(&key, start, db, through, options)?,
            key,
            through,
            length: reach.length,
            each: reach
                .bytes
                .and_then(|bytes| bytes.checked_div(reach.length)),
        };
        if range.after() < range.through.id {
            ranges.push(range);
        } else {
            end.insert(range.key, through);
        }
    }
    Ok(Draft { place, ranges, end })
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
        None => ranges.iter().map(|range| Some(range.through)).collect(),
    };
    for (range, reached) in ranges.into_iter().zip(reached) {
        let Some(plan) = plans.get_mut(&range.place) else {
            continue;
        };
        if let Some(through) = reached {
            let piece = range.piece(range.after(), through.id, u64::MAX);
            plan.pieces.push(piece);
        }
        // A stream whose turn has not come stays where it was.
        if let Some(position) = reached.or(range.start) {
            plan.end.insert(range.key, position);
        }
    }
    Ok(plans.into_values().collect())
}

/// The position after which to read a stream that now reaches `through`; None is the beginning.
fn begin(
    key: &[u8],
    start: &Start,
    db: u32,
    through: Position,
    options: &ReadOptions,
) -> Result<Option<Position>> {
    let read = match start {
        Start::Beginning => return Ok(None),
        Start::After(id) => {
            return Ok(Some(Position {
                id: *id,
                added: None,
            }));
        }
        Start::Positions(_) => match start.positions(db).and_then(|positions| positions.get(key)) {
            Some(position) => *position,
            None => return Ok(None),
        },
    };
    // A stream never goes back: neither its last id nor the count of what was added.
    let fewer = matches!((through.added, read.added), (Some(now), Some(then)) if now < then);
    if through.id >= read.id && !fewer {
        return Ok(Some(read));
    }
    if !options.fail_on_data_loss {
        return Ok(None);
    }
    Err(Error::DataLoss(format!(
        "stream {} was read up to {} and now ends at {}: it was deleted and created anew, or the \
         server went back to an older state; option `fail_on_data_loss=false` reads it from its beginning",
        show(key),
        read.id,
        through.id
    )))
}
