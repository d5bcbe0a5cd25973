"""A reply of another type than the command's is an error, and never taken for another key's."""

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest
from lakeflow_redis import LakeflowConnect, LakeflowRedisError, ProtocolError

from tests import faults, oracle, sound
from tests.contract import TABLES
from tests.conversation import LARGE_DB, Small, small_server
from tests.large import LITTLE, PAGED
from tests.oracle import Row
from tests.servers import HOST, Server

# What a server refuses becomes null, and that is said.
pytestmark = pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")

KINDS = (
    *("string", "integer", "double", "null", "array", "set", "map", "attrib", "push"),
    *("verbatim", "true", "false", "bignum"),
)
"""What DEBUG PROTOCOL can say."""

PLACES = 20
"""Replies of a conversation that are replaced: what follows them is more of the same."""

PONG = b"+PONG\r\n"


@dataclass(frozen=True)
class Odd:
    """A server with little in it, and replies of every type."""

    small: Small
    replies: list[bytes]


@pytest.fixture(scope="module")
def odd() -> Iterator[Odd]:
    """The replies are a server's own, in either version of the protocol."""
    with small_server("--enable-debug-command", "yes") as small:
        said = [said_by(small.server, version, kind) for version in (2, 3) for kind in KINDS]
        assert len(set(said)) > len(KINDS)
        yield Odd(small, list(dict.fromkeys(said)))


def said_by(server: Server, version: int, kind: str) -> bytes:
    """A reply of some type."""
    with socket.create_connection((HOST, server.port)) as connection:

        def ask(command: str) -> bytes:
            connection.sendall(f"{command}\r\nPING\r\n".encode())
            said = b""
            while not said.endswith(PONG):
                said += connection.recv(faults.CHUNK)
            return said.removesuffix(PONG)

        ask(f"HELLO {version}")
        return ask(f"DEBUG PROTOCOL {kind}")


@pytest.mark.parametrize("table", TABLES)
def test_each_reply_of_a_conversation_is_another_one(odd: Odd, table: str) -> None:
    read_oddly(odd, table, odd.small.options(**sound.SOON))


@pytest.mark.parametrize("table", PAGED)
def test_each_reply_about_a_large_key_is_another_one(odd: Odd, table: str) -> None:
    read_oddly(odd, table, odd.small.options(db=str(LARGE_DB), **LITTLE, **sound.SOON), LARGE_DB)


def read_oddly(odd: Odd, table: str, options: dict[str, str], db: int = 0) -> None:
    """Read a table, each time with one odd reply in the place of another one."""
    expected = odd.small.expected(table, db)
    said = faults.replies(iter([odd.small.said(table, **options)]))
    places = min(len(list(said)), PLACES)
    failed = 0
    for reply in odd.replies:
        for place in range(places):
            odd.small.proxy.once(faults.instead(place, reply))
            try:
                rows = list(LakeflowConnect(options).read_table(table)[0])
            except LakeflowRedisError as error:
                sound.check(error, options, LakeflowRedisError)
                failed += 1
            else:
                assert_others_whole(table, rows, expected)
    # Most of them fit nowhere.
    assert failed > len(odd.replies) * places / 2


def assert_others_whole(table: str, rows: Iterable[Row], expected: Iterable[Row]) -> None:
    """Fail unless all rows are there, but for one key's, about which the server may say anything."""
    if table == "server_info":
        return
    found, wanted = by_key(rows), by_key(expected)
    assert found.keys() <= wanted.keys()
    differing = [key for key, its in wanted.items() if found.get(key) != its]
    assert len(differing) <= 1, {key: (found.get(key), wanted[key]) for key in differing}


LEFT_OUT = {
    *("scanned_at", "ttl_seconds"),
    # Refused once, they are null from then on.
    *("idle_time_seconds", "memory_bytes", "encoding", "refcount"),
}
"""Columns that move by themselves, or of all rows together."""


def by_key(rows: Iterable[Row]) -> dict[str, list[tuple[str, ...]]]:
    """The rows of each key, but for those columns."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for row in rows:
        cells = {name: value for name, value in row.items() if name not in LEFT_OUT}
        if isinstance(cells.get("fields"), str):
            cells["fields"] = oracle.parse_fields(cells["fields"])
        found.setdefault(row["key_name"], []).append(tuple(map(repr, cells.values())))
    return {name: sorted(its) for name, its in found.items()}


@pytest.mark.parametrize("reply", [b"$0\r\n\r\n", b"$11\r\nHello World\r\n", b"+OK\r\n"])
def test_what_says_nothing_of_a_server_is_no_table(odd: Odd, reply: bytes) -> None:
    """INFO is asked for twice: to know the server, and for the table."""
    options = odd.small.options(**sound.SOON)
    said = list(faults.replies(iter([odd.small.said("server_info")])))
    assert len(said) == 4
    odd.small.proxy.once(faults.instead(3, reply))
    with pytest.raises(ProtocolError) as caught:
        list(LakeflowConnect(options).read_table("server_info")[0])
    sound.check(caught.value, options, ProtocolError)
