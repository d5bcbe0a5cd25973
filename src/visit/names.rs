//! Flights of names: the next page of SCAN, and what is yet to be known of the last one's keys.

use std::collections::VecDeque;

use super::known::Admitted;
use super::work::{Untyped, Way};
use super::{ENOUGH_FLIGHTS, ENOUGH_NAME_BYTES, Flight, Named, Visit, Wants, of_key};
use crate::error::{Denied, Error, Result};
use crate::options::OnDenied;
use crate::tables::{At, Key, Piece, Size};

/// Keys whose types, or sizes, are asked for together; where the server is far away, as many as two pages
/// of SCAN name.
const MOST_ASKED: u64 = 1_000;

impl Visit<'_, '_> {
    pub(super) fn launch_names(&mut self) -> Result<()> {
        let mut commands = self.connection.commands();
        let mut naming = 0;
        let enough = ENOUGH_FLIGHTS * self.pace.flight_pieces;
        let has_room = self.work.ready.len() < enough && self.name_bytes < ENOUGH_NAME_BYTES;
        if has_room && !self.is_catching_up() {
            // Keys of another type than one scan wanted are new to the next when that is known.
            let types_are_known = self.work.untyped.is_empty();
            if let Some(scan) = self.work.scans.front_mut() {
                if types_are_known || !scan.is_new() {
                    naming = scan.ask(self.pace.count(), &mut commands);
                }
            } else if let Some(listing) = &mut self.work.listing
                && !listing.done()
            {
                naming = listing.ask(&mut commands);
            }
        }
        let most = self.pace.count().saturating_mul(2).max(MOST_ASKED);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let types = self.work.untyped.len().min(most);
        let untyped: VecDeque<Untyped> = self.work.untyped.drain(..types).collect();
        for Untyped { key, .. } in &untyped {
            commands.push(&[b"TYPE", key]);
        }
        let mut unsized_keys = Vec::new();
        let sizes = self.unsized_keys.len().min(most);
        for named in self.unsized_keys.drain(..sizes).collect::<Vec<_>>() {
            let size = match self.visitors[named.visitor].size() {
                Some(Size::Memory { or }) if self.memory_refused => Size::Elements(or),
                Some(size) => size,
                None => {
                    return Err(Error::Protocol(
                        "a key of no size is to be sized".to_owned(),
                    ));
                }
            };
            match size {
                Size::Memory { .. } => commands.push(&[b"MEMORY", b"USAGE", &named.key]),
                _ => commands.push(&[size.exact().as_bytes(), &named.key]),
            }
            unsized_keys.push((named, size));
        }
        if commands.count == 0 {
            return Ok(());
        }
        // First, so that what cannot be sent is known not to have been read.
        self.flights.push_back(Flight::Names {
            naming,
            untyped,
            unsized_keys: unsized_keys.into(),
        });
        self.connection.send(&commands)
    }

    /// Takes up what the visit before this one did not finish, over another connection to the same
    /// process: there the scans go on.
    pub(super) fn take_up(&mut self) {
        let undone = std::mem::take(&mut self.work.undone);
        self.work.untyped.extend(undone.untyped);
        for piece in undone.pieces.into_iter().rev() {
            self.work.ready.push_front(piece);
        }
        for (key, visitor) in undone.keys {
            let ttl = None;
            self.begin_key(Named { key, visitor, ttl });
        }
        if let Some(listing) = &mut self.work.listing {
            listing.take_back();
        }
        self.catches_up = true;
    }

    /// Whether what was taken up is not finished yet. Until then no more keys are named: one that ends each
    /// connection would be put off for as long as there are others.
    fn is_catching_up(&mut self) -> bool {
        let left = !self.unsized_keys.is_empty()
            || !self.work.untyped.is_empty()
            || !self.work.ready.is_empty()
            || !self.large.is_empty()
            || !self.flights.is_empty();
        self.catches_up &= left;
        self.catches_up
    }

