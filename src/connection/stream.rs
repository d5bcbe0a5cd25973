//! The socket, of whatever kind, and how to come by one.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rustix::event::PollFlags;
use socket2::{Domain, SockAddr, Socket, TcpKeepalive};

use super::waiting::{Cancel, Waited};
use crate::error::{Error, Result};
use crate::options::Address;

/// After so long without a word the kernel asks whether the peer still lives.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// TLS joins here as a third.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
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

/// Connects within the time, without blocking mode.
pub fn connect(address: &Address, timeout: Duration, cancel: &Cancel) -> Result<Stream> {
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

/// Connects to the first address that answers. One that does not must leave the others time.
fn connect_any(addresses: &[SocketAddr], waited: &Waited, cancel: &Cancel) -> io::Result<Stream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let share = waited.share(addresses.len() - tried);
        match connect_tcp(*address, &share, cancel) {
            Ok(stream) => return Ok(stream),
            Err(error) if cancel() => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn connect_tcp(address: SocketAddr, waited: &Waited, cancel: &Cancel) -> io::Result<Stream> {
    let socket = Socket::new(Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    establish(&socket, &address.into(), waited, cancel)?;
    Ok(Stream::Tcp(socket.into()))
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
