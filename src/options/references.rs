//! `{{ NAME }}` in an option's value: an environment variable, read when it is needed.

use super::spec::OptionSpec;
use crate::error::{Error, Result};

/// All but RFC 3986's unreserved characters, so that a host name stays one.
const RESERVED: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

pub fn has_reference(value: &str) -> bool {
    value
        .split_once(OPEN)
        .is_some_and(|(_, rest)| rest.contains(CLOSE))
}

/// Puts environment variables in the place of `{{ NAME }}`.
///
/// Inside a URL the value is percent-encoded, so that a password may hold any character; a
/// URL that is one reference as a whole is taken as it is.
pub fn resolve(spec: &OptionSpec, value: &str) -> Result<String> {
    let encode = spec.name == "url"
        && !(value.starts_with(OPEN) && value.find(CLOSE) == Some(value.len() - CLOSE.len()));
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((name, tail)) = after.split_once(CLOSE) else {
            break;
        };
        let name = name.trim();
        let resolved = std::env::var(name).map_err(|_| {
            Error::about(
                [spec.name],
                format!(
                    "option `{}` refers to the environment variable {name:?}, which is not set (or is not UTF-8)",
                    spec.name
                ),
            )
        })?;
        out.push_str(before);
        if encode {
            out.extend(percent_encoding::utf8_percent_encode(&resolved, RESERVED));
        } else {
            out.push_str(&resolved);
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}
