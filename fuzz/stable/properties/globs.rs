//! Globs against the slow and obvious way to match them.

use lakeflow_redis::options::Rule;
use lakeflow_redis::scan::{What, is_selected, selects};
use proptest::collection::vec;
use proptest::prelude::*;

/// A part of a pattern.
#[derive(Clone, Debug)]
enum Part {
    Star,
    Any,
    Byte(u8),
    Class {
        inverted: bool,
        ranges: Vec<(u8, u8)>,
    },
}

fn bytes() -> impl Strategy<Value = u8> {
    prop_oneof![8 => prop::sample::select(&b"abc"[..]), 1 => prop::sample::select(&b"*?[]^-\\"[..])]
}

fn parts() -> impl Strategy<Value = Part> {
    // `-` is in Redis no more than what stands between two bytes: as one of them it would be another range.
    let plain = || bytes().prop_filter("a range of its own", |byte| *byte != b'-');
    let range = prop_oneof![plain().prop_map(|one| (one, one)), (plain(), plain())];
    let class = (any::<bool>(), vec(range, 0..3));
    prop_oneof![
        Just(Part::Star),
        Just(Part::Any),
        bytes().prop_map(Part::Byte),
        class.prop_map(|(inverted, ranges)| Part::Class { inverted, ranges }),
    ]
}

fn write(parts: &[Part]) -> Vec<u8> {
    let mut pattern = Vec::new();
    let escaped = |byte: u8, to: &mut Vec<u8>| to.extend([b'\\', byte]);
    for part in parts {
        match part {
            Part::Star => pattern.push(b'*'),
            Part::Any => pattern.push(b'?'),
            Part::Byte(byte) if b"abc".contains(byte) => pattern.push(*byte),
            Part::Byte(byte) => escaped(*byte, &mut pattern),
            Part::Class { inverted, ranges } => {
                pattern.push(b'[');
                pattern.extend(inverted.then_some(b'^'));
                for (from, through) in ranges {
                    match from == through {
                        true => escaped(*from, &mut pattern),
                        false => pattern.extend([*from, b'-', *through]),
                    }
                }
                pattern.push(b']');
            }
        }
    }
    pattern
}

fn obviously(parts: &[Part], name: &[u8]) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        return name.is_empty();
    };
    let one = |matched: bool| matched && obviously(rest, &name[1..]);
    match (part, name.first()) {
        (Part::Star, _) => (0..=name.len()).any(|swallowed| obviously(rest, &name[swallowed..])),
        (_, None) => false,
        (Part::Any, Some(_)) => one(true),
        (Part::Byte(byte), Some(first)) => one(byte == first),
        (Part::Class { inverted, ranges }, Some(first)) => {
            let within = |(from, through): &(u8, u8)| {
                (*from.min(through)..=*from.max(through)).contains(first)
            };
            one(ranges.iter().any(within) != *inverted)
        }
    }
}

fn rule(pattern: &[u8]) -> Rule {
    Rule {
        pattern: Some(pattern.to_vec()),
        key_type: None,
    }
}

/// Whether a byte would mean something else where it begins or ends a range.
fn is_spelled_otherwise(parts: &[Part]) -> bool {
    parts.iter().any(|part| match part {
        Part::Class { ranges, .. } => ranges.iter().any(|(from, through)| {
            from != through && (b"\\]^".contains(from) || b"\\]".contains(through))
        }),
        _ => false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn patterns_match_what_they_obviously_do(parts in vec(parts(), 0..6), name in vec(bytes(), 1..7)) {
        prop_assume!(!is_spelled_otherwise(&parts));
        let pattern = write(&parts);
        let matched = is_selected(&[rule(&pattern)], &name, "set");
        prop_assert_eq!(matched, obviously(&parts, &name), "{}", pattern.escape_ascii());
    }

    #[test]
    fn a_pattern_that_is_a_name_matches_that_name_alone(pattern in vec(bytes(), 1..6), name in vec(bytes(), 1..6)) {
        let rules = [rule(&pattern)];
        if let What::Name(one) = &selects(&rules, None)[0].what {
            prop_assert!(is_selected(&rules, one, "set"));
            prop_assert_eq!(is_selected(&rules, &name, "set"), **one == *name);
        }
    }
}
