//! What becomes of keys that could not be read, or not to their end.

use super::work::Untyped;
use super::{Flight, Named, Redirected, Visit, WRONGTYPE, Wants, of_key};
use crate::error::{Denied, Error, Result};
use crate::options::OnDenied;
use crate::tables::Piece;
use crate::topology::{Slots, slot_of};

impl Visit<'_, '_> {
    /// Takes back that the keys came which were not read to their end; false where that is not
    /// possible.
    pub(super) fn abandon(&mut self) -> bool {
        let mut keys = std::mem::take(&mut self.at_hand);
        let mut untyped = std::mem::take(&mut self.work.untyped);
        let of_name = |named: Named| (named.key, named.visitor);
        let of_piece = |piece: Piece| (piece.key, piece.table);
        keys.extend(self.unsized_keys.drain(..).map(of_name));
        keys.extend(self.work.ready.drain(..).map(of_piece));
        keys.extend(self.large.drain(..).map(of_piece));
        for flight in self.flights.drain(..) {
            match flight {
                Flight::Names {
                    untyped: more,
                    unsized_keys,
                    ..
                } => {
                    untyped.extend(more);
                    keys.extend(unsized_keys.into_iter().map(|(named, _)| of_name(named)));
                }
                Flight::Pieces { bundles, .. } => {
                    let pieces = bundles.into_iter().flat_map(|bundle| bundle.pieces);
                    keys.extend(pieces.map(of_piece));
                }
            }
        }
        for (key, visitor) in keys {
            self.take_back(&key, visitor);
        }
        for one in untyped {
            self.unname(&one);
        }
        self.manner.resumable && !self.half_read
    }

    /// Takes back that a key came. Where it came to the visitor that tells the types, and not yet to
    /// another one, it is owed to that one alone.
    fn take_back(&mut self, key: &[u8], visitor: usize) {
        match self.work.told_by() {
            Some(teller) if visitor != teller => {
                self.work.owed.insert((key.into(), visitor));
            }
            _ => self.work.known.forget(key),
        }
    }

    /// Takes back that a key came whose type is not known.
    pub(super) fn unname(&mut self, one: &Untyped) {
        match one.only {
            Some(visitor) => {
                self.work.owed.insert((one.key.clone(), visitor));
            }
            None if one.named => self.work.known.forget(&one.key),
            // It is only known where it came by another rule, and that it did.
            None => {}
        }
    }

    pub(super) fn gone(&mut self, key: &[u8], visitor: usize) -> Result<()> {
        self.perhaps_moved(key, visitor);
        self.visitors[visitor].receipt().keys_gone.add(1);
        self.visitors[visitor].missing(key)
    }

    /// A key that is not there may have gone on to another node, which a replica does not say.
    pub(super) fn perhaps_moved(&mut self, key: &[u8], visitor: usize) {
        if self.manner.one_slot {
            self.take_back(key, visitor);
        }
    }

    /// A key that the user may not read is left out of all that would have had it.
    fn denied(&mut self, key: &[u8], visitor: usize) -> Result<()> {
        self.visitors[visitor].denied(key)?;
        if self.work.told_by() == Some(visitor) {
            for other in (0..self.visitors.len()).filter(|other| *other != visitor) {
                if self.visitors[other].wants() != Wants::Nothing {
                    self.visitors[other].receipt().keys_denied.add(1);
                }
            }
        }
        Ok(())
    }

    pub(super) fn changed_type(&mut self, key: &[u8], visitor: usize) -> Result<()> {
        self.visitors[visitor].receipt().keys_changed_type.add(1);
        self.visitors[visitor].missing(key)
    }

    /// A key that became another type is counted, as one is that may not be read, where that is
    /// wanted; one that moved is left for later. Any other error ends the read.
    pub(super) fn refused(&mut self, error: Error, key: &[u8], visitor: usize) -> Result<()> {
        match error.root() {
            Error::Refused { code, .. } if code == WRONGTYPE => self.changed_type(key, visitor),
            Error::Redirected { .. } if self.manner.resumable => {
                self.take_back(key, visitor);
                self.redirect(error, key);
                Ok(())
            }
            Error::PermissionDenied {
                denied: Denied::Key,
                ..
            } if self.manner.on_denied == OnDenied::Skip => self.denied(key, visitor),
            _ => {
                self.at_work = Some(visitor);
                self.at_hand.push((key.into(), visitor));
                Err(of_key(error, key))
            }
        }
    }

    /// Leaves a key to the node that has it now.
    pub(super) fn redirect(&mut self, error: Error, key: &[u8]) {
        // One of a slot that is known to be moving is read there as soon as this node is through.
        if error.is_asking() && self.work.known.is_leaving(key) {
            return;
        }
        let redirected = self.redirected.get_or_insert_with(|| Redirected {
            error: of_key(error, key),
            slots: Slots::default(),
        });
        let slot = slot_of(key);
        redirected.slots.insert(slot..=slot);
    }
}
