//! One connection to one server: TCP or Unix socket, handshake, deadlines.
//!
//! The socket does not block. While replies are awaited, what is left of the commands is
//! sent, the deadline is watched and the caller's wish to stop is asked for.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use redis::{ErrorKind, RedisResult, Value};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, SockAddr, Socket, TcpKeepalive};

use crate::error::{Error, Result};
use crate::options::{Address, ConnectionOptions};
use crate::resp::{Commands, Decoder, Replies, Token, Tokens as _};

/// Asked while waiting; true when the caller no longer wants the answer.
pub type Cancel = Arc<dyn Fn() -> bool + Send + Sync>;

/// How often a wait looks up: Ctrl-C must end everything within a second.
const SLICE: Duration = Duration::from_millis(100);
/// After so long without a word the kernel asks whether the peer still lives.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// A one-off reply may nest so deep: COMMAND DOCS, the deepest, needs half of it.
const MAX_DEPTH: usize = 32;

/// TLS joins here as a third.
#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

/// The stream with the commands that are yet to be sent.
struct Wire {
    stream: Stream,
    unsent: Vec<u8>,
    /// `unsent[sent..]` is what is left.
    sent: usize,
    timeout: Duration,
    cancel: Cancel,
}

impl Wire {
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
        Ok(())
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
            if !self.unsent.is_empty() {
                events |= PollFlags::OUT;
            }
            waited.wait(&self.stream, events, &self.cancel)?;
        }
    }
}

/// A wait with a deadline that can be called off.
struct Waited {
    timeout: Duration,
    option: &'static str,
    since: Instant,
}

impl Waited {
    fn new(timeout: Duration, option: &'static str) -> Self {
        Waited {
            timeout,
            option,
            since: Instant::now(),
        }
    }

    fn start_again(&mut self) {
        self.since = Instant::now();
    }

    /// How long to sleep before looking up again; an error when the time is up.
    fn slice(&self, cancel: &Cancel) -> io::Result<Duration> {
        if cancel() {
            return Err(io::Error::other(Error::Interrupted));
        }
        match self.timeout.checked_sub(self.since.elapsed()) {
            Some(left) if !left.is_zero() => Ok(left.min(SLICE)),
            _ => Err(io::Error::other(Error::Timeout {
                seconds: self.timeout.as_secs_f64(),
                option: self.option,
            })),
        }
    }

    /// Waits for events on a socket; true when there are some.
    fn wait(&self, socket: impl AsFd, events: PollFlags, cancel: &Cancel) -> io::Result<bool> {
        let slice = self.slice(cancel)?;
        let slice = Timespec::try_from(slice).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&socket, events)], Some(&slice)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// A connection that has shaken hands and selected its database.
pub struct Connection {
    decoder: Decoder<Wire>,
    db: u32,
    /// What ended a one-off command: the crate's error type cannot carry ours, so it waits here.
    failed: Option<Error>,
}

impl Connection {
    /// Connects, authenticates, names itself and selects the database.
    pub fn open(options: &ConnectionOptions, cancel: Cancel) -> Result<Self> {
        let stream = connect(&options.address, options.connect_timeout, &cancel)?;
        let mut connection = Connection {
            decoder: Decoder::new(Wire {
                stream,
                unsent: Vec::new(),
                sent: 0,
                timeout: options.timeout,
                cancel,
            }),
            db: options.db,
            failed: None,
        };
        connection.shake_hands(options)?;
        Ok(connection)
    }

    fn shake_hands(&mut self, options: &ConnectionOptions) -> Result<()> {
        let db = options.db.to_string();
        let mut commands = Commands::default();
        let password = options.password.as_ref().map(|secret| secret.0.as_bytes());
        match (&options.username, password) {
            (Some(user), Some(password)) => commands.push(&[b"AUTH", user.as_bytes(), password]),
            (None, Some(password)) => commands.push(&[b"AUTH", password]),
            _ => {}
        }
        let authenticates = commands.count > 0;
        commands.push(&[b"CLIENT", b"SETNAME", options.client_name.as_bytes()]);
        if options.db != 0 {
            commands.push(&[b"SELECT", db.as_bytes()]);
        }
        self.send(&commands)?;

        if authenticates {
            // Whatever AUTH answers is about the credentials: before 6.0 it has no code of its own.
            self.replies(1).bytes().map_err(|error| match error {
                Error::Refused { code, message } => {
                    Error::Authentication(format!("{code} {message}"))
                }
                other => other,
            })?;
        }
        // The name is a courtesy to whoever reads CLIENT LIST; a user that may not give one
        // can still read.
        match self.replies(1).bytes() {
            Err(Error::PermissionDenied { .. } | Error::Refused { .. }) | Ok(_) => {}
            Err(error) => return Err(error),
        }
        if options.db != 0 {
            self.replies(1).bytes().map_err(|error| match error {
                Error::Refused { message, .. } => Error::Configuration(format!(
                    "option `db` is {db}, which the server refused: {message}"
                )),
                other => other,
            })?;
        }
        Ok(())
    }

