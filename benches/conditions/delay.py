"""A proxy that delays every byte, each way, and holds back none of them otherwise.

`python -m benches.conditions.delay HOST PORT SECONDS` prints the port on which it listens,
and ends when its standard input does. What is under way at once is as much as either side
sends: a long line, not a narrow one.
"""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue

from tests.servers import HOST

BYTES_PER_RECEIVE = 1 << 18

Timed = tuple[float, bytes]


def take(source: socket.socket, line: SimpleQueue[Timed], delay: float) -> None:
    """Put what comes on the line, with the time when it will be at the other end."""
    with contextlib.suppress(OSError):
        while received := source.recv(BYTES_PER_RECEIVE):
            line.put((time.monotonic() + delay, received))
    line.put((time.monotonic() + delay, b""))


def give(sink: socket.socket, line: SimpleQueue[Timed]) -> None:
    """Pass on what has come to the line's end."""
    with contextlib.suppress(OSError):
        while True:
            due, received = line.get()
            if (early := due - time.monotonic()) > 0:
                time.sleep(early)
            if not received:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(received)


def connect(client: socket.socket, server: socket.socket, delay: float) -> None:
    """Lay a line each way."""
    for one in (client, server):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for source, sink in ((client, server), (server, client)):
        line: SimpleQueue[Timed] = SimpleQueue()
        threading.Thread(target=take, args=(source, line, delay), daemon=True).start()
        threading.Thread(target=give, args=(sink, line), daemon=True).start()


def serve(server: tuple[str, int], delay: float) -> None:
    """Listen until standard input ends."""
    listener = socket.create_server((HOST, 0))
    print(listener.getsockname()[1], flush=True)

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            connect(client, socket.create_connection(server), delay)

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


@contextlib.contextmanager
def distant(host: str, port: int, delay: float) -> Iterator[int]:
    """Run the proxy in a process of its own; gives the port that leads to the server."""
    command = [sys.executable, "-m", "benches.conditions.delay", host, str(port), str(delay)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as proxy:
        assert proxy.stdin is not None
        assert proxy.stdout is not None
        try:
            yield int(proxy.stdout.readline())
        finally:
            proxy.stdin.close()


if __name__ == "__main__":
    host, port, seconds = sys.argv[1:]
    serve((host, int(port)), float(seconds))