    /// The replies to SCAN, TYPE and sizes.
    pub(super) fn take_names(
        &mut self,
        naming: usize,
        mut untyped: VecDeque<Untyped>,
        mut unsized_keys: VecDeque<(Named, Size)>,
    ) -> Result<()> {
        let named = match naming {
            0 => Ok(()),
            _ if self.work.listing.is_some() => self.take_listing(naming),
            _ => self.take_page(naming),
        };
        self.work.steps += u64::from(naming > 0 && named.is_ok());
        let taken = named.and_then(|()| self.take_facts(&mut untyped, &mut unsized_keys));
        if taken.is_err() {
            self.flights.push_front(Flight::Names {
                naming: 0,
                untyped,
                unsized_keys,
            });
        }
        taken
    }

    /// The replies to TYPE and sizes; leaves those of whom nothing was said.
    fn take_facts(
        &mut self,
        untyped: &mut VecDeque<Untyped>,
        unsized_keys: &mut VecDeque<(Named, Size)>,
    ) -> Result<()> {
        while let Some(one) = untyped.front() {
            self.take_type(one)?;
            untyped.pop_front();
        }
        while let Some((named, size)) = unsized_keys.pop_front() {
            self.take_size(&named, size)?;
        }
        Ok(())
    }

    /// The reply to TYPE: where it is the type that is wanted, the key goes to its visitors.
    fn take_type(&mut self, one: &Untyped) -> Result<()> {
        let key = &one.key;
        let key_type = match self.connection.replies(1).bytes() {
            Ok(key_type) => Key::from(key_type),
            Err(error @ Error::Redirected { .. }) if self.manner.leaves_moved => {
                self.work.unname(one);
                self.redirect(error, key);
                return Ok(());
            }
            Err(Error::PermissionDenied {
                denied: Denied::Key,
                ..
            }) if self.manner.on_denied == OnDenied::Skip => {
                // Nobody knows whose it would have been.
                for visitor in self.visitors.iter() {
                    if visitor.wants() != Wants::Nothing {
                        visitor.receipt().keys_denied.add(1);
                    }
                }
                return Ok(());
            }
            Err(error) => return Err(of_key(error, key)),
        };
        if let Some(visitor) = one.only {
            let wanted = self.visitors[visitor].wants().key_type();
            if wanted.is_some_and(|wanted| wanted.as_bytes() == &*key_type) {
                self.name_key(key.clone(), visitor, None);
            }
            return Ok(());
        }
        // A name that was given may be that of no key.
        let is_key = *key_type != *b"none";
        if !is_key
            || one
                .wanted
                .is_some_and(|wanted| wanted.as_bytes() != &*key_type)
        {
            // It may come again: of another type, or at another node.
            self.work.unname(one);
            return Ok(());
        }
        if !one.named && !self.work.known.insert(key) {
            return Ok(());
        }
        match self.work.told_by() {
            Some(by) => self.name_key(key.clone(), by, None),
            None => self.route(key, &key_type, None, true),
        }
        Ok(())
    }

    fn take_size(&mut self, named: &Named, size: Size) -> Result<()> {
        let answer = self.connection.replies(1).integer_or_nil();
        match (answer, size) {
            (Ok(Some(length)), _) => {
                let length = u64::try_from(length).unwrap_or_default();
                let (elements, bytes) = match size {
                    Size::Bytes(_) => (length, Some(length)),
                    Size::Elements(_) => (length, None),
                    Size::Memory { .. } => (0, Some(length)),
                };
                self.visit_key(named.clone(), elements, bytes);
                Ok(())
            }
            (Ok(None), _) => self.gone(&named.key, named.visitor),
            // Some hosted servers have no such command, and some users may not ask it.
            (
                Err(
                    Error::PermissionDenied {
                        denied: Denied::Command,
                        ..
                    }
                    | Error::Refused { .. },
                ),
                Size::Memory { .. },
            ) => {
                self.memory_refused = true;
                self.unsized_keys.push(named.clone());
                Ok(())
            }
            (Err(error), _) => {
                let left = self.refused(error, &named.key, named.visitor);
                if left.is_err() {
                    self.at_hand.keys.push((named.key.clone(), named.visitor));
                }
                left
            }
        }
    }

