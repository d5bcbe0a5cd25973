"""A server with little in it, so that whole conversations with it are of some kB, and the way to it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lakeflow_redis import LakeflowConnect, LakeflowRedisError

from tests import data, faults, oracle, sound
from tests.contract import CONTENT_TABLES
from tests.faults import Fault, Proxy
from tests.large import PAGED, add_large
from tests.oracle import Row
from tests.servers import HOST, REDIS_7_0, Server

KEYS = 3
"""Keys of each type: a conversation about them is of some kB."""

LARGE_DB = 1
"""Where keys are that are read in pages."""

SLACK = 50
"""Bytes by which two conversations may differ: the numbers in INFO grow."""


@dataclass
class Small:
    """A server with a few keys of every type, and a way to it."""

    server: Server
    proxy: Proxy

    def options(self, **more: str) -> dict[str, str]:
        """The options for the way through the proxy."""
        return sound.at_once(through(self.proxy, self.server) | more)

    def expected(self, table: str, db: int = 0) -> list[Row]:
        """The rows of a table."""
        with self.server.client(db) as client:
            return oracle.read(client, table)

    def said(self, *names: str, **options: str) -> bytes:
        """What the server says when tables are read; of none, what comes before all."""
        said = bytearray()
        self.proxy.once(faults.recorded(said))
        connector = LakeflowConnect(self.options(**options))
        if names:
            connector.read_tables(names)[0].read_all()
        else:
            assert connector.test_connection()["status"] == "success"
        return bytes(said)

    def endure(self, table: str, afflictions: Sequence[Fault]) -> list[LakeflowRedisError]:
        """Read a table under one fault after the other; gives the errors."""
        options, expected = self.options(), self.expected(table)
        errors = []
        for fault in afflictions:
            self.proxy.once(fault)
            error = sound.attempt(options, table, expected)
            errors += [] if error is None else [error]
        return errors


def through(proxy: Proxy, server: Server) -> dict[str, str]:
    """The options of a server for the way through a proxy."""
    return server.options(host=HOST, port=str(proxy.port))


@contextmanager
def small_server(*config: str) -> Iterator[Small]:
    """A server whose keys hold their own names, so that a value under another key is seen."""
    with (
        Server(REDIS_7_0, *config) as server,
        server.client() as client,
        Proxy(server.port) as proxy,
    ):
        for table in CONTENT_TABLES:
            for number in range(KEYS):
                data.add_one(client, table, f"{table}:{number}", f"value of {table}:{number}")
        client.expire("strings:0", data.TTL_SECONDS)
        with server.client(LARGE_DB) as other:
            for table in PAGED:
                add_large(other, table, f"large:{table}")
                data.add_one(other, table, f"small:{table}")
        yield Small(server, proxy)
