//! Naming a node's keys: SCAN, one page after the other, and names that are given.

mod cursor_range;
mod gauge;
mod glob;
mod listing;
mod select;

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::resp::{Commands, Replies};
use crate::tables::Key;
use crate::topology::Slots;

use gauge::Gauge;

pub use cursor_range::CursorRange;
pub use listing::Listing;
pub use select::{Select, What, is_selected, selects, types_of};

/// Names in one page, at the most, besides ten for each that was asked for: more than COUNT come where
/// a table shrinks, and a page without an end would fill the memory.
const MOST_NAMES: u64 = 1_000_000;

/// A scan under way.
pub struct Scan {
    cursor: u64,
    /// Whether anything of it was asked for.
    begun: bool,
    done: bool,
    select: Select,
    /// Whether the server is to filter by the type that is wanted.
    by_type: bool,
    /// The part of the keyspace that it goes through; None for all.
    range: Option<CursorRange>,
    /// Whether the next page is cut where the range ends, which takes a transaction.
    cut: bool,
    /// Names that each page has at the least, if there are as many.
    count: u64,
    gauge: Gauge,
}

impl Scan {
    /// Of a server that has keys in these slots; None where it knows no slots.
    pub fn new(select: Select, by_type: bool, slots: Option<&Slots>) -> Self {
        Scan {
            cursor: 0,
            begun: false,
            done: false,
            select,
            by_type,
            range: None,
            cut: false,
            count: 1,
            gauge: Gauge::new(slots),
        }
    }

    /// The same through a part of the keyspace.
    pub fn narrow(&mut self, range: CursorRange) {
        self.cursor = range.begin();
        self.range = Some(range);
        self.gauge.narrow(range);
    }

    pub fn done(&self) -> bool {
        self.done
    }

    /// Which share of what it goes through is behind it; None where its cursors do not tell.
    pub fn share(&self) -> Option<f64> {
        self.gauge.share()
    }

    /// Whether nothing of it was asked for yet.
    pub fn is_new(&self) -> bool {
        !self.begun
    }

    pub fn select(&self) -> &Select {
        &self.select
    }

    /// Asks for the next page; gives the number of commands that this takes.
    pub fn ask(&mut self, count: u64, to: &mut Commands) -> usize {
        let before = to.count;
        self.begun = true;
        if !self.cut {
            self.count = count;
            self.scan_from(self.cursor, to);
            return to.count - before;
        }
        to.push(&[b"MULTI"]);
        // How large the table is at this moment, a cursor of it tells.
        to.push(&[b"SCAN", b"0", b"COUNT", b"1"]);
        self.scan_from(self.cursor, to);
        if let Some(end) = self.range.and_then(CursorRange::end) {
            self.scan_from(end, to);
        }
        to.push(&[b"SCAN", b"0", b"COUNT", b"1"]);
        to.push(&[b"EXEC"]);
        to.count - before
    }

    fn scan_from(&self, cursor: u64, to: &mut Commands) {
        let cursor = cursor.to_string();
        let count = self.count.to_string();
        let mut arguments: Vec<&[u8]> = vec![b"SCAN", cursor.as_bytes()];
        if let What::Pattern(Some(pattern)) = &self.select.what {
            arguments.extend([b"MATCH", pattern.as_slice()]);
        }
        arguments.extend([b"COUNT", count.as_bytes()]);
        if let Some(key_type) = self.select.key_type.filter(|_| self.by_type) {
            arguments.extend([b"TYPE", key_type.as_bytes()]);
        }
        to.push(&arguments);
    }

