//! How much to ask of a server at a time: enough that it is never idle, and so little that
//! neither its memory nor its other clients notice.

use std::time::Duration;

use crate::connection::Connection;
use crate::error::Result;
use crate::options::ReadOptions;

/// A flight's replies, where the server is near: some milliseconds of its time. Two flights
/// are under way, and `client-output-buffer-limit` is seldom below a few megabytes.
const NEAR_FLIGHT_BYTES: u64 = 1024 * 1024;
/// Where it is far, a flight is what arrives during a round trip over a fast network.
const BYTES_PER_MICROSECOND: u64 = 200;
/// Pieces in a flight: a thousand small ones take a server a few milliseconds.
const NEAR_PIECES: usize = 1_000;
/// Keys of a first page of SCAN, when nothing is known yet of how long their names are.
const FIRST_COUNT: u64 = 16;
/// … and how fast pages grow from there: each waits for the one before.
const COUNT_GROWTH: u64 = 16;
/// What a page of SCAN named is still in the processor's cache when its keys are read: pages of
/// 700 keys cost a server 3 to 12 % less than pages of a thousand, and 10 to 25 % less than pages
/// of two. Shorter ones cost no less, and leave it waiting more often.
const NEAR_COUNT: u64 = 700;
/// Where a page names few keys, there is little else for a server to do until the next one is
/// asked for: then pages are longer, and it waits less often.
const SPARSE_COUNT: u64 = 1_000;
/// One key in so many is few.
const SPARSE: u64 = 8;
/// Far away a page waits a whole round trip for the one before, and must hold work for as long:
/// so many keys for each microsecond …
const KEYS_PER_MICROSECOND: f64 = 1.5;
/// … and where there is little to do for them.
const SPARSE_KEYS_PER_MICROSECOND: f64 = 3.0;
/// But a page of so many takes a server more than ten milliseconds, which others must wait.
const FAR_COUNT: u64 = 16_000;
/// Steps through a key's hash table that take a server a millisecond.
const CURSOR_PAGE: u64 = 2_000;
/// Elements of a range, which are cheaper, but which must be found anew for each page.
const RANGE_PAGE: u64 = 5_000;

pub struct Pace {
    round_trip: u64,
    /// What `batch_size` says of SCAN's COUNT.
    given_count: Option<u64>,
    count: u64,
    /// What it grows to.
    full_count: u64,
    /// … where pages name few keys.
    sparse_count: u64,
    /// What the names in a page of SCAN weigh each, of late.
    name_bytes: u64,
    share: f64,
    /// Reply bytes that a flight may come to.
    pub flight_bytes: u64,
    /// Pieces that it may hold.
    pub flight_pieces: usize,
}

impl Pace {
    /// By the distance of the server, and what the options say.
    pub fn new(round_trip: Duration, read: &ReadOptions) -> Self {
        let round_trip = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        let far_bytes = round_trip.saturating_mul(BYTES_PER_MICROSECOND);
        let keys = |each: f64| (round_trip as f64 * each) as u64;
        let full_count = keys(KEYS_PER_MICROSECOND).clamp(NEAR_COUNT, FAR_COUNT);
        let sparse_count = keys(SPARSE_KEYS_PER_MICROSECOND).clamp(SPARSE_COUNT, FAR_COUNT);
        let far_pieces = usize::try_from(full_count).unwrap_or(usize::MAX);
        Pace {
            round_trip,
            given_count: read.batch_size,
            count: FIRST_COUNT,
            full_count,
            sparse_count,
            name_bytes: 1,
            share: read.server_share,
            // Two of pieces are under way, and one of names.
            flight_bytes: NEAR_FLIGHT_BYTES
                .max(far_bytes)
                .min(read.in_flight_bytes / 3),
            flight_pieces: NEAR_PIECES.max(far_pieces),
        }
    }

    /// SCAN's COUNT for the next page.
    pub fn count(&self) -> u64 {
        let fit = (self.flight_bytes / self.name_bytes).max(1);
        self.given_count.unwrap_or(self.count.min(fit))
    }

    /// Hears of a page of SCAN, and of the bytes that its names came to.
    pub fn named(&mut self, names: u64, bytes: u64) {
        let each = bytes.checked_div(names).unwrap_or_default();
        self.name_bytes = (self.name_bytes * 3 / 4).max(each).max(1);
        let sparse = names < self.count / SPARSE && self.count >= self.full_count;
        let full = if sparse {
            self.sparse_count
        } else {
            self.full_count
        };
        self.count = (self.count * COUNT_GROWTH).min(full);
    }

    /// Elements of a page by cursor.
    pub fn cursor_page(&self) -> u64 {
        self.round_trip.clamp(CURSOR_PAGE, 8 * CURSOR_PAGE)
    }

    /// Elements of a page by index.
    pub fn range_page(&self) -> u64 {
        self.round_trip.clamp(RANGE_PAGE, 8 * RANGE_PAGE)
    }

