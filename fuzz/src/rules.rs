//! The option `sync_rules`, and the globs in it.

use lakeflow_redis::options::Options;
use lakeflow_redis::scan::{is_selected, selects, types_of};

use super::input::Input;
use super::replies::check_text;

const TYPES: [&str; 3] = ["string", "hash", "stream"];

/// The scans and lookups that rules become name what the rules do.
pub fn rules(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let name = input.line();
    let text = String::from_utf8_lossy(input.rest());
    let given = [("host", "a"), ("sync_rules", &text)];
    let options = match Options::for_connector(given) {
        Ok(options) => options,
        Err(error) => return check_text(&error),
    };
    // Where it refers to the environment, there is nothing to read yet.
    let Ok(read) = options.read() else {
        return;
    };
    for db in 0..4 {
        let rules = read.selection.of(db);
        let selects = selects(rules, None);
        for key_type in TYPES {
            let wanted = types_of(&selects, name);
            let named = wanted.iter().flatten().any(|one| *one == key_type);
            let named = named || wanted.contains(&None);
            assert_eq!(
                named,
                is_selected(rules, name, key_type),
                "{name:?} {key_type}"
            );
        }
    }
}
