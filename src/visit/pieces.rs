//! Flights of pieces: values of keys, as many as a flight may weigh.

use std::collections::VecDeque;

use super::{
    Bundle, FEW_ELEMENTS, FLIGHTS_OF_PIECES, Flight, GROWTH, MOST_ELEMENTS, Visit, of_key,
};
use crate::error::{Error, Result, show};
use crate::pace::Weight;
use crate::resp::Commands;
use crate::tables::{At, Outcome, Piece};

impl Visit<'_, '_> {
    /// Sends pieces where none are under way, or where there are enough for another flight.
    pub(super) fn launch_pieces(&mut self) -> Result<()> {
        let of_pieces = |flight: &&Flight| matches!(flight, Flight::Pieces { .. });
        while self.under_way == 0
            || self.work.ready.len() >= self.under_way.div_ceil(2)
                && self.flights.iter().filter(of_pieces).count() < FLIGHTS_OF_PIECES
        {
            let mut commands = self.connection.commands();
            let (bundles, pieces) = self.load_pieces(&mut commands)?;
            if pieces == 0 {
                break;
            }
            // First, so that what cannot be sent is known not to have been read.
            self.flights.push_back(Flight::Pieces { bundles, pieces });
            self.connection.send(&commands)?;
            if self.pace.rests() {
                break;
            }
        }
        Ok(())
    }

    /// Puts as many pieces into a flight as its share of bytes allows, but at least one. Until
    /// one was weighed, that one is alone under way.
    fn load_pieces(&mut self, commands: &mut Commands) -> Result<(VecDeque<Bundle>, usize)> {
        let mut loaded: Vec<Piece> = Vec::new();
        let mut bytes = 0;
        while loaded.len() < self.pace.flight_pieces
            && let Some(mut piece) = self.work.ready.pop_front()
        {
            let weight = self.weights[piece.table];
            // What cannot be weighed beforehand comes in flights that grow while they prove light.
            let guessed = piece.bytes.is_none() && piece.each.is_none();
            let first_of_all = self.under_way + loaded.len() == 0;
            if guessed && (loaded.len() >= self.most_pieces || !weight.known && !first_of_all) {
                self.work.ready.push_front(piece);
                break;
            }
            if piece.at == At::Start && !self.begin(&mut piece)? {
                continue;
            }
            if piece.at.is_page() {
                self.unload(&piece);
                self.large.push_back(piece);
                continue;
            }
            piece.most = weight_of(&piece, weight).elements_in(self.pace.flight_bytes);
            bytes += self.weigh(&piece) + piece.key.len() as u64;
            if bytes > self.pace.flight_bytes && !loaded.is_empty() {
                self.work.ready.push_front(piece);
                break;
            }
            self.unload(&piece);
            loaded.push(piece);
        }
        let count = loaded.len();
        self.under_way += count;
        let mut bundles = VecDeque::new();
        loaded.sort_by_key(|piece| piece.table);
        let mut loaded = loaded.into_iter().peekable();
        while let Some(first) = loaded.next() {
            let visitor = &self.visitors[first.table];
            let table = first.table;
            let most = match self.manner.one_slot || first.alone {
                true => 1,
                false => visitor.bundle(),
            };
            let mut pieces = vec![first];
            while pieces.len() < most
                && let Some(piece) = loaded.next_if(|piece| piece.table == table && !piece.alone)
            {
                pieces.push(piece);
            }
            let ttl = visitor.asks_ttl();
            if ttl {
                for piece in pieces.iter().filter(|piece| piece.ttl.is_none()) {
                    commands.push(&[b"TTL", &piece.key]);
                }
            }
            let before = commands.count;
            visitor.fetch(&pieces, commands);
            bundles.push_back(Bundle {
                pieces,
                ttl,
                commands: commands.count - before,
            });
        }
        Ok((bundles, count))
    }

    /// Decides where to begin a key; false where it is gone.
    fn begin(&mut self, piece: &mut Piece) -> Result<bool> {
        let visitor = &self.visitors[piece.table];
        let weight = self.weights[piece.table];
        let large = match piece.bytes {
            Some(bytes) => bytes > self.pace.flight_bytes.min(visitor.whole_bytes()),
            None if weight.known => {
                let fit = weight.elements_in(self.pace.flight_bytes);
                piece.size > fit.min(MOST_ELEMENTS)
            }
            None => piece.size > FEW_ELEMENTS,
        };
        match visitor.first(piece, large) {
            Some(at) => {
                piece.at = at;
                Ok(true)
            }
            None => {
                self.unload(piece);
                self.gone(&piece.key, piece.table)?;
                Ok(false)
            }
        }
    }

    /// The reply bytes that a piece is thought to take.
    fn weigh(&self, piece: &Piece) -> u64 {
        let elements = match piece.at {
            At::Entries { .. } => piece.page(piece.size),
            _ => piece.size.max(1),
        };
        let weight = weight_of(piece, self.weights[piece.table]);
        piece.bytes.unwrap_or_else(|| weight.of(elements))
    }

    fn unload(&mut self, piece: &Piece) {
        self.name_bytes = self.name_bytes.saturating_sub(piece.key.len());
    }

