//! What becomes of keys that could not be read, or not to their end.

use super::{Flight, Named, Redirected, Visit, WRONGTYPE, Wants, of_key};
use crate::error::{Denied, Error, Result};
use crate::options::OnDenied;
use crate::topology::{Slots, slot_of};

impl Visit<'_, '_> {
    /// Leaves what was begun to the work; false where rows of it are there that cannot be taken back.
    pub(super) fn abandon(&mut self) -> bool {
        let wants = self.wants();
        let mut undone = std::mem::take(&mut self.at_hand);
        undone.untyped.extend(self.work.untyped.drain(..));
        let of_name = |named: Named| (named.key, named.visitor);
        let names = self.unsized_keys.drain(..).map(of_name);
        undone.keys.extend(names);
        for flight in self.flights.drain(..) {
            match flight {
                Flight::Names {
                    untyped,
                    unsized_keys,
                    ..
                } => {
                    undone.untyped.extend(untyped);
                    let names = unsized_keys.into_iter().map(|(named, _)| of_name(named));
                    undone.keys.extend(names);
                }
                Flight::Pieces { bundles, .. } => {
                    for piece in bundles.into_iter().flat_map(|bundle| bundle.pieces) {
                        undone.add(piece, &wants);
                    }
                }
            }
        }
        for piece in self.large.drain(..).chain(self.work.ready.drain(..)) {
            undone.add(piece, &wants);
        }
        self.work.undone = undone;
        !self.half_read
    }

    /// What each visitor wants.
    pub(super) fn wants(&self) -> Vec<Wants> {
        self.visitors.iter().map(|one| one.wants()).collect()
    }

    pub(super) fn gone(&mut self, key: &[u8], visitor: usize) -> Result<()> {
        self.perhaps_moved(key, visitor);
        self.visitors[visitor].receipt().keys_gone.add(1);
        self.visitors[visitor].missing(key)
    }

    /// A key that is not there may have gone on to another node, which a replica does not say.
    pub(super) fn perhaps_moved(&mut self, key: &[u8], visitor: usize) {
        if self.manner.one_slot {
            self.work.take_back(key, visitor);
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
            Error::Redirected { .. } if self.manner.leaves_moved => {
                self.work.take_back(key, visitor);
                self.redirect(error, key);
                Ok(())
            }
            Error::PermissionDenied {
                denied: Denied::Key,
                ..
            } if self.manner.on_denied == OnDenied::Skip => self.denied(key, visitor),
            _ => {
                self.at_work = Some(visitor);
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
