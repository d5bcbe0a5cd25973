//! What a user must be allowed: the ACL rules that just suffice, and which of them a user lacks.

use crate::connection::Connection;
use crate::error::{Denied, Error, Result};
use crate::options::{Mode, ReadFrom};
use crate::tables::{Origin, Sends, Table, sends, takes_key};

/// What is to be allowed, and where.
pub struct Grant<'a> {
    pub tables: &'a [&'static dyn Table],
    pub patterns: &'a [String],
    /// The version of Redis whose rules are to be written.
    pub redis_version: (u32, u32),
    pub mode: Mode,
    pub read_from: ReadFrom,
    /// Whether databases other than 0 are read.
    pub selects: bool,
}

/// The rules for ACL SETUSER: all that a read may send, and nothing else.
pub fn acl_rules(grant: &Grant<'_>) -> Vec<String> {
    let mut rules = vec!["on".to_owned(), "resetkeys".to_owned()];
    if grant.redis_version >= (6, 2) {
        rules.push("resetchannels".to_owned());
    }
    if grant.redis_version >= (7, 0) {
        rules.push("clearselectors".to_owned());
    }
    rules.push("-@all".to_owned());
    let reads_keys = |table: &&'static dyn Table| !matches!(table.spec().origin, Origin::Server);
    if grant.tables.iter().any(reads_keys) {
        let read_only = match grant.redis_version >= (7, 0) {
            true => "%R",
            false => "",
        };
        // Redis 6 takes no further pattern after one that covers all.
        let all = grant.patterns.iter().find(|pattern| *pattern == "*");
        let patterns = match all {
            Some(all) => std::slice::from_ref(all),
            None => grant.patterns,
        };
        let patterns = patterns.iter();
        rules.extend(patterns.map(|pattern| format!("{read_only}~{pattern}")));
    }
    rules.extend(commands(grant).iter().map(|command| format!("+{command}")));
    rules
}

/// What a cluster is sent only while slots move, or where they have moved meanwhile.
pub const WHERE_SLOTS_MOVE: &[Sends] = &[
    sends("cluster|countkeysinslot", &["0"]),
    sends("cluster|getkeysinslot", &["0", "1"]),
    sends("asking", &[]),
    sends("multi", &[]),
    sends("exec", &[]),
];

/// The commands that a read may send, as ACL rules name them.
pub fn commands(grant: &Grant<'_>) -> Vec<&'static str> {
    let mut commands = vec!["ping", "info", "client|setname"];
    if grant.redis_version >= (7, 2) {
        commands.push("client|no-touch");
    }
    if grant.selects {
        commands.push("select");
    }
    if grant.mode == Mode::Cluster {
        commands.extend(["cluster|slots", "cluster|nodes"]);
        commands.extend(WHERE_SLOTS_MOVE.iter().map(|sends| sends.command));
        if grant.read_from == ReadFrom::Replica {
            commands.push("readonly");
        }
    }
    let of_tables = grant.tables.iter().flat_map(|table| table.sends());
    for sends in of_tables {
        if !commands.contains(&sends.command) {
            commands.push(sends.command);
        }
    }
    commands
}

/// The rules for ACL SETUSER at a Sentinel, which knows no keys: all that it is asked, and nothing
/// else.
pub fn sentinel_acl_rules() -> Vec<String> {
    let rules = [
        "on",
        "resetkeys",
        "resetchannels",
        "-@all",
        "+ping",
        "+client|setname",
        "+sentinel|get-master-addr-by-name",
        "+sentinel|slaves",
    ];
    rules.map(str::to_owned).to_vec()
}

/// A key that is none: a command on it does no harm, and says whether it may be sent.
const PROBE: &str = "lakeflow-redis:no-such-key";

/// What of all this a user may not send, tried over a connection that is of no other use
/// afterwards. Keys that the user may not read cannot be found out.
pub fn refused(connection: &mut Connection, sends: &[Sends]) -> Result<Vec<Sends>> {
    let mut refused = Vec::new();
    for one in sends {
        let mut words: Vec<&str> = one.words().collect();
        if takes_key(one.command) {
            words.push(PROBE);
        }
        words.extend(one.arguments);
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        let answer: Result<redis::Value> = connection.query(&command);
        match answer {
            Err(Error::PermissionDenied {
                denied: Denied::Command,
                ..
            }) => refused.push(*one),
            // EXEC says it in its own way.
            Err(Error::Refused { code, message })
                if is_unknown(&code, &message) || code == "EXECABORT" =>
            {
                refused.push(*one);
            }
            // The key is not there, is another node's, or may not be read: it was not the command.
            Err(error) if !error.is_refusal() => return Err(error),
            _ => {}
        }
    }
    Ok(refused)
}

/// A command that was renamed, or that a hosted server does not have.
fn is_unknown(code: &str, message: &str) -> bool {
    code == "ERR" && message.to_ascii_lowercase().starts_with("unknown ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::table;

    fn rules(names: &[&str], redis_version: (u32, u32), mode: Mode) -> String {
        let tables: Vec<_> = names.iter().map(|name| table(name).unwrap()).collect();
        let grant = Grant {
            tables: &tables,
            patterns: &["app:*".to_owned()],
            redis_version,
            mode,
            read_from: ReadFrom::Primary,
            selects: false,
        };
        acl_rules(&grant).join(" ")
    }

    #[test]
    fn rules_are_of_the_tables_and_of_the_version() {
        assert_eq!(
            rules(&["server_info"], (7, 0), Mode::Standalone),
            "on resetkeys resetchannels clearselectors -@all +ping +info +client|setname"
        );
        let streams = rules(&["streams"], (7, 2), Mode::Standalone);
        assert!(streams.contains("%R~app:*") && streams.contains("+client|no-touch"));
        assert!(!streams.contains("watch") && !streams.contains("hgetall"));
        let old = rules(&["hashes", "streams"], (6, 0), Mode::Cluster);
        assert!(old.contains(" ~app:* ") && !old.contains("resetchannels"));
        assert!(old.contains("+cluster|slots") && old.contains("+asking"));
        assert_eq!(old.matches("+ttl").count(), 1);
    }
}