    /// Takes the page that was asked for; gives how many keys it named. Some may have been named
    /// before.
    pub fn page(&mut self, replies: &mut Replies<'_>, mut take: impl FnMut(&[u8])) -> Result<u64> {
        let Some(range) = self.range else {
            let (cursor, named) = page(replies, self.most_names(), |key| {
                if !self.select.is_covered(key) {
                    take(key);
                }
            })?;
            // Only now: a page that breaks off is to be asked for again.
            self.go_on(cursor);
            self.done = cursor == 0;
            return Ok(named);
        };
        let mut keys: Vec<Key> = Vec::new();
        let page = match self.cut {
            true => cut_page(range, replies, self.most_names(), &mut keys)?,
            false => Some(page(replies, self.most_names(), |key| {
                keys.push(key.into());
            })?),
        };
        let Some((cursor, named)) = page else {
            // It is asked for once more.
            return Ok(0);
        };
        if !CursorRange::in_order(self.cursor, cursor) {
            return Err(Error::Protocol(format!(
                "SCAN {} goes on with {cursor}, which is not how this connector knows servers to \
                 divide their keys; read with option `num_partitions` left out",
                self.cursor
            )));
        }
        if !self.cut && !range.goes_on(cursor) {
            // It may have names of the next range; so it is asked for again, with these at one moment.
            self.cut = true;
            return Ok(named);
        }
        for key in keys.iter().filter(|key| !self.select.is_covered(key)) {
            take(key);
        }
        self.cut = false;
        self.go_on(cursor);
        self.done = range.is_over(cursor);
        Ok(named)
    }

    fn most_names(&self) -> u64 {
        MOST_NAMES + 10 * self.count
    }

    fn go_on(&mut self, cursor: u64) {
        self.cursor = cursor;
        self.gauge.hear(cursor);
    }
}

/// One page of names; gives the cursor to go on with, and how many there were.
fn page(replies: &mut Replies<'_>, most: u64, mut take: impl FnMut(&[u8])) -> Result<(u64, u64)> {
    replies.array()?;
    let cursor = replies.cursor()?;
    let named = replies.array()?;
    if named as u64 > most {
        return Err(Error::Protocol(format!(
            "a page of SCAN is to have {named} names, where no server gives more than {most}"
        )));
    }
    for _ in 0..named {
        take(replies.bytes()?);
    }
    Ok((cursor, named as u64))
}

