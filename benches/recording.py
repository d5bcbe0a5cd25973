"""A proxy that records what a client sends, and how much it had been answered by then."""

import json
import selectors
import socket
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Self

from tests.servers import HOST

BYTES_PER_RECEIVE = 1 << 20


class Chunk(NamedTuple):
    """Bytes that were sent in one go."""

    connection: int
    """On which connection, in the order in which they were opened."""
    length: int
    answered: int
    """Bytes of replies, on all connections, that had been passed on before."""


@dataclass(frozen=True, slots=True)
class Recording:
    """All that was sent during one read."""

    rows: int
    answered: int
    """Bytes of all replies."""
    chunks: list[Chunk]

    def save(self, folder: Path) -> None:
        """Write it down; the bytes themselves stand beside it."""
        (folder / "chunks.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> "Recording":
        """Read it again."""
        saved = json.loads((folder / "chunks.json").read_text())
        return cls(saved["rows"], saved["answered"], [Chunk(*one) for one in saved["chunks"]])


def commands_file(folder: Path) -> Path:
    """Where the bytes that were sent are."""
    return folder / "commands"


class Recorder:
    """Listens on a port of its own, and passes everything on to a server.

    One thread does it all, and looks at what the client sends before it passes replies on,
    so that no reply counts as one that the client had when it sent.
    """

    def __init__(self, server: tuple[str, int], folder: Path) -> None:
        self.chunks: list[Chunk] = []
        self.answered = 0
        self._server = server
        self._commands = commands_file(folder).open("wb")
        self._listener = socket.create_server((HOST, 0))
        self._selector = selectors.DefaultSelector()
        self._sockets: list[socket.socket] = []
        self._opened = 0
        self._stop, self._stopper = socket.socketpair()
        self._thread = threading.Thread(target=self._pass_on)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopper.close()
        self._thread.join()
        for one in (self._listener, self._stop, *self._sockets):
            one.close()
        self._selector.close()
        self._commands.close()

    def _pass_on(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._selector.register(self._stop, selectors.EVENT_READ, None)
        while True:
            ready = [key for key, _ in self._selector.select()]
            if any(key.fileobj is self._stop for key in ready):
                return
            for key in sorted(ready, key=lambda key: key.data is not None and key.data[0] is None):
                if key.data is None:
                    self._open()
                else:
                    self._pass(key.fileobj, *key.data)  # type: ignore[arg-type]

    def _open(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(self._server)
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(client, selectors.EVENT_READ, (self._opened, server))
        self._selector.register(server, selectors.EVENT_READ, (None, client))
        self._sockets += (client, server)
        self._opened += 1

    def _pass(self, source: socket.socket, connection: int | None, sink: socket.socket) -> None:
        received = source.recv(BYTES_PER_RECEIVE)
        if not received:
            self._selector.unregister(source)
            sink.shutdown(socket.SHUT_WR)
            return
        if connection is None:
            self.answered += len(received)
        else:
            self._record(connection, received)
        sink.sendall(received)

    def _record(self, connection: int, sent: bytes) -> None:
        self._commands.write(sent)
        last = self.chunks[-1] if self.chunks else None
        if last and last.connection == connection and last.answered == self.answered:
            # Nothing came between: it was one piece until the kernel or the client cut it.
            self.chunks[-1] = last._replace(length=last.length + len(sent))
        else:
            self.chunks.append(Chunk(connection, len(sent), self.answered))
