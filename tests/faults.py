"""A way to a server through which its replies come badly: cut off, late, piece by piece, or not at all."""

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

from tests.peers import listening
from tests.servers import HOST
from tests.waiting import SECONDS

CHUNK = 65_536

Said = Iterator[bytes]
"""What a server says over one connection, as it comes."""

Fault = Callable[[Said], Said]
"""What a client hears of that. Where it comes to its end, the connection is cut."""


class ResetError(Exception):
    """Raised by a fault: the connection is reset, and not closed."""


def whole(said: Said) -> Said:
    """No fault at all."""
    return said


def recorded(into: bytearray) -> Fault:
    """No fault, but all is kept that was said."""

    def fault(said: Said) -> Said:
        for part in said:
            into.extend(part)
            yield part

    return fault


def instead(nth: int, other: bytes) -> Fault:
    """Say something else in the place of one reply, counted from 0."""

    def fault(said: Said) -> Said:
        for number, reply in enumerate(replies(said)):
            yield other if number == nth else reply

    return fault


def replies(said: Said) -> Iterator[bytes]:
    """What a server says in RESP2, reply by reply."""
    held = b""
    for part in said:
        held += part
        while (end := _end_of_reply(held, 0)) is not None:
            yield held[:end]
            held = held[end:]


def _end_of_reply(held: bytes, at: int) -> int | None:
    """Where the reply ends that begins here, if it is whole."""
    line = held.find(b"\r\n", at)
    if line < 0:
        return None
    end: int | None = line + 2
    match held[at : at + 1]:
        case b"$" if held[at + 1 : line] != b"-1":
            end = line + 2 + int(held[at + 1 : line]) + 2
            return end if end <= len(held) else None
        case b"*":
            for _ in range(int(held[at + 1 : line])):
                end = None if end is None else _end_of_reply(held, end)
    return end


def cut(after: int) -> Fault:
    """Hang up after so many bytes."""
    return lambda said: _first(said, after)


def reset(after: int) -> Fault:
    """Hang up without a goodbye (RST) after so many bytes."""

    def fault(said: Said) -> Said:
        yield from _first(said, after)
        raise ResetError

    return fault


def silence(after: int) -> Fault:
    """Say nothing more after so many bytes, and stay."""

    def fault(said: Said) -> Said:
        yield from _first(said, after)
        for _ in said:
            pass

    return fault


def byte_by_byte(said: Said) -> Said:
    """Send each byte by itself."""
    for part in said:
        yield from (part[at : at + 1] for at in range(len(part)))


def delay(seconds: float) -> Fault:
    """Hold up whatever comes."""

    def fault(said: Said) -> Said:
        for part in said:
            time.sleep(seconds)
            yield part

    return fault


def throttle(rate: int) -> Fault:
    """Let so many bytes through in a second."""
    steps = 100

    def fault(said: Said) -> Said:
        size = max(rate // steps, 1)
        for part in said:
            for at in range(0, len(part), size):
                time.sleep(1 / steps)
                yield part[at : at + size]

    return fault


class Gate:
    """A place in what a server says at which it is held up, so that something can happen in the meantime."""

    def __init__(self) -> None:
        self._passed = threading.Event()
        self._reached = False
        self._opened = threading.Event()

    def after(self, size: int) -> Fault:
        """The place is behind so many bytes."""

        def fault(said: Said) -> Said:
            left = size
            for part in said:
                if 0 <= left <= len(part):
                    yield part[:left]
                    self._hold()
                    yield part[left:]
                else:
                    yield part
                left -= len(part)
            self._passed.set()

        return fault

    def before(self, nth: int) -> Fault:
        """The place is before one reply, counted from 0."""

        def fault(said: Said) -> Said:
            for number, reply in enumerate(replies(said)):
                if number == nth:
                    self._hold()
                yield reply
            self._passed.set()

        return fault

    @contextlib.contextmanager
    def held(self, *, surely: bool = True) -> Iterator[None]:
        """Wait for that; what is said goes on behind the block.

        Args:
            surely: whether it is a failure if the server never says so much.
        """
        try:
            assert self._passed.wait(SECONDS), "nobody came this way"
            assert self._reached or not surely, "the server has not said so much"
            yield
        finally:
            self._opened.set()

    def _hold(self) -> None:
        self._reached = True
        self._passed.set()
        self._opened.wait()


def _first(said: Said, size: int) -> Said:
    """The first bytes of all."""
    while size > 0 and (part := next(said, b"")):
        yield part[:size]
        size -= len(part)


class Proxy:
    """A port that leads to a server's.

    Args:
        server: the server's port; it may be replaced.
        every: what becomes of every connection for which nothing else is said; it may be replaced.
    """

    def __init__(self, server: int, every: Fault = whole) -> None:
        self.server = server
        self.every = every
        self._next: list[Fault] = []
        self._clients: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        # The last to be done: then nobody comes any more.
        self._stack.callback(self._end)
        self.port = self._stack.enter_context(listening(self._meet))
        """Where to connect."""
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def once(self, *following: Fault) -> None:
        """Let these come upon the next connections, one each; those behind them are as ever."""
        self._next = list(following)

    def _meet(self, connection: socket.socket) -> None:
        fault = self._next.pop(0) if self._next else self.every
        # It is closed here and nowhere else: by a number that another one has by then, say.
        client = socket.socket(fileno=connection.detach())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=self._relay, args=(client, fault), daemon=True)
        self._clients.append(client)
        self._threads.append(thread)
        thread.start()

    def _relay(self, client: socket.socket, fault: Fault) -> None:
        with (
            client,
            contextlib.suppress(OSError),
            socket.create_connection((HOST, self.server)) as server,
        ):
            try:
                for part in fault(_said(client, server)):
                    client.sendall(part)
            except ResetError:
                # To linger for no time is to reset.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _end(self) -> None:
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


def _said(client: socket.socket, server: socket.socket) -> Said:
    """What a server says, while it is told what the client says, until one of them is gone."""
    while True:
        ready, _, _ = select.select([client, server], [], [])
        for sender in ready:
            part = sender.recv(CHUNK)
            if not part:
                return
            if sender is client:
                server.sendall(part)
            else:
                yield part
