//! The socket, of whatever kind, and how to come by one.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustix::event::PollFlags;
use rustls::ClientConfig;
use socket2::{Domain, SockAddr, Socket, TcpKeepalive};

use super::tls::TlsStream;
use super::waiting::{Cancel, Waited};
use crate::error::{Error, Result};
use crate::options::Address;

/// After so long without a word the kernel asks whether the peer still lives.
const KEEPALIVE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream>),
}

impl Stream {
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    /// Sends what was written and is still held here, as far as the socket takes it now.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => Ok(()),
            Stream::Tls(stream) => stream.flush(),
        }
    }

    /// Whether something is still held here.
    pub fn wants_write(&self) -> bool {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => false,
            Stream::Tls(stream) => stream.wants_write(),
        }
    }

    /// Whether anybody on the way to a server in another network can read along.
    pub fn is_exposed(&self) -> bool {
        match self {
            Stream::Tcp(stream) => stream
                .peer_addr()
                .is_ok_and(|peer| !is_private(peer.ip().to_canonical())),
            Stream::Unix(_) | Stream::Tls(_) => false,
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
            Stream::Tls(stream) => stream.as_fd(),
        }
    }
}

/// Whether an address is this machine's or in a network of one's own (RFC 1918, 4193, 6598).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && (64..128).contains(&second);
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Connects within the time, without blocking mode.
pub fn connect(
    address: &Address,
    tls: Option<&Arc<ClientConfig>>,
    timeout: Duration,
    cancel: &Cancel,
) -> Result<Stream> {
    let waited = Waited::new(timeout, "socket_connect_timeout");
    let outcome = match address {
        Address::Tcp { host, port } => {
            let addresses = resolve(host, *port, &waited, cancel)?;
            connect_any(&addresses, &waited, cancel).and_then(|tcp| match tls {
                None => Ok(Stream::Tcp(tcp)),
                Some(config) => TlsStream::begin(tcp, host, config, &waited, cancel)
                    .map(|stream| Stream::Tls(Box::new(stream))),
            })
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
fn connect_any(
    addresses: &[SocketAddr],
    waited: &Waited,
    cancel: &Cancel,
) -> io::Result<TcpStream> {
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

fn connect_tcp(address: SocketAddr, waited: &Waited, cancel: &Cancel) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    establish(&socket, &address.into(), waited, cancel)?;
    Ok(socket.into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_ones_own_networks_are_private() {
        let private = |text: &str| is_private(text.parse::<IpAddr>().unwrap().to_canonical());
        for own in [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.1",
            "192.168.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(private(own), "{own}");
        }
        for other in [
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2001:db8::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(!private(other), "{other}");
        }
    }
}
