"""The commands that a connector sends, as the server's own MONITOR shows them."""

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import redis

from tests.servers import Server

LINE = re.compile(rb"[\d.]+ \[(\d+) (\S+)\] (.*)", re.DOTALL)
WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.DOTALL)
ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}

CONTAINERS = {"client", "cluster", "memory", "object", "xinfo"}
"""Commands whose second word is a command of its own for ACL rules."""


@dataclass(frozen=True)
class Command:
    """A command that a server ran; one that it refused for want of permission it does not show."""

    db: int
    """The database that was selected; of SELECT itself, the one before or after it."""
    words: tuple[bytes, ...]

    @property
    def name(self) -> str:
        """As ACL rules name it: `get`, `memory|usage`."""
        first = self.words[0].decode().lower()
        return f"{first}|{self.words[1].decode().lower()}" if first in CONTAINERS else first

    def option(self, name: str) -> bytes | None:
        """What follows a word such as MATCH; None where it is not there."""
        wanted = name.encode()
        return next((value for word, value in self._pairs() if word.upper() == wanted), None)

    def _pairs(self) -> Iterable[tuple[bytes, bytes]]:
        return zip(self.words, self.words[1:], strict=False)


class Monitor:
    """Collects what connectors send to a server while a block runs.

    A connection that was there before the block is the test's own, and so are its commands: by
    what a connection calls itself they cannot be told, since CLIENT SETNAME is not shown by all
    versions. A test that opens another one inside the block takes it for a connector's.
    """

    def __init__(self, server: Server) -> None:
        self._client = server.client()
        self._marker = uuid4().hex.encode()
        self._lines: list[bytes] = []
        self._failed: Exception | None = None

    def __enter__(self) -> Self:
        # Entering waits until the server has said that it monitors from now on.
        watching: Any = self._client
        self._monitor = watching.monitor().__enter__()
        # By a second connection, which the marker will come over, too.
        self._own = {each["addr"] for each in self._client.client_list()}
        self._thread = threading.Thread(target=self._collect)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.echo(self._marker)
        self._thread.join()
        self._monitor.__exit__(kind, error, trace)
        self._client.close()
        if self._failed is not None:
            raise self._failed

    @property
    def commands(self) -> list[Command]:
        """All of them, in their order; the block must be over."""
        assert not self._thread.is_alive()
        found = []
        for line in self._lines:
            matched = LINE.fullmatch(line)
            assert matched is not None, f"MONITOR showed {line!r}"
            db, address, rest = matched.groups()
            words = tuple(_unescaped(word) for word in WORD.findall(rest))
            if address.decode() not in self._own:
                found.append(Command(int(db), words))
        return found

    def named(self, *names: str) -> list[Command]:
        """Those of these names."""
        return [command for command in self.commands if command.name in names]

    def names(self) -> set[str]:
        """Their names."""
        return {command.name for command in self.commands}

    def _collect(self) -> None:
        try:
            # What redis-py makes of a line cannot be taken apart into its words again.
            while self._marker not in (
                line := self._monitor.connection.read_response(disable_decoding=True)
            ):
                self._lines.append(line)
        except (redis.RedisError, OSError) as error:
            self._failed = error


def _unescaped(word: bytes) -> bytes:
    """A word as it was sent, out of one as MONITOR shows it."""

    def meant(escape: re.Match[bytes]) -> bytes:
        code = escape.group(1)
        if len(code) > 1:
            return bytes([int(code[1:], 16)])
        return ESCAPED.get(code, code)

    return ESCAPE.sub(meant, word)
