"""Loopback peers that are no Redis: each shows one way in which a connection goes wrong."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
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
