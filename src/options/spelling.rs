//! How values are spelled.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

use super::{Address, Databases};

/// SELECT takes no more.
pub const MAX_DATABASE: u32 = i32::MAX as u32;

pub fn parse_seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    (0.0..1e9)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

pub fn parse_share(text: &str) -> Option<f64> {
    let share: f64 = text.parse().ok()?;
    (0.001..=1.0).contains(&share).then_some(share)
}

pub fn parse_list(text: &str) -> Option<Vec<String>> {
    let names: Vec<String> = match text.trim_start() {
        json if json.starts_with('[') => serde_json::from_str(json).ok()?,
        names => names
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect(),
    };
    let different: HashSet<_> = names.iter().collect();
    let all_differ = different.len() == names.len() && !names.is_empty();
    // Between commas, nothing is a slip; as JSON it is a name.
    let slip = !text.trim_start().starts_with('[') && names.contains(&String::new());
    (all_differ && !slip).then_some(names)
}

/// Servers between commas; one that names no port has the given one.
pub fn parse_nodes(text: &str, port: u16) -> Option<Vec<Address>> {
    let nodes: Option<Vec<_>> = text
        .split(',')
        .map(|one| parse_node(one.trim(), port))
        .collect();
    nodes.filter(|nodes| (1..nodes.len()).all(|n| !nodes[..n].contains(&nodes[n])))
}

/// `host`, `host:port`, an IPv6 address, or one in brackets with a port behind it.
fn parse_node(text: &str, default: u16) -> Option<Address> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (
                host,
                if port.is_empty() {
                    None
                } else {
                    Some(port.strip_prefix(':')?)
                },
            )
        }
        None if text.matches(':').count() > 1 => (text, None),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Some(default), |port| {
        port.parse().ok().filter(|port| *port > 0)
    })?;
    let strange = |c: char| c.is_whitespace() || matches!(c, '/' | '@');
    (!host.is_empty() && !host.contains(strange)).then(|| Address::Tcp {
        host: host.to_owned(),
        port,
    })
}

/// Milliseconds since 1970, or ISO 8601: a day, or a day and a time, in UTC unless it says otherwise.
pub fn parse_timestamp(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let moment = DateTime::parse_from_rfc3339(text)
        .map(|moment| moment.naive_utc())
        .or_else(|_| text.parse::<NaiveDateTime>())
        .or_else(|_| {
            text.parse::<NaiveDate>()
                .map(|day| day.and_time(NaiveTime::MIN))
        });
    u64::try_from(moment.ok()?.and_utc().timestamp_millis()).ok()
}

/// `*`, or numbers between commas, each once.
pub fn parse_databases(text: &str) -> Option<Databases> {
    if text == "*" {
        return Some(Databases::All);
    }
    let number = |one: &str| {
        let one = one.trim();
        let digits = one.bytes().all(|byte| byte.is_ascii_digit());
        one.parse().ok().filter(|db| digits && *db <= MAX_DATABASE)
    };
    let mut numbers = text.split(',').map(number).collect::<Option<Vec<u32>>>()?;
    let given = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    (numbers.len() == given).then_some(Databases::These(numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_hosts_with_or_without_ports() {
        let shown = |text| {
            let nodes = parse_nodes(text, 6379)?;
            let nodes = nodes.iter().map(ToString::to_string);
            Some(nodes.collect::<Vec<_>>().join(" "))
        };
        let shown = |text| shown(text).unwrap_or_default();
        assert_eq!(shown("a"), "a:6379");
        assert_eq!(shown("a:1, b:2"), "a:1 b:2");
        assert_eq!(
            shown("[::1]:7, ::2, [::3]"),
            "[::1]:7 [::2]:6379 [::3]:6379"
        );
        for wrong in [
            "",
            "a,",
            "a:",
            "a:0",
            "a:x",
            "a:70000",
            "redis://a",
            "a b",
            "a,a",
            "[::1",
            "u@a",
            ":1",
        ] {
            assert_eq!(shown(wrong), "", "{wrong}");
        }
    }

    #[test]
    fn timestamps_are_iso_or_milliseconds() {
        let noon = 1_769_860_800_000;
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31T13:00:00+01:00",
            "2026-01-31T12:00:00.000",
            "2026-01-31T12:00:00",
            "1769860800000",
        ] {
            assert_eq!(parse_timestamp(text), Some(noon), "{text}");
        }
        assert_eq!(parse_timestamp("2026-01-31"), Some(noon - 12 * 3_600_000));
        assert_eq!(
            parse_timestamp("2026-01-31T12:00:00.123Z"),
            Some(noon + 123)
        );
        for wrong in [
            "",
            "now",
            "2026",
            "2026-02-30",
            "1969-12-31",
            "-5",
            "12:00",
            "1.5",
        ] {
            let parsed = parse_timestamp(wrong);
            assert_eq!(parsed, (wrong == "2026").then_some(2026), "{wrong}");
        }
    }

    #[test]
    fn databases_are_numbers_or_all() {
        assert_eq!(parse_databases("*"), Some(Databases::All));
        assert_eq!(parse_databases("3, 1"), Some(Databases::These(vec![1, 3])));
        for wrong in ["", "-1", "1,", "1,1", "a", "+1", "*,1", "2147483648"] {
            assert_eq!(parse_databases(wrong), None, "{wrong}");
        }
    }
}
