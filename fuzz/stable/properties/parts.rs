//! A keyspace that is divided is read once, and all of it, by a server that goes through its table as
//! Redis does, and resizes it meanwhile.

use std::collections::HashMap;

use lakeflow_redis::options::Rule;
use lakeflow_redis::resp::{Commands, Decoder, Replies, Token, Tokens as _};
use lakeflow_redis::scan::{CursorRange, Scan, selects};
use proptest::collection::vec;
use proptest::prelude::*;

/// A hash table of 2ⁿ buckets, by the low bits of each key's hash.
struct Server {
    keys: Vec<u64>,
    bits: u32,
}

impl Server {
    /// `SCAN cursor COUNT count`: whole buckets, until there are enough names.
    fn scan(&self, mut cursor: u64, count: usize, to: &mut Vec<u8>) {
        let mask = (1u64 << self.bits) - 1;
        let mut found = Vec::new();
        for visited in 0.. {
            let here = self
                .keys
                .iter()
                .filter(|hash| **hash & mask == cursor & mask);
            found.extend(here.map(ToString::to_string));
            // As in `dictScan`: one more, in reversed bits.
            cursor = (cursor | !mask)
                .reverse_bits()
                .wrapping_add(1)
                .reverse_bits();
            if cursor == 0 || found.len() >= count || visited >= 10 * count {
                break;
            }
        }
        let cursor = cursor.to_string();
        to.extend(
            format!(
                "*2\r\n${}\r\n{cursor}\r\n*{}\r\n",
                cursor.len(),
                found.len()
            )
            .bytes(),
        );
        for name in found {
            to.extend(format!("${}\r\n{name}\r\n", name.len()).bytes());
        }
    }

    /// The replies to commands, of which those in a transaction come at its end.
    fn answer(&self, commands: &Commands) -> Vec<u8> {
        let mut decoder = Decoder::new(commands.bytes.as_slice());
        let (mut wire, mut queued) = (Vec::new(), None::<(usize, Vec<u8>)>);
        for _ in 0..commands.count {
            let words = words(&mut decoder);
            match (words[0].as_str(), &mut queued) {
                ("MULTI", _) => {
                    queued = Some((0, Vec::new()));
                    wire.extend(b"+OK\r\n");
                }
                ("EXEC", Some((replies, all))) => {
                    wire.extend(format!("*{replies}\r\n").bytes());
                    wire.append(all);
                }
                (_, transaction) => {
                    let count = words.iter().position(|word| word == "COUNT").unwrap();
                    let (cursor, count) =
                        (words[1].parse().unwrap(), words[count + 1].parse().unwrap());
                    match transaction {
                        Some((replies, all)) => {
                            *replies += 1;
                            self.scan(cursor, count, all);
                            wire.extend(b"+QUEUED\r\n");
                        }
                        None => self.scan(cursor, count, &mut wire),
                    }
                }
            }
        }
        wire
    }
}

fn words(decoder: &mut Decoder<&[u8]>) -> Vec<String> {
    let Token::Array(words) = decoder.token().unwrap() else {
        panic!("a command is an array");
    };
    let mut word = || match decoder.token().unwrap() {
        Token::Bulk(word) => String::from_utf8(word.to_vec()).unwrap(),
        other => panic!("{other:?} in a command"),
    };
    (0..words).map(|_| word()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn parts_cover_all_and_nothing_twice(keys in 0..u64::MAX, parts in 0..2000u64) {
        let ranges = CursorRange::divide(keys, parts);
        prop_assert!(ranges.len() as u64 <= parts && ranges.len() != 1);
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
            return Ok(());
        };
        prop_assert!(first.is_first() && first.begin() == 0 && last.end().is_none());
        for two in ranges.windows(2) {
            prop_assert!(two[0].is_valid() && !two[1].is_first());
            prop_assert_eq!(two[0].end(), Some(two[1].begin()));
            prop_assert!(CursorRange::in_order(two[0].begin(), two[1].begin()));
        }
    }

    #[test]
    fn cursors_are_in_one_order(a in any::<u64>(), b in any::<u64>(), c in any::<u64>()) {
        // The end of a scan, 0, comes after all.
        prop_assume!(a != 0 && b != 0 && c != 0);
        prop_assert_eq!(CursorRange::in_order(a, b), a != b && !CursorRange::in_order(b, a));
        if CursorRange::in_order(a, b) && CursorRange::in_order(b, c) {
            prop_assert!(CursorRange::in_order(a, c));
        }
        prop_assert!(CursorRange::in_order(a, 0));
    }

    #[test]
    fn divided_scans_name_every_key_in_one_part(
        keys in vec(any::<u64>(), 0..120),
        parts in 2..5u64,
        sizes in vec(10..13u32, 1..6),
        counts in vec(1..40u64, 1..4),
    ) {
        let mut server = Server { keys, bits: sizes[0] };
        let (mut sizes, mut counts) = (sizes.iter().cycle(), counts.iter().cycle());
        let mut named: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        // As if it had so many: it is the table that must not be too small.
        let ranges = CursorRange::divide(128 * 1024, parts);
        prop_assert_eq!(ranges.len() as u64, parts);
        let all = [Rule { pattern: None, key_type: None }];
        for (part, range) in ranges.iter().enumerate() {
            let mut scan = Scan::new(selects(&all, None).remove(0), false, None);
            scan.narrow(*range);
            while !scan.done() {
                server.bits = *sizes.next().unwrap();
                let mut commands = Commands::default();
                scan.ask(*counts.next().unwrap(), &mut commands);
                let wire = server.answer(&commands);
                let mut decoder = Decoder::new(wire.as_slice());
                let mut replies = Replies::new(&mut decoder, commands.count);
                scan.page(&mut replies, |key| named.entry(key.to_vec()).or_default().push(part)).unwrap();
                replies.finish().unwrap();
            }
        }
        let expected: std::collections::HashSet<_> =
            server.keys.iter().map(|hash| hash.to_string().into_bytes()).collect();
        prop_assert_eq!(&named.keys().cloned().collect::<std::collections::HashSet<_>>(), &expected);
        // Within a part a key may come again where the table shrank, as with any scan.
        prop_assert!(named.values().all(|parts| parts.iter().all(|part| *part == parts[0])));
    }
}