    /// Whether the server is to rest between flights.
    pub fn rests(&self) -> bool {
        self.share < 1.0
    }

    /// Lets the server rest after it was busy for us for so long. No flight takes it as long as that
    /// where it was not busy for others, or stood still.
    pub fn rest(&self, connection: &Connection, busy: Duration) -> Result<()> {
        if !self.rests() {
            return Ok(());
        }
        let busy = busy.min(MOST_BUSY);
        connection.pause(busy.mul_f64(1.0 / self.share - 1.0))
    }
}

/// The longest that a flight is thought to have kept a server busy.
const MOST_BUSY: Duration = Duration::from_millis(100);

/// What an element of a table weighs.
#[derive(Clone, Copy, Debug)]
pub struct Weight {
    element_bytes: u64,
    /// Whether any was weighed.
    pub known: bool,
}

/// What an element is thought to weigh before any was seen: more than most do.
const GUESSED_ELEMENT_BYTES: u64 = 1024;
/// A heavy element is forgotten over so many light ones.
const MEMORY: u64 = 16;

impl Default for Weight {
    fn default() -> Self {
        Weight {
            element_bytes: GUESSED_ELEMENT_BYTES,
            known: false,
        }
    }
}

impl Weight {
    /// Elements that are known to weigh so much.
    pub fn new(element_bytes: u64) -> Self {
        Weight {
            element_bytes: element_bytes.max(1),
            known: true,
        }
    }

    /// Believes in heavier elements at once, and in lighter ones by and by.
    pub fn add(&mut self, bytes: u64, elements: u64) {
        let Some(each) = bytes.checked_div(elements) else {
            return;
        };
        let lighter = (self.element_bytes * (MEMORY - 1) + each) / MEMORY;
        // What was only guessed is forgotten at once.
        let lighter = if self.known { lighter } else { each };
        self.element_bytes = lighter.max(each).max(1);
        self.known = true;
    }

    pub fn of(self, elements: u64) -> u64 {
        elements.saturating_mul(self.element_bytes)
    }

    /// How many elements so many bytes are, but at least one.
    pub fn elements_in(self, bytes: u64) -> u64 {
        (bytes / self.element_bytes).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    fn pace(round_trip: u64, given: &[(&str, &str)]) -> Pace {
        let options = Options::for_connector([("host", "a")]).unwrap();
        let read = options.for_read(given.iter().copied()).unwrap();
        Pace::new(Duration::from_micros(round_trip), &read.read().unwrap())
    }

    /// The count after some pages of names of so many bytes.
    fn settled(mut pace: Pace, name_bytes: u64) -> u64 {
        for _ in 0..10 {
            pace.named(pace.count(), pace.count() * name_bytes);
        }
        pace.count()
    }

    #[test]
    fn pages_are_short_near_by_and_long_far_away() {
        assert_eq!(pace(100, &[]).count(), FIRST_COUNT);
        assert_eq!(settled(pace(100, &[]), 20), NEAR_COUNT);
        assert_eq!(settled(pace(2_000, &[]), 20), 3_000);
        assert_eq!(settled(pace(20_000, &[]), 20), FAR_COUNT);
        assert_eq!(settled(pace(20_000, &[("batch_size", "7")]), 20), 7);
    }

    #[test]
    fn pages_that_name_little_are_longer() {
        let mut pace = pace(100, &[]);
        for _ in 0..10 {
            pace.named(pace.count() / 20, pace.count());
        }
        assert_eq!(pace.count(), SPARSE_COUNT);
        pace.named(pace.count(), pace.count() * 20);
        assert_eq!(pace.count(), NEAR_COUNT);
    }

    #[test]
    fn long_names_shorten_pages() {
        let long = 64 * 1024;
        assert_eq!(settled(pace(100, &[]), long), NEAR_FLIGHT_BYTES / long);
    }

    #[test]
    fn flights_keep_within_the_cap() {
        assert_eq!(pace(100, &[]).flight_bytes, NEAR_FLIGHT_BYTES);
        assert_eq!(pace(10_000, &[]).flight_bytes, 2_000_000);
        assert_eq!(pace(1_000_000, &[]).flight_bytes, 8 * 1024 * 1024 / 3);
        let capped = pace(100, &[("max_in_flight_bytes", "90000")]);
        assert_eq!(capped.flight_bytes, 30_000);
    }

    #[test]
    fn heavy_elements_are_believed_at_once() {
        let mut weight = Weight::default();
        assert!(!weight.known);
        weight.add(500, 10);
        assert_eq!(weight.of(2), 100);
        weight.add(1_000_000, 1);
        assert_eq!(weight.elements_in(2_500_000), 2);
        weight.add(50, 1);
        assert!(weight.of(1) > 900_000 && weight.of(1) < 1_000_000);
    }
}
