//! Bytes of replies pulled apart into tokens.

use std::io::Read;

use crate::error::{Error, Result, show};

/// One token of a reply, borrowed from the decoder's buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Token<'a> {
    Status(&'a [u8]),
    Error(&'a [u8]),
    Integer(i64),
    Bulk(&'a [u8]),
    Array(usize),
    /// `$-1` and `*-1`.
    Nil,
}

/// A source of tokens; [`Decoder`] is the only one, without its type of reader.
pub trait Tokens {
    fn token(&mut self) -> Result<Token<'_>>;
    /// Bytes of replies pulled so far.
    fn consumed(&self) -> u64;
}

/// A line of a reply is a number, a status or an error; none is longer in any server.
const MAX_LINE: usize = 64 * 1024;
/// One value must fit the 32-bit offsets of an Arrow string column, beside the batch it joins.
const MAX_BULK: usize = i32::MAX as usize - 64 * 1024 * 1024;
/// How much is asked of the reader at a time: enough that a system call is rare.
const READ_SIZE: usize = 128 * 1024;
/// A buffer grown beyond this by one large value is given back after it.
const KEPT_CAPACITY: usize = 1024 * 1024;

/// Pulls tokens out of a reader. Its buffer grows only as bytes arrive, never by what a
/// reply announces.
#[derive(Debug)]
pub struct Decoder<R> {
    pub reader: R,
    buffer: Vec<u8>,
    /// `buffer[start..end]` holds bytes that were read and not yet pulled.
    start: usize,
    end: usize,
    consumed: u64,
}

/// What a token is, with where its bytes stand relative to `start`.
enum Frame {
    Line { kind: u8, text: usize },
    Bulk { header: usize, length: usize },
}

impl<R: Read> Decoder<R> {
    pub fn new(reader: R) -> Self {
        Decoder {
            reader,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            consumed: 0,
        }
    }

    /// Reads until the next token is whole, and says what it is.
    fn frame(&mut self) -> Result<Frame> {
        let line = self.line_length()?;
        let kind = self.buffer[self.start];
        if kind != b'$' {
            return Ok(Frame::Line { kind, text: line });
        }
        let header = line + 2;
        let text = &self.buffer[self.start + 1..self.start + line];
        if text == b"-1" {
            return Ok(Frame::Line { kind, text: line });
        }
        let length = parse_length(text)
            .filter(|length| *length <= MAX_BULK)
            .ok_or_else(|| malformed("a bulk string of impossible length", text))?;
        let whole = header + length + 2;
        while self.end - self.start < whole {
            self.fill(whole)?;
        }
        if &self.buffer[self.start + whole - 2..self.start + whole] != b"\r\n" {
            return Err(malformed(
                "a bulk string that does not end where it said",
                &self.buffer[self.start..self.start + header],
            ));
        }
        Ok(Frame::Bulk { header, length })
    }

    /// The length of the line at `start`, without its CRLF.
    fn line_length(&mut self) -> Result<usize> {
        let mut seen = 0;
        loop {
            let unread = &self.buffer[self.start..self.end];
            // The first byte alone tells a stranger, who may never send a line's end.
            if let Some(kind) = unread.first()
                && !b"+-:$*".contains(kind)
            {
                return Err(stranger(unread));
            }
            if let Some(at) = unread[seen..].iter().position(|byte| *byte == b'\n') {
                let line = seen + at;
                return match line.checked_sub(1) {
                    Some(text) if unread[text] == b'\r' => Ok(text),
                    _ => Err(malformed("a line without CR", &unread[..line])),
                };
            }
            seen = unread.len();
            if seen > MAX_LINE {
                return Err(malformed("a line without end", unread));
            }
            self.fill(seen + 1)?;
        }
    }

    /// Reads once, making room for `wanted` unread bytes as they arrive.
    fn fill(&mut self, wanted: usize) -> Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == 0 && self.buffer.len() > KEPT_CAPACITY {
            self.buffer = Vec::new();
        }
        if self.end == self.buffer.len() {
            // Doubling, but not past what the value at hand needs.
            let doubled = (self.end * 2).max(READ_SIZE);
            let size = if wanted > READ_SIZE {
                doubled.min(wanted)
            } else {
                doubled
            };
            self.buffer.resize(size.max(self.end + 1), 0);
        }
        let read = self.reader.read(&mut self.buffer[self.end..])?;
        if read == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        self.end += read;
        Ok(())
    }

    fn advance(&mut self, by: usize) {
        self.start += by;
        self.consumed += by as u64;
    }
}

impl<R: Read> Tokens for Decoder<R> {
    fn token(&mut self) -> Result<Token<'_>> {
        let frame = self.frame()?;
        let start = self.start;
        match frame {
            Frame::Bulk { header, length } => {
                self.advance(header + length + 2);
                Ok(Token::Bulk(
                    &self.buffer[start + header..start + header + length],
                ))
            }
            Frame::Line { kind, text } => {
                self.advance(text + 2);
                let line = &self.buffer[start + 1..start + text];
                match kind {
                    b'+' => Ok(Token::Status(line)),
                    b'-' => Ok(Token::Error(line)),
                    b':' => parse_integer(line)
                        .map(Token::Integer)
                        .ok_or_else(|| malformed("an integer that is none", line)),
                    _ if line == b"-1" => Ok(Token::Nil),
                    _ => parse_length(line)
                        .map(Token::Array)
                        .ok_or_else(|| malformed("an array of impossible length", line)),
                }
            }
        }
    }

    fn consumed(&self) -> u64 {
        self.consumed
    }
}

