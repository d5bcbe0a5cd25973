//! How far streams reach now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::STREAMS;
use super::loss::{Loss, Stream};
use crate::error::{Error, Result};
use crate::offset::{EntryId, Position, Positions};
use crate::options::ReadOptions;
use crate::receipt::Receipt;
use crate::resp::{Commands, Replies};
use crate::tables::{At, Key, Outcome, Piece, Size, TTL_OF_NO_KEY};
use crate::topology::{Node, Role};
use crate::visit::{Earlier, Known, Visitor, Wants, Work, visit_once};

/// The positions of all streams that are chosen, as they are now.
pub fn scan_reach(
    node: &mut Node,
    db: u32,
    options: &ReadOptions,
    receipt: &Arc<Receipt>,
) -> Result<BTreeMap<Vec<u8>, Reach>> {
    let mut visitor = FindReach {
        receipt: receipt.clone(),
        ..FindReach::default()
    };
    let known = Known::new(node.state.holding.clone(), Earlier::default());
    let rules = options.selection.of(db);
    let work = Work::select(&node.server, rules, &[visitor.wants()], known);
    visit_once(&mut node.connection, work, &mut [&mut visitor], options)?;
    Ok(visitor.reaches.found)
}

/// The positions in an offset of streams that this read leaves alone: those that it does not
/// choose, or may not read. A stream that is gone is a loss, and has none: should it come again, it is
/// a new one. Of a replica, which may not have it yet, nobody knows.
pub fn unread_positions(
    node: &mut Node,
    db: u32,
    positions: Option<&Positions>,
    here: &BTreeMap<Vec<u8>, Reach>,
    options: &ReadOptions,
    receipt: &Receipt,
) -> Result<Positions> {
    let mut unread = positions.cloned().unwrap_or_default();
    unread.retain(|key, _| !here.contains_key(key) && node.owns(key));
    if node.server.role == Role::Replica {
        return Ok(unread);
    }
    let keys: Vec<Key> = unread.keys().map(|key| key.as_slice().into()).collect();
    // These are not read: what became of them is in a receipt of their own.
    let now = reach_of(node, keys.iter(), options, &Arc::default())?;
    let (left, gone): (Positions, Positions) = unread
        .into_iter()
        .partition(|(key, _)| now.found.contains_key(key) || now.denied.contains(key));
    for (key, read) in gone {
        Loss::Gone.report(Stream { db, key: &key }, read, None, options, receipt)?;
    }
    Ok(left)
}

/// Streams, as they are now.
#[derive(Default)]
pub struct Reaches {
    pub found: BTreeMap<Vec<u8>, Reach>,
    /// Those that the user may not read.
    pub denied: BTreeSet<Vec<u8>>,
}

/// How far some streams reach, as they are now.
pub fn reach_of<'a>(
    node: &mut Node,
    keys: impl Iterator<Item = &'a Key>,
    options: &ReadOptions,
    receipt: &Arc<Receipt>,
) -> Result<Reaches> {
    let mut visitor = FindReach {
        receipt: receipt.clone(),
        ..FindReach::default()
    };
    let work = Work::pieces(keys.map(|key| Piece::new(key.clone(), 0, At::Whole)));
    visit_once(&mut node.connection, work, &mut [&mut visitor], options)?;
    Ok(visitor.reaches)
}

/// How far a stream reaches, and how many entries it has.
pub struct Reach {
    pub position: Position,
    pub length: u64,
    /// The first entry that is there.
    pub first: Option<EntryId>,
    /// The last of those that XDEL took, where the server tells (7.0+); 0-0 where it took none.
    pub deleted: Option<EntryId>,
    /// What it takes in memory, where the server says.
    pub bytes: Option<u64>,
}

impl Reach {
    /// What an entry weighs, where that is known.
    pub fn each(&self) -> Option<u64> {
        self.bytes?.checked_div(self.length)
    }
}

/// Finds out how far streams reach.
#[derive(Default)]
struct FindReach {
    reaches: Reaches,
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
        self.reaches.found.len() as u64
    }

    fn denied(&mut self, key: &[u8]) -> Result<()> {
        self.receipt.keys_denied.add(1);
        self.reaches.denied.insert(key.to_vec());
        Ok(())
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
                    self.reaches.found.insert(piece.key.into(), reach);
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
pub fn read_reach(replies: &mut Replies<'_>) -> Result<Reach> {
    let mut id = None;
    let mut added = None;
    let mut length = 0;
    let mut first = None;
    let mut deleted = None;
    for _ in 0..replies.pairs()? {
        match replies.bytes()? {
            b"last-generated-id" => id = EntryId::parse(replies.bytes()?),
            b"length" => length = u64::try_from(replies.integer()?).unwrap_or_default(),
            b"max-deleted-entry-id" => deleted = EntryId::parse(replies.bytes()?),
            b"first-entry" => {
                if replies.array()? > 0 {
                    first = EntryId::parse(replies.bytes()?);
                    replies.skip()?;
                }
            }
            b"entries-added" => added = u64::try_from(replies.integer()?).ok(),
            _ => replies.skip()?,
        }
    }
    let id =
        id.ok_or_else(|| Error::Protocol("XINFO STREAM gives no last-generated-id".to_owned()))?;
    Ok(Reach {
        position: Position::new(id, added),
        length,
        first,
        deleted,
        bytes: None,
    })
}
