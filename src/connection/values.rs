//! Replies to one-off commands, as values of the `redis` crate.

use redis::Value;

use crate::error::{Error, Result};
use crate::resp::{Token, Tokens};

/// A one-off reply may nest so deep: COMMAND DOCS, the deepest, needs half of it.
const MAX_DEPTH: usize = 32;

/// The last `count` of the replies to come, or the first error among them all; an error
/// reply is no reason to leave those behind it unread.
pub fn values(tokens: &mut dyn Tokens, skipped: usize, count: usize) -> Result<Vec<Value>> {
    values_within(tokens, MAX_DEPTH, skipped, count)
}

fn values_within(
    tokens: &mut dyn Tokens,
    depth: usize,
    skipped: usize,
    count: usize,
) -> Result<Vec<Value>> {
    let mut values = Vec::new();
    let mut refused = None;
    for nth in 0..skipped.saturating_add(count) {
        match value(tokens, depth) {
            Ok(value) if nth >= skipped => values.push(value),
            Ok(_) => {}
            Err(error) if error.is_refusal() => {
                refused.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    refused.map_or(Ok(values), Err)
}

fn value(tokens: &mut dyn Tokens, depth: usize) -> Result<Value> {
    let items = match tokens.token()? {
        Token::Status(b"OK") => return Ok(Value::Okay),
        Token::Status(text) => {
            return Ok(Value::SimpleString(
                String::from_utf8_lossy(text).into_owned(),
            ));
        }
        Token::Error(line) => return Err(Error::from_reply(line)),
        Token::Integer(value) => return Ok(Value::Int(value)),
        Token::Bulk(bytes) => return Ok(Value::BulkString(bytes.to_vec())),
        Token::Nil => return Ok(Value::Nil),
        Token::Array(items) => items,
    };
    if depth == 0 {
        return Err(Error::Protocol("a reply nests too deep".to_owned()));
    }
    values_within(tokens, depth - 1, 0, items).map(Value::Array)
}