fn parse_integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub fn parse_length(text: &[u8]) -> Option<usize> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0usize, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| usize::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

pub fn malformed(what: &str, bytes: &[u8]) -> Error {
    Error::Protocol(format!("{what}: {}", show(bytes)))
}

fn stranger(bytes: &[u8]) -> Error {
    // 0x15 is a TLS alert, 0x16 a handshake record.
    let hint = match bytes {
        [0x15 | 0x16, ..] => " (a server that speaks TLS?)",
        _ => "",
    };
    malformed(
        &format!("the peer is no Redis server{hint}, it sent"),
        bytes,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes a few at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let n = self.1.min(self.0.len()).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn tokens_are_the_same_however_the_bytes_arrive() {
        let wire = b"*3\r\n$3\r\na\r\n\r\n:-42\r\n$-1\r\n+OK\r\n-ERR no\r\n*-1\r\n$0\r\n\r\n*0\r\n";
        for step in [1, 2, 3, 7, 1000] {
            let mut decoder = Decoder::new(Dribble(wire, step));
            assert_eq!(decoder.token().unwrap(), Token::Array(3));
            assert_eq!(decoder.token().unwrap(), Token::Bulk(b"a\r\n"));
            assert_eq!(decoder.token().unwrap(), Token::Integer(-42));
            assert_eq!(decoder.token().unwrap(), Token::Nil);
            assert_eq!(decoder.token().unwrap(), Token::Status(b"OK"));
            assert_eq!(decoder.token().unwrap(), Token::Error(b"ERR no"));
            assert_eq!(decoder.token().unwrap(), Token::Nil);
            assert_eq!(decoder.token().unwrap(), Token::Bulk(b""));
            assert_eq!(decoder.token().unwrap(), Token::Array(0));
            assert_eq!(decoder.consumed(), wire.len() as u64);
            assert!(matches!(decoder.token(), Err(Error::Lost(_))));
        }
    }

    #[test]
    fn large_values_arrive_whole() {
        let value = vec![b'x'; 3_000_000];
        let mut wire = b"$3000000\r\n".to_vec();
        wire.extend_from_slice(&value);
        wire.extend_from_slice(b"\r\n:7\r\n");
        let mut decoder = Decoder::new(Dribble(&wire, 70_000));
        assert_eq!(decoder.token().unwrap(), Token::Bulk(&value));
        assert_eq!(decoder.token().unwrap(), Token::Integer(7));
    }

    #[test]
    fn nonsense_is_an_error_and_costs_no_memory() {
        let cases: [&[u8]; 9] = [
            b"HTTP/1.1 400 Bad Request\r\n",
            b"\x15\x03\x01",
            b"$9000000000000000000\r\n",
            b"$99999999999999999999999\r\n",
            b"$-2\r\n",
            b"*-5\r\n",
            b":12x\r\n",
            b":99999999999999999999\r\n",
            b"$3\r\nabcde\r\n",
        ];
        for wire in cases {
            let mut decoder = Decoder::new(Dribble(wire, 5));
            let error = decoder.token().unwrap_err();
            assert!(matches!(error, Error::Protocol(_)), "{wire:?}: {error}");
            assert!(decoder.buffer.len() <= READ_SIZE);
        }
        let endless = vec![b'+'; MAX_LINE * 3];
        let mut decoder = Decoder::new(Dribble(&endless, 1000));
        assert!(matches!(decoder.token(), Err(Error::Protocol(_))));
    }
}
