//! Flights of names: the next page of SCAN, and what is yet to be known of the last one's keys.

use super::{ENOUGH_FLIGHTS, ENOUGH_NAME_BYTES, Flight, Named, Typing, Visit, Wants, of_key};
use crate::error::{Error, Result};
use crate::resp::Commands;
use crate::tables::{At, Key, Piece, Size};

impl Visit<'_, '_> {
    pub(super) fn launch_names(&mut self) -> Result<()> {
        let mut commands = Commands::default();
        let mut scans = false;
        if let Some(scan) = &self.work.scan
            && !scan.done()
            && self.work.ready.len() < ENOUGH_FLIGHTS * self.pace.flight_pieces
            && self.name_bytes < ENOUGH_NAME_BYTES
        {
            scan.ask(self.pace.count(), &mut commands);
            scans = true;
        }
        let untyped = std::mem::take(&mut self.untyped);
        for key in &untyped {
            commands.push(&[b"TYPE", key]);
        }
        let mut unsized_keys = Vec::new();
        for named in std::mem::take(&mut self.unsized_keys) {
            let size = match self.visitors[named.visitor].size() {
                Some(Size::Memory { or }) if self.memory_refused => Size::Elements(or),
                Some(size) => size,
                None => continue,
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
        self.connection.send(&commands)?;
        self.flights.push_back(Flight::Names {
            scan: scans,
            untyped,
            unsized_keys,
        });
        Ok(())
    }

    /// The replies to SCAN, TYPE and sizes.
    pub(super) fn take_names(
        &mut self,
        scan: bool,
        untyped: &[Key],
        unsized_keys: &[(Named, Size)],
    ) -> Result<()> {
        if scan {
            self.take_page()?;
        }
        for key in untyped {
            let mut replies = self.connection.replies(1);
            let key_type = Key::from(replies.bytes().map_err(|error| of_key(error, key))?);
            self.route(key, &key_type, None);
        }
        for (named, size) in unsized_keys {
            self.take_size(named, *size)?;
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
            (Err(Error::PermissionDenied { .. } | Error::Refused { .. }), Size::Memory { .. }) => {
                self.memory_refused = true;
                self.unsized_keys.push(named.clone());
                Ok(())
            }
            (Err(error), _) => self.refused(error, &named.key, named.visitor),
        }
    }

    fn take_page(&mut self) -> Result<()> {
        let Some(scan) = &mut self.work.scan else {
            return Ok(());
        };
        let before = self.connection.consumed();
        let names = scan.page(&mut self.connection.replies(1))?;
        let bytes = self.connection.consumed() - before;
        self.pace
            .named(names.keys.len() as u64 + names.repeated, bytes);
        for (place, visitor) in self.visitors.iter().enumerate() {
            let counts = match self.work.typing {
                Typing::Told { by } => place == by,
                Typing::Filtered | Typing::Asked => visitor.wants() != Wants::Nothing,
            };
            if counts {
                visitor.receipt().duplicates_dropped.add(names.repeated);
            }
        }
        match self.work.typing {
            Typing::Asked => self.untyped = names.keys,
            Typing::Told { by } => {
                for key in names.keys {
                    self.name(key, by, None);
                }
            }
            Typing::Filtered => {
                for key in names.keys {
                    for visitor in 0..self.visitors.len() {
                        if self.visitors[visitor].wants() != Wants::Nothing {
                            self.name(key.clone(), visitor, None);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Gives a key to the visitors that want its type.
    pub(super) fn route(&mut self, key: &Key, key_type: &[u8], ttl: Option<i64>) {
        for visitor in 0..self.visitors.len() {
            if matches!(self.visitors[visitor].wants(), Wants::Type(wanted) if wanted.as_bytes() == key_type)
            {
                self.name(key.clone(), visitor, ttl);
            }
        }
    }

    /// A key that a visitor wants: its size is asked, where it has one.
    fn name(&mut self, key: Key, visitor: usize, ttl: Option<i64>) {
        self.visitors[visitor].receipt().keys_scanned.add(1);
        let named = Named { key, visitor, ttl };
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
