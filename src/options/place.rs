//! Where the server is, to be shown.

use super::references::has_reference;
use super::{Address, Databases, Options};

impl Options {
    /// Where the server is, to be shown: without credentials, references unresolved.
    pub fn place(&self) -> String {
        let value = |name: &str| self.values.get(name).map(String::as_str);
        let address = match (value("url"), value("unix_socket_path"), value("nodes")) {
            (Some(url), _, _) if has_reference(url) => "redis://{{ … }}".to_owned(),
            (Some(_), _, _) => self.connection().map_or_else(
                |_| "redis://…".to_owned(),
                |options| shown_seeds(&options.seeds),
            ),
            (None, Some(path), _) => path.to_owned(),
            (None, None, Some(nodes)) => unless_credentials(nodes).to_owned(),
            (None, None, None) => format!(
                "{}:{}",
                unless_credentials(value("host").unwrap_or("…")),
                value("port").unwrap_or("6379")
            ),
        };
        let mut place = match value("mode") {
            Some(mode @ ("cluster" | "sentinel")) => format!("{mode} at {address}"),
            _ => address,
        };
        let url_db = || self.connection().ok().map(|options| options.databases);
        match (value("db"), value("url").and_then(|_| url_db())) {
            (Some(db), _) => place.push_str(&format!(", db {db}")),
            (None, Some(Databases::These(numbers))) if numbers[..] != [0] => {
                place.push_str(&format!(", db {}", numbers[0]));
            }
            _ => {}
        }
        place
    }
}

/// An address as it was given. One with credentials in it is refused as soon as it is resolved.
fn unless_credentials(given: &str) -> &str {
    match has_reference(given) && given.contains('@') {
        true => "{{ … }}",
        false => given,
    }
}

fn shown_seeds(seeds: &[Address]) -> String {
    let seeds: Vec<_> = seeds.iter().map(ToString::to_string).collect();
    seeds.join(",")
}

#[cfg(test)]
mod tests {
    use crate::options::tests::options;

    #[test]
    fn places_hold_no_secret() {
        let place = |pairs| options(pairs).unwrap().place();
        assert_eq!(place(&[("host", "a"), ("db", "2")]), "a:6379, db 2");
        assert_eq!(place(&[("url", "redis://u:canary@h:7/1")]), "h:7, db 1");
        assert_eq!(place(&[("url", "redis://:{{ X }}@h")]), "redis://{{ … }}");
        assert_eq!(place(&[("host", "u:canary@{{ H }}")]), "{{ … }}:6379");
        let nodes = [("nodes", "a:1,b:2"), ("mode", "cluster")];
        assert_eq!(place(&nodes), "cluster at a:1,b:2");
    }
}
