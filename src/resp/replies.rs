//! Replies pulled value by value, in step with the commands they answer.

use super::decoder::{Token, Tokens, malformed, parse_length};
use crate::error::{Error, Result, show};

/// The replies to a known number of commands, pulled one value after the other.
///
/// Counts the values that are still owed, so that what a caller does not want can be
/// dropped and the next caller starts at its own reply.
pub struct Replies<'a> {
    tokens: &'a mut dyn Tokens,
    owed: usize,
    /// Commands whose reply has not begun, where each has one to ASKING before it.
    unasked: Option<usize>,
}

impl<'a> Replies<'a> {
    pub fn new(tokens: &'a mut dyn Tokens, commands: usize) -> Self {
        Replies {
            tokens,
            owed: commands,
            unasked: None,
        }
    }

    /// Where each command followed an ASKING, whose reply is dropped, or is the command's if refused.
    #[must_use]
    pub fn after_asking(self, asking: bool) -> Self {
        Replies {
            unasked: asking.then_some(self.owed),
            ..self
        }
    }

    /// Takes the reply to an ASKING, where one comes next; gives the error where it is refused.
    fn take_asking(&mut self) -> Result<Option<Error>> {
        let comes = |left| left > 0 && left == self.owed;
        let Some(left) = self.unasked.filter(|left| comes(*left)) else {
            return Ok(None);
        };
        self.unasked = Some(left - 1);
        Ok(match self.tokens.token()? {
            Token::Error(line) => Some(Error::from_reply(line)),
            _ => None,
        })
    }

    fn next(&mut self) -> Result<Token<'_>> {
        if let Some(refused) = self.take_asking()? {
            // What the server says to the command itself would mislead.
            self.skip()?;
            return Err(refused);
        }
        self.owed = self.owed.checked_sub(1).ok_or_else(|| {
            Error::Protocol("more was read than the commands' replies hold".to_owned())
        })?;
        let token = self.tokens.token()?;
        if let Token::Array(length) = token {
            self.owed = self.owed.checked_add(length).ok_or_else(|| {
                Error::Protocol("arrays of impossible length within each other".to_owned())
            })?;
        }
        match token {
            Token::Error(line) => Err(Error::from_reply(line)),
            token => Ok(token),
        }
    }

    pub fn integer(&mut self) -> Result<i64> {
        match self.next()? {
            Token::Integer(value) => Ok(value),
            token => Err(unexpected("an integer", &token)),
        }
    }

    pub fn integer_or_nil(&mut self) -> Result<Option<i64>> {
        match self.next()? {
            Token::Integer(value) => Ok(Some(value)),
            Token::Nil => Ok(None),
            token => Err(unexpected("an integer", &token)),
        }
    }

    /// A bulk or simple string; None for nil.
    pub fn bytes_or_nil(&mut self) -> Result<Option<&[u8]>> {
        match self.next()? {
            Token::Bulk(bytes) | Token::Status(bytes) => Ok(Some(bytes)),
            Token::Nil => Ok(None),
            token => Err(unexpected("a string", &token)),
        }
    }

    pub fn bytes(&mut self) -> Result<&[u8]> {
        self.bytes_or_nil()?
            .ok_or_else(|| unexpected("a string", &Token::Nil))
    }

    /// The length of an array, whose values are then pulled one by one; nil has none.
    pub fn array(&mut self) -> Result<usize> {
        Ok(self.array_or_nil()?.unwrap_or_default())
    }

    pub fn array_or_nil(&mut self) -> Result<Option<usize>> {
        match self.next()? {
            Token::Array(length) => Ok(Some(length)),
            Token::Nil => Ok(None),
            token => Err(unexpected("an array", &token)),
        }
    }

    /// The number of pairs in an array that holds pairs, flat.
    pub fn pairs(&mut self) -> Result<usize> {
        let length = self.array()?;
        if length % 2 == 1 {
            return Err(Error::Protocol(format!(
                "an array of pairs has {length} values"
            )));
        }
        Ok(length / 2)
    }

    /// A cursor, which SCAN and its kin give as a string.
    pub fn cursor(&mut self) -> Result<u64> {
        let text = self.bytes()?;
        parse_length(text)
            .map(|cursor| cursor as u64)
            .ok_or_else(|| malformed("a cursor that is none", text))
    }

    /// Drops the next value with all that is in it.
    pub fn skip(&mut self) -> Result<()> {
        let rest = self.owed.saturating_sub(1);
        self.drop_to(rest)
    }

    /// Drops all that is left, errors among it too.
    pub fn finish(mut self) -> Result<()> {
        self.drop_to(0)
    }

    fn drop_to(&mut self, left: usize) -> Result<()> {
        while self.owed > left {
            self.take_asking()?;
            self.owed -= 1;
            if let Token::Array(length) = self.tokens.token()? {
                self.owed = self.owed.checked_add(length).ok_or_else(|| {
                    Error::Protocol("arrays of impossible length within each other".to_owned())
                })?;
            }
        }
        Ok(())
    }
}

fn unexpected(wanted: &str, token: &Token<'_>) -> Error {
    let got = match token {
        Token::Status(text) | Token::Error(text) | Token::Bulk(text) => show(text),
        Token::Integer(value) => format!("the integer {value}"),
        Token::Array(length) => format!("an array of {length}"),
        Token::Nil => "nil".to_owned(),
    };
    Error::Protocol(format!("expected {wanted}, got {got}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Decoder;

    #[test]
    fn what_nobody_wants_is_dropped_to_the_last_value() {
        let wire = b"*2\r\n*1\r\n+a\r\n*0\r\n-ERR x\r\n:5\r\n:6\r\n";
        let mut decoder = Decoder::new(wire.as_slice());
        let mut replies = Replies::new(&mut decoder, 3);
        replies.skip().unwrap();
        assert!(replies.integer().unwrap_err().is_reply("ERR"));
        replies.finish().unwrap();
        let mut next = Replies::new(&mut decoder, 1);
        assert_eq!(next.integer().unwrap(), 6);
        assert!(matches!(next.integer(), Err(Error::Protocol(_))));
    }

    #[test]
    fn replies_to_asking_are_dropped_wherever_a_reader_stands() {
        let wire =
            b"+OK\r\n*2\r\n:1\r\n:2\r\n-ERR x\r\n*1\r\n:3\r\n-ERR y\r\n*1\r\n*0\r\n+OK\r\n:4\r\n";
        let mut decoder = Decoder::new(wire.as_slice());
        let mut replies = Replies::new(&mut decoder, 4).after_asking(true);
        assert_eq!(replies.array().unwrap(), 2);
        assert_eq!(replies.integer().unwrap(), 1);
        assert_eq!(replies.integer().unwrap(), 2);
        assert!(replies.integer().unwrap_err().is_reply("ERR"));
        replies.skip().unwrap();
        assert_eq!(replies.integer().unwrap(), 4);
        replies.finish().unwrap();
    }

    #[test]
    fn a_million_nested_arrays_need_no_stack() {
        let wire = b"*1\r\n".repeat(1_000_000);
        let mut decoder = Decoder::new(wire.as_slice());
        let outcome = Replies::new(&mut decoder, 1).finish();
        assert!(matches!(outcome, Err(Error::Lost(_))));
        let huge = b"*18446744073709551615\r\n*18446744073709551615\r\n";
        let mut decoder = Decoder::new(huge.as_slice());
        let outcome = Replies::new(&mut decoder, 2).finish();
        assert!(matches!(outcome, Err(Error::Protocol(_))));
    }
}
