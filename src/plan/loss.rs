//! What became of a stream since an offset: whether entries are lost that were not read.

use super::reach::Reach;
use crate::error::{Error, Result, show};
use crate::offset::Position;
use crate::options::ReadOptions;
use crate::receipt::{Gap, Receipt};

/// A stream, as errors and receipts name it.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a> {
    pub db: u32,
    pub key: &'a [u8],
}

impl std::fmt::Display for Stream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stream {} of database {}", show(self.key), self.db)
    }
}

/// How entries of a stream may have been lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It is not there any more.
    Gone,
    /// It ends before the position.
    Older,
    /// The same, and another process answers than the one that was read.
    WentBack,
    /// It reaches beyond the position, but cannot be the stream that was read.
    Anew,
    /// So many entries after the position were taken off its beginning, where that is known.
    Trimmed(Option<u64>),
}

impl Loss {
    /// That of a stream which ends before a position that was read, or planned.
    pub fn behind(known: Option<bool>) -> Loss {
        match known {
            Some(false) => Loss::WentBack,
            _ => Loss::Older,
        }
    }

    /// What was lost of a stream, as far as the server tells.
    ///
    /// `known` is whether this process was read before; None where nobody can say.
    pub fn of(read: Position, now: &Reach, known: Option<bool>) -> Option<Loss> {
        if now.position.id < read.id {
            return Some(Loss::behind(known));
        }
        let (then, now_added) = (read.added?, now.position.added?);
        let Some(added) = now_added.checked_sub(then) else {
            return Some(Loss::Anew);
        };
        // While an entry is there that was read, or could have been, none after it was trimmed.
        if now.first.is_some_and(|first| first <= read.id) {
            return None;
        }
        match added.checked_sub(now.length) {
            None => Some(Loss::Anew),
            // What XDEL took is gone because somebody wanted just that.
            Some(missing) if missing > 0 && now.deleted.is_none_or(|last| last <= read.id) => {
                Some(Loss::Trimmed(Some(missing)))
            }
            Some(_) => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Loss::Gone => "gone",
            Loss::Older | Loss::Anew => "created anew",
            Loss::WentBack => "went back",
            Loss::Trimmed(_) => "trimmed",
        }
    }

    /// Where to read on where that is accepted; None is the beginning.
    pub fn resume(self, read: Position) -> Option<Position> {
        match self {
            Loss::Trimmed(_) => Some(read),
            Loss::Gone | Loss::Older | Loss::WentBack | Loss::Anew => None,
        }
    }

    /// The error, or where that is accepted a gap in the receipt.
    pub fn report(
        self,
        stream: Stream<'_>,
        read: Position,
        now: Option<Position>,
        options: &ReadOptions,
        receipt: &Receipt,
    ) -> Result<()> {
        if options.fail_on_data_loss {
            return Err(Error::DataLoss(self.describe(stream, read, now)));
        }
        receipt.gap(Gap {
            db: stream.db,
            key: stream.key.to_vec(),
            why: self.name(),
            after: Some(read.id.to_string()),
            entries: match self {
                Loss::Trimmed(entries) => entries,
                _ => None,
            },
        });
        Ok(())
    }

    fn describe(self, stream: Stream<'_>, read: Position, now: Option<Position>) -> String {
        let at = |position: Position| match position.added {
            Some(added) => format!("{} ({added} added by then)", position.id),
            None => position.id.to_string(),
        };
        let ends = now.map_or_else(String::new, |now| format!(" and now ends at {}", at(now)));
        let (what, instead) = match self {
            Loss::Gone => (
                "it is gone, with what came after that, if anything did".to_owned(),
                "goes on without it",
            ),
            Loss::Older => (
                "it was deleted and created anew, with older ids".to_owned(),
                "reads it from its beginning",
            ),
            Loss::WentBack => (
                "another server process answers than before, which has an older state of it: it was \
                 restarted from one, or took over without having got all"
                    .to_owned(),
                "reads it from its beginning, so that entries come again",
            ),
            Loss::Anew => (
                "by its counts it was deleted and created anew since".to_owned(),
                "reads it from its beginning",
            ),
            Loss::Trimmed(entries) => (
                format!(
                    "{} entries after that were trimmed before they were read",
                    entries.map_or("some".to_owned(), |entries| entries.to_string())
                ),
                "goes on with those that are left",
            ),
        };
        format!(
            "{stream} was read up to {}{ends}: {what}; option `fail_on_data_loss=false` {instead}",
            at(read),
        )
    }
}

/// A planned stream that cannot be read any more: an error, or where that is accepted a gap.
pub fn report_unread(
    stream: Stream<'_>,
    why: &str,
    options: &ReadOptions,
    receipt: &Receipt,
) -> Result<()> {
    if options.fail_on_data_loss {
        return Err(Error::DataLoss(format!(
            "{stream} {why}, with entries that the read had planned; option \
             `fail_on_data_loss=false` goes on without them"
        )));
    }
    receipt.gap(Gap {
        db: stream.db,
        key: stream.key.to_vec(),
        why: Loss::Gone.name(),
        after: None,
        entries: None,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::EntryId;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    fn position(ms: u64, added: Option<u64>) -> Position {
        Position::new(id(ms), added)
    }

    /// A stream by its last id, its counts of entries ever added and there now, and its first one.
    fn reach(last: u64, added: Option<u64>, length: u64, first: Option<u64>) -> Reach {
        Reach {
            position: position(last, added),
            length,
            first: first.map(id),
            deleted: added.map(|_| id(0)),
            bytes: None,
        }
    }

    #[test]
    fn a_stream_that_goes_on_has_lost_nothing() {
        let read = position(5, Some(5));
        for now in [
            reach(5, Some(5), 5, Some(1)),
            reach(5, Some(5), 0, None),
            reach(9, Some(9), 4, Some(6)),
            // What is missing may have been missing before, or was deleted.
            reach(9, Some(9), 3, Some(5)),
            Reach {
                deleted: Some(id(7)),
                ..reach(9, Some(9), 2, Some(8))
            },
            reach(9, None, 1, Some(9)),
        ] {
            assert_eq!(Loss::of(read, &now, Some(true)), None);
        }
        let uncounted = position(5, None);
        assert_eq!(
            Loss::of(uncounted, &reach(9, Some(9), 1, Some(9)), None),
            None
        );
    }

    #[test]
    fn what_is_lost_is_told_apart() {
        let read = position(5, Some(5));
        let of = |now, known| Loss::of(read, &now, known).unwrap();
        assert_eq!(
            of(reach(9, Some(9), 1, Some(9)), None),
            Loss::Trimmed(Some(3))
        );
        assert_eq!(of(reach(9, Some(9), 0, None), None), Loss::Trimmed(Some(4)));
        assert_eq!(of(reach(4, Some(4), 4, Some(1)), Some(true)), Loss::Older);
        assert_eq!(of(reach(4, None, 4, Some(1)), None), Loss::Older);
        assert_eq!(
            of(reach(4, Some(4), 4, Some(1)), Some(false)),
            Loss::WentBack
        );
        assert_eq!(of(reach(9, Some(3), 3, Some(7)), None), Loss::Anew);
        // More after the position than were added since.
        assert_eq!(of(reach(9, Some(6), 6, Some(6)), None), Loss::Anew);
    }
}
