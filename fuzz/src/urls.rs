//! The option `url`.

use lakeflow_redis::options::Options;

use super::input::Input;
use super::replies::check_text;

/// No text is shown that may hold it.
const CANARY: &str = "canary";

/// A URL is read or refused, and its password is never shown.
pub fn urls(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let before = String::from_utf8_lossy(input.line());
    let after = String::from_utf8_lossy(input.line());
    let mode = ["standalone", "sentinel", "cluster"][input.below(3)];
    let url = format!("{before}{CANARY}{after}");
    let mut given = vec![("url", url.as_str()), ("mode", mode)];
    if mode == "sentinel" {
        given.push(("sentinel_master", "m"));
    }
    let options = match Options::for_connector(given) {
        Ok(options) => options,
        Err(error) => {
            check_text(&error);
            assert!(!error.to_string().contains(CANARY), "{error}");
            return;
        }
    };
    assert!(!format!("{options:?}").contains(CANARY));
    let Ok(connection) = options.connection() else {
        return;
    };
    let seeds = format!("{:?}", connection.seeds);
    // What became a host or a path may be shown.
    assert!(seeds.contains(CANARY) || !options.place().contains(CANARY));
    assert!(!format!("{:?}", connection.access.credentials.password).contains(CANARY));
}
