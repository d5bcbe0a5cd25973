"""Reads of several databases: rows that say in `db` where they come from."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import redis

from tests.compare import assert_one_recent_time, assert_same_rows
from tests.oracle import Row
from tests.servers import Server


@contextmanager
def emptied(server: Server, databases: Iterable[int]) -> Iterator[dict[int, redis.Redis]]:
    """Clients on databases of a server that holds nothing, neither at first nor afterwards."""
    clients = {db: server.client(db) for db in databases}
    try:
        for client in clients.values():
            client.flushall()
        yield clients
    finally:
        for client in clients.values():
            client.flushall()
            client.close()


def apart(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """The rows of each database, without the column that tells, which is the last."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        *names, last = row
        assert last == "db"
        found.setdefault(row["db"], []).append({name: row[name] for name in names})
    return found


def assert_same_by_database(
    table: str, actual: Iterable[Row], expected: Mapping[int, list[Row]]
) -> None:
    """Fail unless the rows of each database are the expected ones, and are of one moment."""
    actual = list(actual)
    assert_one_recent_time(actual)
    found = apart(actual)
    assert found.keys() == {db for db, rows in expected.items() if rows}
    for db, rows in found.items():
        assert_same_rows(table, rows, expected[db])
