//! What names keys, and how far streams reach.

use std::collections::BTreeSet;

use lakeflow_redis::options::Rule;
use lakeflow_redis::plan::read_reach;
use lakeflow_redis::resp::{Commands, Decoder, Replies};
use lakeflow_redis::scan::{CursorRange, Listing, Scan, selects};
use lakeflow_redis::topology::Slots;

use super::input::{Chunks, Input};
use super::replies::check_text;

/// SCAN, through all keys or a part of them; the keys of slots; XINFO STREAM.
pub fn scans(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(3) {
        0 => scan(input),
        1 => listing(input),
        _ => {
            let read = read_reach(&mut Replies::new(&mut input.wire(), 2));
            match read {
                Ok(reach) => assert!(reach.each().is_none()),
                Err(error) => check_text(&error),
            }
        }
    }
}

fn scan(mut input: Input<'_>) {
    let rule = |pattern: &[u8]| Rule {
        pattern: Some(pattern.to_vec()),
        key_type: None,
    };
    let rules = [rule(b"a*"), rule(input.line())];
    let parts = CursorRange::divide(1 << 20, input.below(8) as u64);
    let part = input.one_of(&[0, 1, 2]);
    let mut few = Slots::default();
    few.insert(0..=5);
    let slots = [None, Some(Slots::all()), Some(few)][input.below(3)].clone();
    let mut decoder = input.wire();
    for select in selects(&rules, None) {
        let mut scan = Scan::new(select, true, slots.as_ref());
        if let Some(range) = parts.get(part) {
            scan.narrow(*range);
        }
        while !scan.done() {
            if let Err(error) = next_page(&mut scan, &mut decoder) {
                check_text(&error);
                return;
            }
            assert!(
                scan.share()
                    .is_none_or(|share| (0.0..=1.0).contains(&share))
            );
        }
    }
}

fn next_page(
    scan: &mut Scan,
    decoder: &mut Decoder<Chunks<'_>>,
) -> lakeflow_redis::error::Result<()> {
    let commands = scan.ask(10, &mut Commands::default());
    let mut replies = Replies::new(decoder, commands);
    let mut keys: Vec<Vec<u8>> = Vec::new();
    scan.page(&mut replies, |key| keys.push(key.to_vec()))?;
    replies.finish()?;
    assert!(!keys.iter().any(|key| scan.select().is_covered(key)));
    Ok(())
}

fn listing(mut input: Input<'_>) {
    let mut slots = Slots::default();
    slots.insert(0..=u16::from(input.byte()) * 2);
    let mut listing = Listing::new(&slots, BTreeSet::from([1]));
    let mut failures = 0;
    let mut decoder = input.wire();
    while !listing.done() && failures < 3 {
        let commands = listing.ask(&mut Commands::default());
        if let Err(error) = listing.page(Replies::new(&mut decoder, commands), |_| {}) {
            check_text(&error);
            listing.take_back();
            failures += 1;
        }
        assert!((0.0..=1.0).contains(&listing.share()));
    }
}
