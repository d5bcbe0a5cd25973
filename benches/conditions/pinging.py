"""A second client that says PING once a millisecond, and how long it waits for its PONGs."""

import gc
import socket
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple, Self

INTERVAL_SECONDS = 0.001
PING = b"PING\r\n"
PONG = b"+PONG\r\n"


Span = tuple[float, float]
"""From when until when."""


class Ping(NamedTuple):
    """When it was said, and how long the answer took."""

    said: float
    seconds: float


class Waits(NamedTuple):
    """Milliseconds that PING waited."""

    half: float
    most: float
    """All but one in a hundred."""
    longest: float

    def __str__(self) -> str:
        return f"p50 {self.half:.2f}, p99 {self.most:.2f}, max {self.longest:.2f} ms"


class Pinger:
    """Says PING as long as it is entered."""

    def __init__(self, host: str, port: int) -> None:
        self.pings: list[Ping] = []
        self._wire = socket.create_connection((host, port))
        self._wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        gc.disable()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._wire.close()
        gc.enable()

    def _run(self) -> None:
        while not self._over.is_set():
            said = time.monotonic()
            self._wire.sendall(PING)
            answer = b""
            while not answer.endswith(PONG):
                answer += self._wire.recv(len(PONG))
            self.pings.append(Ping(said, time.monotonic() - said))
            time.sleep(INTERVAL_SECONDS)

    def waits(self, spans: Sequence[Span]) -> Waits:
        """Sum up those said in any of these spans.

        While one waits, the next are not said. They are counted as if they had been, each
        having waited a millisecond less than the one before: a client that comes at any
        moment would have waited so long.
        """
        seconds = []
        for ping in self.pings:
            if any(start <= ping.said <= end for start, end in spans):
                wait = ping.seconds
                seconds.append(wait)
                while (wait := wait - INTERVAL_SECONDS) > 0:
                    seconds.append(wait)
        seconds.sort()
        at = (0.50, 0.99, 1.0)
        last = len(seconds) - 1
        return Waits(*(seconds[round(part * last)] * 1000 for part in at))
