"""Loopback peers that are no Redis: each shows one way in which a connection goes wrong."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer

from tests.servers import HOST

ACCEPT_SECONDS = 0.05
"""How often a peer looks whether it shall end."""


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """The port of a peer that accepts connections and never says a word."""
    with listening(lambda _: None) as port:
        yield port


@contextlib.contextmanager
def closing() -> Iterator[int]:
    """The port of a peer that hangs up on whoever connects."""
    with listening(lambda connection: connection.close()) as port:
        yield port


@contextlib.contextmanager
def saying(answer: bytes) -> Iterator[int]:
    """The port of a peer that says one thing, whatever it is told, and then waits."""
    with listening(lambda connection: connection.sendall(answer)) as port:
        yield port


@contextlib.contextmanager
def full() -> Iterator[int]:
    """The port of a peer whose queue of connections is full: connecting never comes to an end."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((HOST, 0), backlog=0))
        port: int = listener.getsockname()[1]
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex((HOST, port))
        yield port


@contextlib.contextmanager
def http() -> Iterator[int]:
    """The port of a web server."""
    server = HTTPServer((HOST, 0), _Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(ACCEPT_SECONDS,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def counting_cursors(keys: int) -> Iterator[int]:
    """The port of a peer with numbered keys, whose cursors are how many it has named."""
    info = f"redis_version:7.0.0\r\nrun_id:strange\r\ndb0:keys={keys},expires=0\r\n"

    def bulk(text: str) -> str:
        return f"${len(text)}\r\n{text}\r\n"

    def answer(words: Sequence[str]) -> str:
        match words:
            case ["INFO", *_]:
                return bulk(info)
            case ["SCAN", cursor, *_]:
                begin, end = int(cursor), min(int(cursor) + 10, keys)
                names = "".join(bulk(f"key:{number}") for number in range(begin, end))
                following = str(end if end < keys else 0)
                return f"*2\r\n{bulk(following)}*{max(end - begin, 0)}\r\n{names}"
            case _:
                return "+OK\r\n"

    def meet(connection: socket.socket) -> None:
        with connection.makefile("rb") as commands:
            while line := commands.readline():
                words = []
                for _ in range(int(line[1:])):
                    length = int(commands.readline()[1:])
                    words.append(commands.read(length + 2)[:-2].decode())
                connection.sendall(answer(words).encode())

    with listening(lambda connection: _in_thread(meet, connection)) as port:
        yield port


def _in_thread(meet: Callable[[socket.socket], None], connection: socket.socket) -> None:
    threading.Thread(target=meet, args=(connection,), daemon=True).start()


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing on the terminal."""


@contextlib.contextmanager
def listening(meet: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen on a free port, and do one thing with every connection."""
    listener = socket.create_server((HOST, 0))
    listener.settimeout(ACCEPT_SECONDS)
    connections: list[socket.socket] = []
    ending = threading.Event()

    def accept() -> None:
        while not ending.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                connections.append(connection)
                meet(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ending.set()
        thread.join()
        for each in (*connections, listener):
            each.close()