    /// The keys of slots, whose types are to be asked.
    fn take_listing(&mut self, commands: usize) -> Result<()> {
        let Some(listing) = &mut self.work.listing else {
            return Ok(());
        };
        let known = &self.work.known;
        let mut keys: Vec<Key> = Vec::new();
        listing.page(self.connection.replies(commands), |key| {
            if !known.came_earlier(key) {
                keys.push(key.into());
            }
        })?;
        self.work.report();
        for key in &keys {
            self.work.choose(key);
        }
        Ok(())
    }

    fn take_page(&mut self, commands: usize) -> Result<()> {
        let Some(scan) = self.work.scans.front_mut() else {
            return Ok(());
        };
        let known = &mut self.work.known;
        let before = self.connection.consumed();
        let mut keys: Vec<Key> = Vec::new();
        let mut repeated = 0;
        let page = scan.page(&mut self.connection.replies(commands), |key| {
            match known.admit(key) {
                Admitted::New => keys.push(key.into()),
                Admitted::Repeated => repeated += 1,
                Admitted::Foreign => {}
            }
        });
        let named = page.inspect_err(|_| keys.iter().for_each(|key| known.forget(key)))?;
        self.pace.named(named, self.connection.consumed() - before);
        let key_type = scan.select().key_type;
        if scan.done() {
            self.work.scans.pop_front();
        }
        self.work.report();
        let wants = self.wants();
        let way = self.work.way(key_type, &wants);
        for (place, visitor) in self.visitors.iter().enumerate() {
            let counts = match way {
                Way::Told { by } => place == by,
                Way::All | Way::Typed(_) | Way::Asked => visitor.wants() != Wants::Nothing,
            };
            if counts {
                visitor.receipt().duplicates_dropped.add(repeated);
            }
        }
        for key in keys {
            match way {
                Way::Asked => self.work.untyped.push_back(Untyped {
                    key,
                    wanted: key_type,
                    named: true,
                    only: None,
                }),
                Way::Told { by } => self.name_key(key, by, None),
                Way::Typed(key_type) => self.route(&key, key_type.as_bytes(), None, true),
                Way::All => self.route(&key, b"", None, true),
            }
        }
        Ok(())
    }

    /// Gives a key to the visitors that want its type and, unless they have had it, to those that
    /// want any.
    pub(super) fn route(&mut self, key: &Key, key_type: &[u8], ttl: Option<i64>, any: bool) {
        for visitor in 0..self.visitors.len() {
            let wanted = match self.visitors[visitor].wants() {
                Wants::Type(wanted) => wanted.as_bytes() == key_type,
                Wants::All => any,
                Wants::Nothing => false,
            };
            if wanted {
                self.name_key(key.clone(), visitor, ttl);
            }
        }
    }

    /// A key that a visitor wants.
    fn name_key(&mut self, key: Key, visitor: usize, ttl: Option<i64>) {
        self.visitors[visitor].receipt().keys_scanned.add(1);
        self.begin_key(Named { key, visitor, ttl });
    }

    /// Asks a key's size, where it has one.
    fn begin_key(&mut self, named: Named) {
        let visitor = named.visitor;
        if self.visitors[visitor].size().is_some() {
            self.unsized_keys.push(named);
        } else {
            self.visit_key(named, 0, None);
        }
    }

    fn visit_key(&mut self, named: Named, size: u64, bytes: Option<u64>) {
        let mut piece = Piece::new(named.key, size, At::Start);
        piece.bytes = bytes;
        piece.table = named.visitor;
        piece.ttl = named.ttl;
        self.name_bytes += piece.key.len();
        self.work.ready.push_back(piece);
    }
}
