//! What a read of streams covers: the ranges (start, end] and the offset after them, both
//! fixed before the first row.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::error::{Error, Result, show};
use crate::offset::{EntryId, Position, Positions, Start};
use crate::options::ReadOptions;
use crate::receipt::Receipt;
use crate::resp::{Commands, Replies};
use crate::tables::{
    At, Key, Outcome, Piece, Size, TTL_OF_NO_KEY, after_page, entry_head, fetch_entries,
};
use crate::topology::Node;
use crate::visit::{Visitor, Wants, Work, visit_once};

/// The table that is planned for.
const STREAMS: &str = "streams";

pub struct Plan {
    pub pieces: Vec<Piece>,
    pub end: Positions,
}

/// Entries of one stream that are yet to be read.
struct Range {
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

/// Plans a read of a node's streams in one database from an offset on.
pub fn plan(
    node: &mut Node,
    db: u32,
    start: &Start,
    options: &ReadOptions,
    receipt: &Arc<Receipt>,
) -> Result<Plan> {
    let now = scan_reach(node, db, options, receipt)?;
    let mut end = unread_positions(node, start.positions(db), &now, options)?;
    let mut ranges = Vec::new();
    for (key, reach) in now {
        let through = reach.position;
        let range = Range {
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
    let reached = match options.max_records {
        Some(limit) => cap(node, &mut ranges, limit, options)?,
        None => ranges.iter().map(|range| Some(range.through)).collect(),
    };
    let mut pieces = Vec::new();
    for (range, reached) in ranges.into_iter().zip(reached) {
        if let Some(through) = reached {
            pieces.push(range.piece(range.after(), through.id, u64::MAX));
        }
        // A stream whose turn has not come stays where it was.
        if let Some(position) = reached.or(range.start) {
            end.insert(range.key, position);
        }
    }
    Ok(Plan { pieces, end })
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

/// The positions of all streams that are chosen, as they are now.
fn scan_reach(
    node: &mut Node,
    db: u32,
    options: &ReadOptions,
    receipt: &Arc<Receipt>,
) -> Result<BTreeMap<Vec<u8>, Reach>> {
    let mut visitor = FindReach {
        receipt: receipt.clone(),
        ..FindReach::default()
    };
    let work = Work::select(
        &node.server,
        node.state.holding.as_ref(),
        options.selection.of(db),
        &[visitor.wants()],
        Arc::default(),
    );
    visit_once(&mut node.connection, work, &mut [&mut visitor], options)?;
    Ok(visitor.found)
}

/// The positions in an offset of streams that this read leaves alone: those that it does not
/// choose, or may not read. A stream that is gone has none: should it come again, it is a new one.
fn unread_positions(
    node: &mut Node,
    positions: Option<&Positions>,
    now: &BTreeMap<Vec<u8>, Reach>,
    options: &ReadOptions,
) -> Result<Positions> {
    let mut unread = positions.cloned().unwrap_or_default();
    unread.retain(|key, _| !now.contains_key(key) && node.owns(key));
    let pieces = unread
        .keys()
        .map(|key| Piece::new(key.as_slice().into(), 0, At::Whole));
    // These are not read: what became of them is in a receipt of their own.
    let mut visitor = FindReach::default();
    let work = Work::pieces(pieces);
    visit_once(&mut node.connection, work, &mut [&mut visitor], options)?;
    unread.retain(|key, _| visitor.found.contains_key(key) || visitor.denied.contains(key));
    Ok(unread)
}

/// How far each range may be read so that it is so many entries in all, in equal shares; None
/// where a stream's turn has not come. Only ids are looked at: the entries are read afterwards, as they are consumed.
fn cap(
    node: &mut Node,
    ranges: &mut [Range],
    limit: u64,
    options: &ReadOptions,
) -> Result<Vec<Option<Position>>> {
    take_turns(ranges);
    let mut reached: Vec<Option<Position>> = vec![None; ranges.len()];
    let mut pending: VecDeque<usize> = (0..ranges.len()).collect();
    let mut left = limit;
    while left > 0 && !pending.is_empty() {
        let served = pending
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let share = left / served as u64;
        let turn: Vec<usize> = pending.drain(..served).collect();
        let pieces = turn.iter().map(|index| {
            let range = &ranges[*index];
            let after = reached[*index].map_or(range.after(), |position| position.id);
            range.piece(after, range.through.id, share)
        });
        let mut visitor = CountEntries::default();
        let work = Work::pieces(pieces);
        visit_once(&mut node.connection, work, &mut [&mut visitor], options)?;
        for index in turn {
            let range = &ranges[index];
            let counted = visitor.counts.get(range.key.as_slice()).copied();
            let (count, last) = counted.unwrap_or((0, range.through.id));
            left = left.saturating_sub(count);
            if count == share && last < range.through.id {
                // How many were added up to here is not known: some may have been deleted.
                let position = Position {
                    id: last,
                    added: None,
                };
                reached[index] = Some(position);
                pending.push_back(index);
            } else {
                reached[index] = Some(range.through);
            }
        }
    }
    Ok(reached)
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

/// How far a stream reaches, and how many entries it has.
struct Reach {
    position: Position,
    length: u64,
    /// What it takes in memory, where the server says.
    bytes: Option<u64>,
}

/// Finds out how far streams reach.
#[derive(Default)]
struct FindReach {
    found: BTreeMap<Vec<u8>, Reach>,
    /// Streams that the user may not read.
    denied: BTreeSet<Vec<u8>>,
    receipt: Arc<Receipt>,
}

impl Visitor for FindReach {
    fn table(&self) -> &'static str {
        STREAMS
    }

    fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    fn wants(&self) -> Wants {
        Wants::Type("stream")
    }

    /// XINFO gives the first and the last entry in full.
    fn size(&self) -> Option<Size> {
        Some(Size::Memory { or: "XLEN" })
    }

    fn taken(&self) -> u64 {
        self.found.len() as u64
    }

    fn denied(&mut self, key: &[u8]) {
        self.receipt.keys_denied.add(1);
        self.denied.insert(key.to_vec());
    }

    fn fetch(&self, pieces: &[Piece], to: &mut Commands) {
        for piece in pieces {
            to.push(&[b"XINFO", b"STREAM", &piece.key]);
            to.push(&[b"TTL", &piece.key]);
        }
    }

    fn take(&mut self, pieces: Vec<Piece>, replies: &mut Replies<'_>) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        for piece in pieces {
            match read_reach(replies) {
                Ok(mut reach) => {
                    replies.skip()?;
                    reach.bytes = piece.bytes;
                    self.found.insert(piece.key.into(), reach);
                }
                // The error for a key that is gone has no code of its own; TTL tells.
                Err(error) if error.is_reply("ERR") => match replies.integer()? {
                    TTL_OF_NO_KEY => outcome.gone.push(piece.key),
                    _ => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }
}

/// Reads what XINFO STREAM says: pairs of a name and a value, more of them with each version.
fn read_reach(replies: &mut Replies<'_>) -> Result<Reach> {
    let mut id = None;
    let mut added = None;
    let mut length = 0;
    for _ in 0..replies.pairs()? {
        match replies.bytes()? {
            b"last-generated-id" => id = EntryId::parse(replies.bytes()?),
            b"length" => length = u64::try_from(replies.integer()?).unwrap_or_default(),
            b"entries-added" => added = u64::try_from(replies.integer()?).ok(),
            _ => replies.skip()?,
        }
    }
    let id =
        id.ok_or_else(|| Error::Protocol("XINFO STREAM gives no last-generated-id".to_owned()))?;
    Ok(Reach {
        position: Position { id, added },
        length,
        bytes: None,
    })
}

/// Counts the entries of ranges, and finds the last of each.
#[derive(Default)]
struct CountEntries {
    counts: BTreeMap<Key, (u64, EntryId)>,
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
