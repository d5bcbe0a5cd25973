//! Inputs out of a seed: the corpus, changed in the ways in which replies and texts go wrong.

use fastrand::Rng;

/// Longer inputs say nothing new, and take longer.
const LONGEST: usize = 4096;
/// How often an input is changed, at the most.
const CHANGES: usize = 6;

/// Numbers at which something overflows, or does not yet.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "-2",
    "1",
    "7",
    "00",
    "65535",
    "65536",
    "16384",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
    "0.5",
];

/// What replies, offsets, rules and URLs consist of.
const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "$",
    "*",
    ":",
    "+",
    "-",
    "$-1\r\n",
    "*-1\r\n",
    "*0\r\n",
    "$0\r\n\r\n",
    "*1\r\n",
    "*2\r\n",
    ":1\r\n",
    "+OK\r\n",
    "+QUEUED\r\n",
    "$1\r\na\r\n",
    "$3\r\n1-1\r\n",
    "$1\r\n0\r\n",
    "-ERR no\r\n",
    "-MOVED 1 a:2\r\n",
    "-ASK 1 a:2\r\n",
    "-NOPERM No permissions to access a key\r\n",
    "-NOPERM this user has no permissions to run the 'get' command\r\n",
    "-WRONGTYPE no\r\n",
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    "null",
    "true",
    "{}",
    "[]",
    "\"id\"",
    "\"added\"",
    "\"version\"",
    "base64:",
    "\"database\"",
    "\"key_pattern\"",
    "\"_type\"",
    "\"set\"",
    "\\",
    "\\u0000",
    "*",
    "?",
    "[^a-b]",
    "{{",
    "}}",
    "redis://",
    "rediss://",
    "unix://",
    "@",
    "/",
    "?db=",
    "#",
    "%",
    "%00",
    "%ff",
    "[::1]",
    "myself",
    "master",
    "connected",
    "[1->-b]",
    "[1-<-b]",
    "0-5",
    "@1",
    "db0:",
    "keys=",
    "expires=",
    "# ",
    "redis_version:",
    "\0",
    "\u{ff}",
    "é",
    "\u{1f600}",
    "\u{202e}",
];

/// Inputs, one after the other, the same ones for the same seed and corpus.
pub struct Inputs {
    random: Rng,
    corpus: Vec<Vec<u8>>,
    input: Vec<u8>,
}

impl Inputs {
    pub fn new(seed: u64, corpus: Vec<Vec<u8>>) -> Self {
        Inputs {
            random: Rng::with_seed(seed),
            corpus,
            input: Vec::new(),
        }
    }

    pub fn next(&mut self) -> &[u8] {
        self.input.clear();
        let from = self.random.usize(..=self.corpus.len());
        if let Some(seed) = self.corpus.get(from) {
            self.input.extend_from_slice(seed);
        }
        for _ in 0..self.random.usize(1..=CHANGES) {
            self.change();
        }
        self.input.truncate(LONGEST);
        &self.input
    }

    fn change(&mut self) {
        let (from, to) = self.range();
        match self.random.u8(..10) {
            0 => self.input.truncate(from),
            1 => drop(self.input.drain(from..to)),
            2 => self.input[from..to]
                .iter_mut()
                .take(1)
                .for_each(|byte| *byte ^= 1 << (from % 8)),
            3 => {
                let bytes: Vec<u8> = (0..to - from).map(|_| self.random.u8(..)).collect();
                self.input.splice(from..to, bytes);
            }
            4 => {
                let again = self.input[from..to].to_vec();
                let times = self.random.usize(1..=8);
                self.input.splice(to..to, again.repeat(times));
            }
            5 => {
                let other = self
                    .random
                    .choice(&self.corpus)
                    .cloned()
                    .unwrap_or_default();
                let cut = self.random.usize(..=other.len());
                self.input.splice(from..to, other[cut..].iter().copied());
            }
            6 | 7 => {
                let word = self.random.choice(WORDS).unwrap_or(&"");
                self.input.splice(from..from, word.bytes());
            }
            8 => {
                let value = value(&mut self.random, 4);
                self.input.splice(from..from, value);
            }
            _ => self.change_number(from),
        }
    }

    /// A part of the input, mostly a short one; it may be empty.
    fn range(&mut self) -> (usize, usize) {
        let from = self.random.usize(..=self.input.len());
        let left = self.input.len() - from;
        let most = match self.random.bool() {
            true => left.min(8),
            false => left,
        };
        (from, from + self.random.usize(..=most))
    }

    /// Puts another number in the place of the next one.
    fn change_number(&mut self, from: usize) {
        let digits =
            |bytes: &[u8], digit| bytes.iter().position(|byte| byte.is_ascii_digit() == digit);
        let Some(skipped) = digits(&self.input[from..], true) else {
            return;
        };
        let begin = from + skipped;
        let length = digits(&self.input[begin..], false).unwrap_or(self.input.len() - begin);
        let number = self.random.choice(NUMBERS).unwrap_or(&"0");
        self.input.splice(begin..begin + length, number.bytes());
    }
}

/// A reply as a server may send it, of values within each other.
fn value(random: &mut Rng, depth: usize) -> Vec<u8> {
    match random.u8(..if depth == 0 { 5 } else { 7 }) {
        0 => format!(":{}\r\n", random.i64(..) >> random.u32(..64)).into_bytes(),
        1 => b"$-1\r\n".to_vec(),
        2 => b"+OK\r\n".to_vec(),
        3 | 4 => {
            let bytes: Vec<u8> = (0..random.usize(..12)).map(|_| random.u8(..)).collect();
            [format!("${}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat()
        }
        _ => {
            let values: Vec<_> = (0..random.usize(..6))
                .map(|_| value(random, depth - 1))
                .collect();
            [
                format!("*{}\r\n", values.len()).into_bytes(),
                values.concat(),
            ]
            .concat()
        }
    }
}
