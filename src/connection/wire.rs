//! A stream that sends while it reads.

use std::io::{self, Read};
use std::time::Duration;

use rustix::event::PollFlags;

use super::stream::Stream;
use super::waiting::{Cancel, Waited};

/// The stream with the commands that are yet to be sent.
pub struct Wire {
    stream: Stream,
    unsent: Vec<u8>,
    /// `unsent[sent..]` is what is left.
    sent: usize,
    timeout: Duration,
    pub cancel: Cancel,
}

impl Wire {
    pub fn new(stream: Stream, timeout: Duration, cancel: Cancel) -> Self {
        Wire {
            stream,
            unsent: Vec::new(),
            sent: 0,
            timeout,
            cancel,
        }
    }

    /// Sends what the socket takes now; the rest goes while something is read.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unsent.extend_from_slice(bytes);
        self.flush()
    }

    /// Sends what the socket takes now.
    fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.unsent.len() {
            match self.stream.write(&self.unsent[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.unsent.clear();
        self.sent = 0;
        self.stream.flush()
    }
}

impl Read for Wire {
    /// Waits for at least one byte, sending meanwhile.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut waited = Waited::new(self.timeout, "socket_timeout");
        loop {
            let left = self.unsent.len() - self.sent;
            self.flush()?;
            if self.unsent.len() - self.sent < left {
                waited.start_again();
            }
            match self.stream.read(buffer) {
                Ok(n) => return Ok(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let mut events = PollFlags::IN;
            if !self.unsent.is_empty() || self.stream.wants_write() {
                events |= PollFlags::OUT;
            }
            waited.wait(&self.stream, events, &self.cancel)?;
        }
    }
}
