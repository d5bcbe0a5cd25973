//! Bytes cut into what a target needs: some choices, and the rest.

use std::io::Read;

use lakeflow_redis::resp::Decoder;

/// Bytes of which choices are taken off the front.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Input(bytes)
    }

    /// The next byte; 0 where there is none left.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// One of so many choices. In the corpus it is written as a digit, or as what follows these.
    pub fn below(&mut self, choices: usize) -> usize {
        usize::from(self.byte().wrapping_sub(b'0')) % choices.max(1)
    }

    pub fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// What stands before the next line feed, or all that is left.
    pub fn line(&mut self) -> &'a [u8] {
        match self.0.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let line = &self.0[..end];
                self.0 = &self.0[end + 1..];
                line
            }
            None => std::mem::take(&mut self.0),
        }
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// The rest as a server's replies, in chunks as the next byte says.
    pub fn wire(mut self) -> Decoder<Chunks<'a>> {
        let cut = self.byte().wrapping_sub(b'0');
        Decoder::new(Chunks::new(self.0, cut))
    }
}

/// A reader that gives its bytes a few at a time, or all at once.
#[derive(Debug)]
pub struct Chunks<'a> {
    left: &'a [u8],
    /// 0 for all at once; otherwise what the next chunk's size follows from.
    cut: u8,
}

impl<'a> Chunks<'a> {
    pub fn new(left: &'a [u8], cut: u8) -> Self {
        Chunks { left, cut }
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = match self.cut {
            0 => usize::MAX,
            cut => {
                // Odd numbers times an odd one are never 0, which means something else.
                self.cut = (cut | 1).wrapping_mul(37);
                1 + usize::from(cut % 16)
            }
        };
        let n = most.min(self.left.len()).min(buffer.len());
        let (now, later) = self.left.split_at(n);
        buffer[..n].copy_from_slice(now);
        self.left = later;
        Ok(n)
    }
}
