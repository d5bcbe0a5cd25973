//! The reply to CLUSTER NODES.
//!
//! A line for each node: `<id> <host>:<port>@<bus>,<name> <flags> <primary> <ping> <pong> <epoch>
//! <link> <slots> …`. Of itself a node also says what is moving: slots are `1`, `2-5`, `[6->-<id>]`
//! (leaving) or `[7-<-<id>]` (arriving).

use super::Role;
use super::slots::Holding;
use crate::options::Address;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnLine {
    pub id: String,
    pub role: Role,
    /// Of a replica.
    pub primary: Option<String>,
    pub epoch: u64,
    pub holding: Holding,
}

pub fn parse_own_line(text: &str) -> Option<OwnLine> {
    let words: Vec<&str> = text
        .lines()
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
        .find(|words| {
            let flags = words.get(2);
            flags.is_some_and(|flags| flags.split(',').any(|flag| flag == "myself"))
        })?;
    let [id, _, flags, primary, _, _, epoch, _, slots @ ..] = words.as_slice() else {
        return None;
    };
    let mut holding = Holding::default();
    for slots in slots {
        if let Some(open) = slots.strip_prefix('[').and_then(|s| s.strip_suffix(']')) {
            let (slot, rest) = open.split_once('-')?;
            let slot = slot.parse().ok()?;
            match (rest.strip_prefix(">-"), rest.strip_prefix("<-")) {
                (Some(to), _) => holding.leaving.insert(slot, to.to_owned()),
                (_, Some(from)) => holding.arriving.insert(slot, from.to_owned()),
                _ => return None,
            };
            continue;
        }
        let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
        holding
            .owned
            .insert(first.parse().ok()?..=last.parse().ok()?);
    }
    Some(OwnLine {
        id: (*id).to_owned(),
        role: match flags.split(',').any(|flag| flag == "master") {
            true => Role::Primary,
            false => Role::Replica,
        },
        primary: (*primary != "-").then(|| (*primary).to_owned()),
        epoch: epoch.parse().ok()?,
        holding,
    })
}

/// Where the node of this id is.
pub fn address_of(text: &str, id: &str) -> Option<Address> {
    let mut lines = text.lines().map(str::split_ascii_whitespace);
    let mut line = lines.find(|words| words.clone().next() == Some(id))?;
    let (address, _) = line.nth(1)?.split_once('@')?;
    let (host, port) = address.rsplit_once(':')?;
    (!host.is_empty()).then_some(Address::Tcp {
        host: host.to_owned(),
        port: port.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_says_what_it_has_and_what_is_moving() {
        let text = "aa 127.0.0.1:7001@17001,host master - 0 1 2 connected 5461-10922\n\
            bb 127.0.0.1:7000@17000 myself,master - 0 0 7 connected 0-5459 5460 [5->-aa] [9-<-aa]\n";
        let own = parse_own_line(text).unwrap();
        assert_eq!(
            (own.id.as_str(), own.role, own.epoch),
            ("bb", Role::Primary, 7)
        );
        assert_eq!(own.holding.owned.to_string(), "0-5460");
        assert_eq!(own.holding.leaving.into_keys().collect::<Vec<_>>(), [5]);
        assert_eq!(own.holding.arriving.into_keys().collect::<Vec<_>>(), [9]);
        assert_eq!(
            address_of(text, "aa").unwrap().to_string(),
            "127.0.0.1:7001"
        );
        assert_eq!(address_of(text, "cc"), None);
        let replica = "bb 127.0.0.1:7000@17000 myself,slave aa 0 0 2 connected\n";
        let own = parse_own_line(replica).unwrap();
        assert_eq!(
            (own.role, own.primary.as_deref()),
            (Role::Replica, Some("aa"))
        );
        for wrong in [
            "",
            "aa b master - 0 1 2 connected",
            "bb b myself,master - 0 0 x connected",
        ] {
            assert!(parse_own_line(wrong).is_none(), "{wrong}");
        }
    }
}
