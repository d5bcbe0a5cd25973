//! Rules as scans and lookups, such that no key is named by two of them.

use std::collections::HashSet;
use std::sync::Arc;

use super::glob::{is_ambiguous, literal, matches};
use crate::options::Rule;
use crate::tables::Key;

/// A scan or a lookup: what names keys by a rule.
#[derive(Clone, Debug)]
pub struct Select {
    pub what: What,
    /// Only keys of this type are wanted.
    pub key_type: Option<&'static str>,
    /// Names that match one of these, or are among them, are named by another already.
    covered: Arc<Covered>,
}

#[derive(Debug, Default)]
struct Covered {
    patterns: Vec<Vec<u8>>,
    names: HashSet<Key>,
}

impl Covered {
    fn has(&self, name: &[u8]) -> bool {
        self.names.contains(name) || self.patterns.iter().any(|pattern| matches(pattern, name))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Keys that match; None for all.
    Pattern(Option<Vec<u8>>),
    /// One key by its name.
    Name(Key),
}

impl Select {
    /// Whether another one names this key.
    pub fn is_covered(&self, name: &[u8]) -> bool {
        self.covered.has(name)
    }

    /// Its pattern, where servers differ in what that matches.
    pub fn ambiguous(&self) -> Option<&[u8]> {
        match &self.what {
            What::Pattern(Some(pattern)) if is_ambiguous(pattern) => Some(pattern),
            What::Pattern(_) | What::Name(_) => None,
        }
    }

    fn matches(&self, name: &[u8]) -> bool {
        match &self.what {
            What::Pattern(None) => true,
            What::Pattern(Some(pattern)) => matches(pattern, name),
            What::Name(one) => **one == *name,
        }
    }
}

/// What names the keys of a database's rules, of those types that are wanted (None: of all).
///
/// Those that want any type come first, so that of two which name the same key the earlier one
/// wants every type or the same one as the later. The later one leaves the key out, by its name.
pub fn selects(rules: &[Rule], types: Option<&[&'static str]>) -> Vec<Select> {
    let mut selects: Vec<Select> = Vec::new();
    for rule in rules {
        let wanted = |one| types.is_none_or(|types| types.contains(&one));
        let key_type = match (rule.key_type, types) {
            (Some(one), _) if !wanted(one) => continue,
            (None, Some([one])) => Some(*one),
            (one, _) => one,
        };
        let name = rule.pattern.as_deref().and_then(literal);
        selects.push(Select {
            what: match name {
                Some(name) => What::Name(name.into()),
                None => What::Pattern(rule.pattern.clone()),
            },
            key_type,
            covered: Arc::default(),
        });
    }
    // Lookups last, since most of them are dropped where a scan has the same key.
    selects.sort_by_key(|select| {
        let lookup = matches!(select.what, What::Name(_));
        (select.key_type, lookup)
    });
    let mut kept: Vec<Select> = Vec::new();
    // What those that want any type name, and those that want the type at hand.
    let mut of_any = Covered::default();
    let mut of_type = Covered::default();
    let mut current = None;
    for mut select in selects {
        if select.key_type != current {
            current = select.key_type;
            of_type = Covered::default();
        }
        let covered = match &select.what {
            What::Name(name) => of_any.has(name) || of_type.has(name),
            What::Pattern(_) => [&of_any, &of_type]
                .iter()
                .any(|covered| covered.patterns.iter().any(|pattern| pattern == b"*")),
        };
        if covered {
            continue;
        }
        let here = if current.is_none() {
            &mut of_any
        } else {
            &mut of_type
        };
        match select.what.clone() {
            What::Name(name) => {
                here.names.insert(name);
            }
            What::Pattern(pattern) => {
                let pattern = pattern.unwrap_or(b"*".to_vec());
                let mut all = Covered {
                    patterns: of_any.patterns.clone(),
                    names: of_any.names.clone(),
                };
                all.patterns.extend(of_type.patterns.iter().cloned());
                select.covered = Arc::new(all);
                let here = if current.is_none() {
                    &mut of_any
                } else {
                    &mut of_type
                };
                // Keys that two such patterns name are told apart by what was seen.
                if !is_ambiguous(&pattern) {
                    here.patterns.push(pattern);
                }
            }
        }
        kept.push(select);
    }
    kept
}

/// Whether one of a database's rules is of a key of this name and type.
pub fn is_selected(rules: &[Rule], name: &[u8], key_type: &str) -> bool {
    rules.iter().any(|rule| {
        let pattern = rule.pattern.as_deref();
        rule.key_type.is_none_or(|one| one == key_type)
            && pattern.is_none_or(|pattern| matches(pattern, name))
    })
}

/// The types of which a key of this name is wanted, by selects that do not cover each other.
pub fn types_of(selects: &[Select], name: &[u8]) -> Vec<Option<&'static str>> {
    let naming = selects
        .iter()
        .filter(|select| select.matches(name) && !select.is_covered(name));
    naming.map(|select| select.key_type).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str, key_type: Option<&'static str>) -> Rule {
        Rule {
            pattern: (pattern != "*").then(|| pattern.as_bytes().to_vec()),
            key_type,
        }
    }

    fn shown(rules: &[Rule], types: Option<&[&'static str]>) -> Vec<String> {
        let selects = selects(rules, types);
        let shown = selects.iter().map(|select| {
            let what = match &select.what {
                What::Pattern(None) => "scan *".to_owned(),
                What::Pattern(Some(pattern)) => format!("scan {}", pattern.escape_ascii()),
                What::Name(name) => format!("name {}", name.escape_ascii()),
            };
            format!("{what} {}", select.key_type.unwrap_or("any"))
        });
        shown.collect()
    }

    #[test]
    fn rules_become_scans_and_lookups() {
        let rules = [rule("a*", None), rule("b", None), rule("c", Some("set"))];
        assert_eq!(
            shown(&rules, None),
            ["scan a* any", "name b any", "name c set"]
        );
        let of_sets = ["scan a* set", "name b set", "name c set"];
        assert_eq!(shown(&rules, Some(&["set"])), of_sets);
        assert_eq!(
            shown(&rules, Some(&["hash"])),
            ["scan a* hash", "name b hash"]
        );
        let of_both = ["scan a* any", "name b any", "name c set"];
        assert_eq!(shown(&rules, Some(&["hash", "set"])), of_both);
    }

    #[test]
    fn what_another_names_is_left_out() {
        let rules = [rule("ab", Some("set")), rule("a*", None), rule("a", None)];
        assert_eq!(shown(&rules, None), ["scan a* any"]);
        let rules = [rule("a*", Some("set")), rule("*", None)];
        assert_eq!(shown(&rules, None), ["scan * any"]);
        let rules = [
            rule("a*", Some("set")),
            rule("*b", None),
            rule("a*", Some("list")),
        ];
        let selects = selects(&rules, None);
        assert_eq!(selects.len(), 3);
        for name in ["a", "ab", "b", "c"] {
            let expected: &[_] = match name {
                "a" => &[Some("list"), Some("set")],
                "ab" | "b" => &[None],
                _ => &[],
            };
            assert_eq!(types_of(&selects, name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn a_name_with_globs_in_it_covers_only_itself() {
        let rules = [rule(r"a\*", None), rule("a*", Some("set"))];
        let selects = selects(&rules, None);
        assert!(selects[1].is_covered(b"a*") && !selects[1].is_covered(b"ab"));
    }
}