/// A page without the names that a page from the range's end on has at the same moment; None where
/// that one does not reach as far.
fn cut_page(
    range: CursorRange,
    replies: &mut Replies<'_>,
    most: u64,
    keys: &mut Vec<Key>,
) -> Result<Option<(u64, u64)>> {
    let scans = 3 + usize::from(range.end().is_some());
    for _ in 0..=scans {
        replies.bytes()?;
    }
    if replies.array()? != scans {
        return Err(Error::Protocol(
            "EXEC gives not as many replies as were asked".to_owned(),
        ));
    }
    let (size_before, _) = page(replies, most, |_| {})?;
    let (cursor, named) = page(replies, most, |key| keys.push(key.into()))?;
    let mut beyond: HashSet<Key> = HashSet::new();
    let mut reached = 0;
    if range.end().is_some() {
        (reached, _) = page(replies, most, |key| {
            beyond.insert(key.into());
        })?;
    }
    let (size_after, _) = page(replies, most, |_| {})?;
    if !range.is_fine(size_before) || !range.is_fine(size_after) {
        return Err(Error::TopologyChanged(
            "so few keys are left of those that were there when the read was divided that its parts \
             cannot be told apart any more; divide it again, which in Spark is to load the table again"
                .to_owned(),
        ));
    }
    keys.retain(|key| !beyond.contains(key));
    // It goes through as many keys or buckets, and begins later; but the table may be rebuilt meanwhile.
    let reaches = reached == cursor || CursorRange::in_order(cursor, reached);
    Ok((reaches || !range.is_over(cursor)).then_some((cursor, named)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Rule;
    use crate::resp::Decoder;

    #[test]
    fn pages_follow_the_cursor_to_its_end() {
        let rule = Rule {
            pattern: Some(b"a*".to_vec()),
            key_type: Some("hash"),
        };
        let mut scan = Scan::new(selects(&[rule], None).remove(0), true, None);
        let mut commands = Commands::default();
        assert!(scan.is_new());
        assert_eq!(scan.ask(10, &mut commands), 1);
        assert!(!scan.is_new());
        assert!(
            commands
                .bytes
                .starts_with(b"*8\r\n$4\r\nSCAN\r\n$1\r\n0\r\n$5\r\nMATCH\r\n")
        );

        let wire = b"*2\r\n$20\r\n18446744073709551615\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n\
            *2\r\n$1\r\n0\r\n*1\r\n$1\r\nc\r\n";
        let mut decoder = Decoder::new(wire.as_slice());
        let mut replies = Replies::new(&mut decoder, 2);
        let mut keys = Vec::new();
        let mut take = |key: &[u8]| keys.push(key.to_vec());
        assert_eq!(scan.page(&mut replies, &mut take).unwrap(), 2);
        assert!(!scan.done() && scan.cursor == u64::MAX);
        assert_eq!(scan.page(&mut replies, &mut take).unwrap(), 1);
        assert!(scan.done());
        assert_eq!(keys, [b"a", b"b", b"c"]);
    }

    /// A page as a server writes it.
    fn wire(cursor: u64, names: &str) -> String {
        let mut wire = format!("*2\r\n${}\r\n{cursor}\r\n", cursor.to_string().len());
        wire += &format!("*{}\r\n", names.len());
        for name in names.chars() {
            wire += &format!("$1\r\n{name}\r\n");
        }
        wire
    }

    fn scan_of(range: CursorRange) -> Scan {
        let rule = Rule {
            pattern: None,
            key_type: None,
        };
        let mut scan = Scan::new(selects(&[rule], None).remove(0), true, None);
        scan.narrow(range);
        scan
    }

    /// The names of a page.
    fn take(scan: &mut Scan, wire: &str) -> Result<String> {
        let mut decoder = Decoder::new(wire.as_bytes());
        let mut names = String::new();
        let mut commands = Commands::default();
        let asked = scan.ask(10, &mut commands);
        let mut replies = Replies::new(&mut decoder, asked);
        scan.page(&mut replies, |key| {
            names += &String::from_utf8_lossy(key);
        })?;
        replies.finish()?;
        Ok(names)
    }

    #[test]
    fn a_page_over_the_end_of_a_range_is_cut_there() {
        // From cursor 2 to cursor 1, of 64 grains.
        let mut scan = scan_of(CursorRange::divide(1 << 20, 4)[1]);
        assert_eq!(take(&mut scan, &wire(2 + 512, "ab")).unwrap(), "ab");
        assert_eq!(take(&mut scan, &wire(1 + 512, "bcd")).unwrap(), "");
        assert!(!scan.done());
        let cut = |beyond: &str, through: u64, fine: u64| {
            let pages = wire(1 + 512, "bcd") + &wire(through, beyond);
            let pages = wire(512, "x") + &pages + &wire(fine, "x");
            format!("+OK\r\n{}*4\r\n{pages}", "+QUEUED\r\n".repeat(4))
        };
        // The other page does not reach as far.
        assert_eq!(take(&mut scan, &cut("d", 1, 512)).unwrap(), "");
        assert!(!scan.done());
        assert_eq!(take(&mut scan, &cut("de", 1 + 256, 512)).unwrap(), "bc");
        assert!(scan.done());
        let mut shrunken = scan_of(CursorRange::divide(1 << 20, 4)[1]);
        assert_eq!(take(&mut shrunken, &wire(0, "b")).unwrap(), "");
        let error = take(&mut shrunken, &cut("de", 1 + 256, 32)).unwrap_err();
        assert!(error.is_topology(), "{error}");
    }

    #[test]
    fn cursors_of_another_kind_are_an_error() {
        let mut scan = scan_of(CursorRange::divide(1 << 20, 4)[1]);
        let error = take(&mut scan, &wire(4096, "ab")).unwrap_err();
        assert!(matches!(error, Error::Protocol(_)), "{error}");
    }

    #[test]
    fn a_page_without_an_end_is_an_error() {
        let mut scan = scan_of(CursorRange::divide(1 << 20, 4)[1]);
        let error = take(&mut scan, "*2\r\n$1\r\n0\r\n*9000000\r\n").unwrap_err();
        assert!(error.to_string().contains("9000000 names"), "{error}");
    }
}
