//! The commands that a table sends, as ACL rules name them: for `acl`, which prints the rules that
//! suffice, and for `check`, which tries each.

use super::{Origin, Spec};

/// A command, mostly with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sends {
    /// As in an ACL rule: `hgetall`, `memory|usage`.
    pub command: &'static str,
    /// What stands behind the key in a call that does no harm.
    pub arguments: &'static [&'static str],
    pub without: Without,
}

/// What a table is for a user that may not send a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Unreadable,
    /// This column of it is null.
    Null(&'static str),
    /// It is the same but for this.
    But(&'static str),
}

pub const fn sends(command: &'static str, arguments: &'static [&'static str]) -> Sends {
    Sends {
        command,
        arguments,
        without: Without::Unreadable,
    }
}

impl Sends {
    pub const fn or(self, without: Without) -> Self {
        Sends { without, ..self }
    }

    /// The words of the command.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.command.split('|')
    }
}

/// Tells sizes beforehand, for tables that can ask for lengths instead.
pub const MEMORY_USAGE: Sends = sends("memory|usage", &[]).or(Without::But(
    "Without MEMORY USAGE, sizes are guessed from lengths, so that a key with a few huge elements may \
     be asked for in one piece.",
));

/// Names keys, and takes none.
pub const SCAN: Sends = sends("scan", &["0", "COUNT", "1"]);
pub const TYPE: Sends = sends("type", &[]);
/// For a table of one type, by which servers scan since Redis 6.0.
const TYPE_OF_SOME: Sends = sends("type", &[]).or(Without::But(
    "Without TYPE, the tables of keys are read one at a time, and by patterns that are no names, from \
     servers since Redis 6.0 in which no slot moves.",
));
pub const TTL: Sends = sends("ttl", &[]);

const UNWATCHED: Without = Without::But(
    "Without WATCH, UNWATCH, MULTI and EXEC, large keys are read in pages without knowing whether \
     they changed meanwhile, and are counted as `keys_inconsistent`.",
);

/// What tells whether a key changed while it was read in pages. The last two go together, and
/// name no key.
pub const WATCHING: &[Sends] = &[
    sends("watch", &[]).or(UNWATCHED),
    sends("unwatch", &[]).or(UNWATCHED),
    sends("multi", &[]).or(UNWATCHED),
    sends("exec", &[]).or(UNWATCHED),
];

/// Whether a command is sent with a key.
pub fn takes_key(command: &str) -> bool {
    let keyless = ["scan", "unwatch", "multi", "exec", "asking"];
    !keyless.contains(&command) && !command.starts_with("cluster|")
}

/// What is sent to read a table, which may have keys that are read in pages.
pub fn all_of(spec: &Spec, pages: bool) -> Vec<Sends> {
    let common: &[Sends] = match spec.origin {
        Origin::Keys { key_type: None, .. } => &[SCAN, TYPE, TTL],
        Origin::Keys { .. } | Origin::Entries => &[SCAN, TYPE_OF_SOME, TTL],
        Origin::Server => &[],
    };
    let watching = if pages { WATCHING } else { &[] };
    let mut all: Vec<Sends> = Vec::new();
    for sends in common.iter().chain(spec.sends).chain(watching) {
        if !all.contains(sends) {
            all.push(*sends);
        }
    }
    all
}
