"""Peers in the place of a node or a Sentinel: one that errs, and one that says nothing."""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from tests.peers import listening
from tests.servers import HOST

Answers = Mapping[str, bytes]
"""The reply to a command, by its first two words or its first, in capitals; any other is answered
by OK."""


@contextlib.contextmanager
def answering(answers: Answers) -> Iterator[int]:
    """The port of a peer that answers one client at a time."""

    def meet(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as commands:
            while command := _command(commands):
                first, both = (b" ".join(command[:n]).decode().upper() for n in (1, 2))
                connection.sendall(answers.get(both, answers.get(first, b"+OK\r\n")))

    with listening(meet) as port:
        yield port


Met = list[socket.socket]
"""The connections of those who came."""


@contextlib.contextmanager
def silent() -> Iterator[tuple[str, Met]]:
    """The address of a peer that never says a word, and who came to it."""
    met: Met = []
    with listening(met.append) as port:
        yield f"{HOST}:{port}", met


def array(*words: str) -> bytes:
    """A reply of several words."""
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded)


def _command(commands: BinaryIO) -> list[bytes]:
    """The words of the next command; none at the end."""
    head = commands.readline()
    words = []
    for _ in range(int(head[1:]) if head else 0):
        length = int(commands.readline()[1:])
        words.append(commands.read(length))
        commands.readline()
    return words