    /// Who is asked, from now on, whether to go on waiting.
    pub fn set_cancel(&mut self, cancel: Cancel) {
        self.decoder.reader.cancel = cancel;
    }

    /// Sends what can be sent at once; the rest goes while replies are read.
    pub fn send(&mut self, commands: &Commands) -> Result<()> {
        let wire = &mut self.decoder.reader;
        wire.unsent.extend_from_slice(&commands.bytes);
        Ok(wire.flush()?)
    }

    /// The replies to the next so many commands.
    pub fn replies(&mut self, commands: usize) -> Replies<'_> {
        Replies::new(&mut self.decoder, commands)
    }

    /// Reply bytes pulled so far.
    pub fn consumed(&self) -> u64 {
        self.decoder.consumed()
    }

    /// Asks one command on the control plane.
    pub fn query<T: redis::FromRedisValue>(&mut self, command: &redis::Cmd) -> Result<T> {
        self.failed = None;
        command.query(self).map_err(|error| {
            self.failed
                .take()
                .unwrap_or_else(|| Error::Protocol(error.to_string()))
        })
    }

    /// Keeps our error for `query`, and gives the crate one that says the same.
    fn fail(&mut self, error: Error) -> redis::RedisError {
        let text = error.to_string();
        self.failed = Some(error);
        (ErrorKind::Client, "lakeflow-redis", text).into()
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        let items = match self.decoder.token()? {
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
        let values = (0..items).map(|_| self.value(depth - 1));
        Ok(Value::Array(values.collect::<Result<_>>()?))
    }

    fn values(&mut self, skipped: usize, count: usize) -> Result<Vec<Value>> {
        for _ in 0..skipped {
            self.value(MAX_DEPTH)?;
        }
        (0..count).map(|_| self.value(MAX_DEPTH)).collect()
    }
}

/// The control plane: one-off commands, packed and typed by the `redis` crate.
impl redis::ConnectionLike for Connection {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        let mut values = self.req_packed_commands(command, 0, 1)?;
        Ok(values.pop().unwrap_or_default())
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let commands = Commands {
            bytes: commands.to_vec(),
            count: offset + count,
        };
        self.send(&commands)
            .and_then(|()| self.values(offset, count))
            .map_err(|error| self.fail(error))
    }

    fn get_db(&self) -> i64 {
        self.db.into()
    }

    fn check_connection(&mut self) -> bool {
        redis::cmd("PING").query::<String>(self).is_ok()
    }

    fn is_open(&self) -> bool {
        self.failed.is_none()
    }
}

fn connect(address: &Address, timeout: Duration, cancel: &Cancel) -> Result<Stream> {
    let waited = Waited::new(timeout, "socket_connect_timeout");
    let outcome = match address {
        Address::Tcp { host, port } => {
            connect_any(&resolve(host, *port, &waited, cancel)?, &waited, cancel)
        }
        Address::Unix(path) => connect_unix(path, &waited, cancel),
    };
    outcome.map_err(|error| match Error::from(error) {
        Error::Lost(error) => Error::Unreachable(error),
        ours => ours,
    })
}

/// Looks a name up on a thread of its own, since the system's resolver cannot be interrupted.
fn resolve(host: &str, port: u16, waited: &Waited, cancel: &Cancel) -> Result<Vec<SocketAddr>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let name = (host.to_owned(), port);
    std::thread::Builder::new()
        .name("lakeflow-redis-dns".to_owned())
        .spawn(move || sender.send(name.to_socket_addrs()))
        .map_err(Error::Unreachable)?;
    loop {
        match receiver.recv_timeout(waited.slice(cancel)?) {
            Ok(found) => return Ok(found.map_err(Error::Unreachable)?.collect()),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let gone = io::Error::other("the resolver's thread ended");
                return Err(Error::Unreachable(gone));
            }
        }
    }
}

/// Connects to the first address that answers.
fn connect_any(addresses: &[SocketAddr], waited: &Waited, cancel: &Cancel) -> io::Result<Stream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let socket = Socket::new(Domain::for_address(*address), socket2::Type::STREAM, None)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        match establish(&socket, &(*address).into(), waited, cancel) {
            Ok(()) => return Ok(Stream::Tcp(socket.into())),
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Error>()) => {
                return Err(error);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn connect_unix(path: &Path, waited: &Waited, cancel: &Cancel) -> io::Result<Stream> {
    let socket = Socket::new(Domain::UNIX, socket2::Type::STREAM, None)?;
    establish(&socket, &SockAddr::unix(path)?, waited, cancel)?;
    Ok(Stream::Unix(socket.into()))
}

fn establish(
    socket: &Socket,
    address: &SockAddr,
    waited: &Waited,
    cancel: &Cancel,
) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    match socket.connect(address) {
        Ok(()) => return Ok(()),
        Err(error)
            if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    while !waited.wait(socket, PollFlags::OUT, cancel)? {}
    socket.take_error()?.map_or(Ok(()), Err)
}
