//! Patterns as SCAN's MATCH understands them (`stringmatchlen` in Redis' `util.c`).

/// Whether a name matches a pattern: `*`, `?`, `[abc]`, `[^a-z]`, and `\` before what is meant as
/// it stands.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.is_empty() {
        // Since 6.0 no other pattern matches it, not even `**`.
        return pattern.is_empty() || pattern == b"*";
    }
    let (mut p, mut n) = (0, 0);
    // Behind the last `*`, and where what it has swallowed ends.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, n));
            continue;
        }
        match name.get(n) {
            None if p == pattern.len() => return true,
            // Swallowing more leaves even less of the name.
            None => return false,
            Some(byte) => {
                if let Some(after) = step(pattern, p, *byte) {
                    (p, n) = (after, n + 1);
                    continue;
                }
            }
        }
        let Some((behind, swallowed)) = star else {
            return false;
        };
        star = Some((behind, swallowed + 1));
        (p, n) = (behind, swallowed + 1);
    }
}

/// Where the pattern goes on if what stands at `p`, no `*`, matches the byte.
fn step(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    let matched = match pattern.get(p)? {
        b'?' => true,
        b'[' => return class(pattern, p + 1, byte),
        b'\\' if p + 1 < pattern.len() => return (pattern[p + 1] == byte).then_some(p + 2),
        other => *other == byte,
    };
    matched.then_some(p + 1)
}

/// As `step`, behind a `[`. One that is not closed reaches to the pattern's end.
fn class(pattern: &[u8], mut p: usize, byte: u8) -> Option<usize> {
    let inverted = pattern.get(p) == Some(&b'^');
    p += usize::from(inverted);
    let mut matched = false;
    loop {
        match pattern[p.min(pattern.len())..] {
            [] => break,
            [b'\\', escaped, ..] => {
                matched |= escaped == byte;
                p += 2;
            }
            [b']', ..] => {
                p += 1;
                break;
            }
            [from, b'-', through, ..] => {
                let (low, high) = (from.min(through), from.max(through));
                matched |= (low..=high).contains(&byte);
                p += 3;
            }
            [one, ..] => {
                matched |= one == byte;
                p += 1;
            }
        }
    }
    (matched != inverted).then_some(p)
}

/// Whether it depends on the server's machine what a pattern matches: ranges compare bytes as C's
/// `char`, of which only those of ASCII are the same everywhere.
pub fn is_ambiguous(pattern: &[u8]) -> bool {
    pattern.contains(&b'[') && !pattern.is_ascii()
}

/// The one name that a pattern matches, where it is a name and no glob.
pub fn literal(pattern: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(pattern.len());
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' => return None,
            // The last byte of a pattern escapes nothing.
            b'\\' => name.push(*bytes.next().unwrap_or(byte)),
            other => name.push(*other),
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_redis() {
        for (pattern, yes, no) in [
            ("*", &["", "a", "abc"][..], &[][..]),
            ("a*", &["a", "ab", "a*"], &["", "ba"]),
            ("*a*b", &["ab", "xaxb", "aabab"], &["a", "abc", "ba"]),
            ("a?c", &["abc", "a?c"], &["ac", "abbc"]),
            (
                "test[123]",
                &["test1", "test3"],
                &["test4", "test", "test11"],
            ),
            ("test[^123]", &["test4", "test^"], &["test1", "test"]),
            ("[a-c]x", &["ax", "cx"], &["dx", "-x"]),
            ("[c-a]x", &["bx"], &["dx"]),
            (r"[\]a]", &["]", "a"], &["b", r"\"]),
            ("[a", &["a"], &["b", "[a"]),
            ("[a-", &["a", "-"], &["b"]),
            (r"a\*", &["a*"], &["ab", r"a\*"]),
            (r"a\", &[r"a\"], &["a"]),
            ("", &[""], &["a"]),
            ("é*", &["é:1"], &["e"]),
            ("***b", &["b", "ab"], &["a"]),
        ] {
            for name in yes {
                assert!(
                    matches(pattern.as_bytes(), name.as_bytes()),
                    "{pattern} {name}"
                );
            }
            for name in no {
                assert!(
                    !matches(pattern.as_bytes(), name.as_bytes()),
                    "{pattern} {name}"
                );
            }
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "a*".repeat(50) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(10_000).as_bytes()));
    }

    #[test]
    fn a_pattern_without_a_glob_is_a_name() {
        assert_eq!(literal(b"alpha"), Some(b"alpha".to_vec()));
        assert_eq!(literal(br"a\*\\"), Some(br"a*\".to_vec()));
        assert_eq!(literal(b"a\\"), Some(b"a\\".to_vec()));
        for glob in ["a*", "a?", "[a]"] {
            assert_eq!(literal(glob.as_bytes()), None);
        }
    }
}
