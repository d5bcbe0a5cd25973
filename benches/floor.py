"""The floor: what it takes to send ours' commands and throw the replies away.

No client that asks the server for the same in the same portions can be faster. What ours
sends is recorded in a run of its own; the replay sends a chunk once as many bytes of
replies have come as ours had been given when it sent it.
"""

import mmap
import selectors
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from benches.reading import Read, Task
from benches.recording import Recorder, Recording, commands_file
from benches.running import run_ours

BUFFER_BYTES = 1 << 20
SLACK_BYTES = 128 << 10
"""How many bytes earlier a chunk may go: the proxy had passed on what lay in sockets' buffers
still, so that ours in truth sent before it had all that was counted."""
STALL_SECONDS = 0.005
"""When the server has had nothing to say for so long, everything has come: replies are shorter
than they were when recorded, as a TTL of five digits is shorter than one of six."""
LIKENESS = 0.05
"""By how much of them the replies' bytes may differ from those recorded."""

LAST_WORD = b"the last word of the replay"
ECHO = b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" % (len(LAST_WORD), LAST_WORD)


def address(url: str) -> tuple[str, int]:
    """Return the host and port of a URL that has both."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def record(task: Task, folder: Path) -> None:
    """Let ours read through a proxy that notes what it sends."""
    with Recorder(address(task.url), folder) as recorder:
        read = run_ours(replace(task, url=f"redis://127.0.0.1:{recorder.port}/0"))
    Recording(read.rows, recorder.answered, recorder.chunks).save(folder)


class Wires:
    """Connections whose replies are counted and thrown away."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.received = 0
        self._server = server
        self._sockets: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        self._buffer = memoryview(bytearray(BUFFER_BYTES))

    def close(self) -> None:
        """Close them all."""
        self._selector.close()
        for one in self._sockets:
            one.close()

    def send(self, connection: int, data: memoryview) -> None:
        """Send, and take in replies all the while."""
        while connection >= len(self._sockets):
            opened = socket.create_connection(self._server)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.settimeout(0)
            self._selector.register(opened, selectors.EVENT_READ)
            self._sockets.append(opened)
        wire = self._sockets[connection]
        while data:
            try:
                data = data[wire.send(data) :]
            except BlockingIOError:
                self._selector.modify(wire, selectors.EVENT_READ | selectors.EVENT_WRITE)
                self.take(None)
                self._selector.modify(wire, selectors.EVENT_READ)

    def take(self, seconds: float | None) -> bool:
        """Take in what there is; say whether anything happened in so many seconds."""
        ready = self._selector.select(seconds)
        for key, events in ready:
            if events & selectors.EVENT_READ:
                taken = key.fileobj.recv_into(self._buffer)  # type: ignore[union-attr]
                if not taken:
                    raise ConnectionError("the server hung up in the middle of the replay")
                self.received += taken
        return bool(ready)

    def finish(self) -> None:
        """Take in all that is still to come."""
        self._selector.close()
        for wire in self._sockets:
            wire.settimeout(None)
            wire.sendall(ECHO)
            tail = b""
            while not tail.endswith(LAST_WORD + b"\r\n"):
                taken = wire.recv_into(self._buffer)
                if not taken:
                    break  # The server hung up, as after QUIT.
                self.received += taken
                tail = (tail + bytes(self._buffer[max(0, taken - len(ECHO)) : taken]))[-len(ECHO) :]


@contextmanager
def commands_of(folder: Path) -> Iterator[memoryview]:
    """Map the recorded bytes into memory."""
    with (
        commands_file(folder).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as commands,
    ):
        yield commands


def replay(task: Task) -> Read:
    """Send what was recorded, and take in what comes.

    Raises:
        ValueError: the replies are not those that were recorded.
    """
    assert task.recording is not None
    folder = Path(task.recording)
    recording = Recording.load(folder)
    with commands_of(folder) as commands, closing(Wires(address(task.url))) as wires:
        at = never_came = 0
        for chunk in recording.chunks:
            while wires.received + never_came < chunk.answered - SLACK_BYTES:
                if not wires.take(STALL_SECONDS):
                    never_came = chunk.answered - wires.received
            wires.send(chunk.connection, commands[at : at + chunk.length])
            at += chunk.length
        wires.finish()
        if abs(wires.received - recording.answered) > LIKENESS * recording.answered:
            message = f"{wires.received:,} bytes came; {recording.answered:,} were recorded"
            raise ValueError(message)
    return Read(rows=recording.rows, keys=None)
