//! What becomes of keys that could not be read, or not to their end.

use super::{Flight, Redirected, Visit, WRONGTYPE, of_key};
use crate::error::{Denied, Error, Result};
use crate::options::OnDenied;
use crate::tables::Key;
use crate::topology::{Slots, slot_of};

impl Visit<'_, '_> {
    /// Takes back that the keys came which were not read to their end; false where that is not
    /// possible.
    pub(super) fn abandon(&mut self) -> bool {
        let known = &mut self.work.known;
        let mut forget = |key: &Key| known.forget(key);
        self.at_hand.iter().for_each(&mut forget);
        self.unsized_keys
            .iter()
            .map(|named| &named.key)
            .for_each(&mut forget);
        self.work
            .untyped
            .iter()
            .map(|one| &one.key)
            .for_each(&mut forget);
        self.work
            .ready
            .iter()
            .map(|piece| &piece.key)
            .for_each(&mut forget);
        self.large
            .iter()
            .map(|piece| &piece.key)
            .for_each(&mut forget);
        for flight in &self.flights {
            match flight {
                Flight::Names {
                    untyped,
                    unsized_keys,
                    ..
                } => {
                    untyped.iter().map(|one| &one.key).for_each(&mut forget);
                    let named = unsized_keys.iter().map(|(named, _)| &named.key);
                    named.for_each(&mut forget);
                }
                Flight::Pieces { bundles, .. } => {
                    let pieces = bundles.iter().flat_map(|bundle| &bundle.pieces);
                    pieces.map(|piece| &piece.key).for_each(&mut forget);
                }
            }
        }
        self.manner.resumable && !self.half_read
    }

    pub(super) fn gone(&mut self, key: &[u8], visitor: usize) -> Result<()> {
        if self.manner.one_slot {
            self.gone_from_node(key, visitor)?;
        }
        self.visitors[visitor].receipt().keys_gone.add(1);
        self.visitors[visitor].missing(key)
    }

    /// A key that is gone may have gone on to another node, which a replica does not say: there it
    /// is to be read, unless a table has had it already and another has not.
    fn gone_from_node(&mut self, key: &[u8], visitor: usize) -> Result<()> {
        if self.work.told_by().is_none_or(|by| by == visitor) {
            self.work.known.forget(key);
        } else if self.work.known.is_leaving(key) {
            return Err(of_key(
                Error::TopologyChanged(
                    "its slot is being moved, and it went between two tables that want it; read \
                     again"
                        .to_owned(),
                ),
                key,
            ));
        } else {
            self.torn = true;
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
                self.redirect(error, key);
                Ok(())
            }
            Error::PermissionDenied {
                denied: Denied::Key,
                ..
            } if self.manner.on_denied == OnDenied::Skip => {
                self.visitors[visitor].denied(key);
                Ok(())
            }
            _ => {
                self.at_work = Some(visitor);
                self.at_hand.push(key.into());
                Err(of_key(error, key))
            }
        }
    }

    /// Leaves a key to the node that has it now.
    pub(super) fn redirect(&mut self, error: Error, key: &[u8]) {
        self.work.known.forget(key);
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