    pub(super) fn take_pieces(
        &mut self,
        mut bundles: VecDeque<Bundle>,
        pieces: usize,
    ) -> Result<()> {
        let at_first = self.connection.consumed();
        let full = pieces >= self.most_pieces;
        self.under_way -= pieces;
        while let Some(bundle) = bundles.pop_front() {
            if let Err(error) = self.take_bundle(bundle) {
                self.flights
                    .push_front(Flight::Pieces { bundles, pieces: 0 });
                return Err(error);
            }
        }
        // Sizes are guesses until replies are in: flights grow while they prove light.
        let flight_bytes = self.pace.flight_bytes;
        match self.connection.consumed() - at_first {
            heavy if heavy > flight_bytes => self.most_pieces = (self.most_pieces / 2).max(1),
            light if full && light < flight_bytes / 2 => {
                self.most_pieces = (self.most_pieces * GROWTH).min(self.pace.flight_pieces);
            }
            _ => {}
        }
        Ok(())
    }

    fn take_bundle(&mut self, bundle: Bundle) -> Result<()> {
        let Some(first) = bundle.pieces.first() else {
            return Ok(());
        };
        let (key, visitor) = (first.key.clone(), first.table);
        let count = bundle.pieces.len();
        self.at_work = Some(visitor);
        // What may yet have to be said of them, when they are gone into rows.
        let spare: Vec<Piece> = bundle.pieces.iter().map(Piece::again_alone).collect();
        self.visitors[visitor].hold()?;
        match self.take_replies(bundle, visitor) {
            Ok(outcome) => {
                self.visitors[visitor].release()?;
                self.take_outcome(outcome, visitor)?;
                self.work.steps += 1;
            }
            Err(error) => {
                let undone = self.visitors[visitor].undo()?;
                if !undone || !error.is_refusal() {
                    self.half_read |= !undone;
                    self.keep_at_hand(spare);
                    return Err(of_keys(error, &key, count));
                }
                self.take_refusal(error, spare, &key, visitor)?;
            }
        }
        self.at_work = None;
        Ok(())
    }

    fn take_replies(&mut self, mut bundle: Bundle, visitor: usize) -> Result<Outcome> {
        let before = self.connection.consumed();
        let elements = self.visitors[visitor].taken();
        let sized = bundle.pieces.iter().filter(|piece| piece.has_size());
        let unsized_pieces = bundle.pieces.len() - sized.count();
        let unknown = |piece: &&mut Piece| bundle.ttl && piece.ttl.is_none();
        let mut without_ttl: Vec<_> = bundle.pieces.iter_mut().filter(unknown).collect();
        let mut replies = self.connection.replies(without_ttl.len() + bundle.commands);
        let told = without_ttl.iter_mut().try_for_each(|piece| {
            piece.ttl = Some(replies.integer()?);
            Ok(())
        });
        let taken = told.and_then(|()| self.visitors[visitor].take(bundle.pieces, &mut replies));
        match taken {
            Err(error) if !error.is_refusal() => return Err(error),
            _ => replies.finish()?,
        }
        let bytes = self.connection.consumed() - before;
        self.visitors[visitor].receipt().bytes.add(bytes);
        // Where nobody knows how many elements a key has, each key is weighed as one.
        let elements = match unsized_pieces as u64 {
            0 => self.visitors[visitor].taken() - elements,
            keys => keys,
        };
        self.weights[visitor].add(bytes, elements.max(1));
        taken
    }

    fn take_outcome(&mut self, outcome: Outcome, visitor: usize) -> Result<()> {
        for key in &outcome.gone {
            self.gone(key, visitor)?;
        }
        for key in &outcome.empty {
            self.perhaps_moved(key, visitor);
        }
        // Before the others, so that a key is not left half-read for long.
        if let Some(mut piece) = outcome.more {
            piece.ttl = None;
            self.name_bytes += piece.key.len();
            self.work.ready.push_front(piece);
        }
        self.work
            .short
            .extend(outcome.short.map(|short| (short, visitor)));
        for facts in outcome.facts {
            self.route(&facts.key, &facts.key_type, facts.ttl, false);
        }
        Ok(())
    }

    /// Keeps pieces whose replies broke off for whoever goes on.
    fn keep_at_hand(&mut self, pieces: Vec<Piece>) {
        let wants = self.wants();
        for piece in pieces {
            self.at_hand.add(piece, &wants);
        }
    }

    /// Where keys were asked for together, each is asked for by itself: one of them is refused.
    fn take_refusal(
        &mut self,
        error: Error,
        spare: Vec<Piece>,
        key: &[u8],
        visitor: usize,
    ) -> Result<()> {
        if spare.len() < 2 {
            let left = self.refused(error, key, visitor);
            if left.is_err() {
                self.keep_at_hand(spare);
            }
            return left;
        }
        for piece in spare {
            self.name_bytes += piece.key.len();
            self.work.ready.push_front(piece);
        }
        Ok(())
    }
}

/// Names the key of an error or, where several were asked for at once, the first of them.
fn of_keys(error: Error, first: &[u8], count: usize) -> Error {
    match count {
        1 => of_key(error, first),
        _ => error.at(format!(
            "one of {count} keys, the first being {}",
            show(first)
        )),
    }
}

/// What an element of a piece weighs: as was found out of its key, or as others do.
fn weight_of(piece: &Piece, others: Weight) -> Weight {
    piece.each.map_or(others, Weight::new)
}
