"""Loopback peers of a TLS client: each shows one way in which encryption goes wrong or ends."""

import contextlib
import select
import socket
import ssl
from collections.abc import Callable, Iterator

from tests.faults import Fault, Said
from tests.peers import listening
from tests.servers import HOST
from tests.tls import Pair

CHUNK = 65_536
RECORD_HEAD = 5
"""Bytes before each TLS record: its type, a version, and in the last two its length."""

Names = list[str | None]
"""What clients called the server; None where they said nothing."""


def server_context(pair: Pair) -> ssl.SSLContext:
    """The TLS of a server that shows a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


@contextlib.contextmanager
def hearing(pair: Pair) -> Iterator[tuple[int, Names]]:
    """The port of a peer that shakes hands and hangs up, and the names that it was called by."""
    names: Names = []
    context = server_context(pair)
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def meet(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True):
            pass

    with listening(meet) as port:
        yield port, names


@contextlib.contextmanager
def halfway(pair: Pair, then: Callable[[socket.socket], object]) -> Iterator[int]:
    """The port of a peer that says half of its part in the handshake, and then does one thing."""
    context = server_context(pair)

    def meet(connection: socket.socket) -> None:
        answer = _first_answer(context, connection)
        connection.sendall(answer[: len(answer) // 2])
        then(connection)

    with listening(meet) as port:
        yield port


def cut_between_records(after: int) -> Fault:
    """Hang up at the first end of a TLS record after so many bytes."""

    def fault(said: Said) -> Said:
        passed, held = 0, b""
        for part in said:
            held += part
            while passed < after and len(held) >= (size := _size_of_record(held)):
                yield held[:size]
                passed, held = passed + size, held[size:]
            if passed >= after:
                return

    return fault


def _size_of_record(held: bytes) -> int:
    """How long the TLS record is that begins here, as far as that is known."""
    return RECORD_HEAD + int.from_bytes(held[RECORD_HEAD - 2 : RECORD_HEAD])


@contextlib.contextmanager
def parting(port: int, after: int, pair: Pair) -> Iterator[int]:
    """The port of a TLS server before one without, that says goodbye after so many bytes of replies."""
    context = server_context(pair)

    def meet(connection: socket.socket) -> None:
        left = after
        # One thread for both ways, as a session is not for several.
        with (
            context.wrap_socket(connection, server_side=True) as client,
            socket.create_connection((HOST, port)) as server,
        ):
            while left:
                ready, _, _ = select.select([client, server], [], [])
                if client in ready:
                    server.sendall(client.recv(CHUNK))
                if server in ready:
                    part = server.recv(min(CHUNK, left))
                    client.sendall(part)
                    left -= len(part)
            client.settimeout(1)
            client.unwrap()

    with listening(meet) as own_port:
        yield own_port


def _first_answer(context: ssl.SSLContext, connection: socket.socket) -> bytes:
    """All that a server says to a client's first words."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_side=True)
    while not outgoing.pending:
        part = connection.recv(CHUNK)
        if not part:
            raise ConnectionError("the client left before it had said anything")
        incoming.write(part)
        with contextlib.suppress(ssl.SSLWantReadError):
            session.do_handshake()
    return outgoing.read()
