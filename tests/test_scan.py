"""A scan names each key once, by pattern, and survives what others do to the keys meanwhile."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import redis
from lakeflow_redis import LakeflowConnect

from tests import data, oracle
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES
from tests.servers import Server
from tests.waiting import meanwhile

PATTERNS = {
    "*": {"a", "a:1", "a:2", "ab:1", "b:1", "[a]:1", "é:1", "a*"},
    "a:*": {"a:1", "a:2"},
    "a?:1": {"ab:1"},
    "[ab]:1": {"a:1", "b:1"},
    "[^a]:1": {"b:1"},
    r"\[a\]:1": {"[a]:1"},
    r"a\*": {"a*"},
    "é*": {"é:1"},
    "a": {"a"},
    "nothing": set(),
    "": set(),
}


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("table", [*CONTENT_TABLES, "keys"])
def test_a_pattern_chooses_keys_as_scan_does(
    connect: Connect, client: redis.Redis, table: str, pattern: str
) -> None:
    for name in PATTERNS["*"]:
        data.add_one(client, "strings" if table == "keys" else table, name)
    expected = {name.decode() for name in oracle.scan(oracle.Raw(client), pattern)}
    records, _ = connect().read_table(table, None, {"key_pattern": pattern})
    found = [row["key_name"] for row in records]
    assert sorted(found) == sorted(expected)
    if pattern not in ("", "[^a]:1"):
        assert expected == PATTERNS[pattern]


KEYS = 50_000
SURVIVORS = 20
"""One key in so many survives."""


def test_keys_that_survive_a_shrinking_database_come_exactly_once(
    server: Server, connect: Connect, client: redis.Redis
) -> None:
    names = list(data.fill_many(client, KEYS))
    survivors = set(names[::SURVIVORS])
    others = [name for name in names if name not in survivors]
    with meanwhile(lambda _: delete(server, others)):
        records, _ = connect(batch_size="10").read_table("strings")
        found = Counter(row["key_name"] for row in records)
    assert [name for name, count in found.items() if count > 1] == []
    assert survivors <= found.keys()


def delete(server: Server, names: list[str]) -> None:
    """Delete keys, little by little."""
    with server.client() as client:
        for start in range(0, len(names), 200):
            client.delete(*names[start : start + 200])


@pytest.fixture(scope="module")
def lively_server(server: Server) -> Iterator[Server]:
    """A server that resizes its tables as soon as it may, and not ten times a second."""
    with Server(server.flavour, "--hz", "500") as lively:
        yield lively


REPEATED = 5


def test_keys_that_scan_repeats_come_exactly_once(lively_server: Server) -> None:
    with lively_server.client() as client:
        names = data.fill_many(client, 500).keys()
    connector = LakeflowConnect(lively_server.options(batch_size="1"))
    repeated = Counter(duplicates=0)
    with meanwhile(lambda ending: grow_and_shrink(lively_server, ending)):
        for _ in until(repeated, REPEATED):
            records, _ = connector.read_table("keys")
            found = Counter(row["key_name"] for row in records)
            assert [name for name, count in found.items() if count > 1] == []
            assert names <= found.keys()
            repeated["duplicates"] += records.receipt["duplicates_dropped"]


def grow_and_shrink(server: Server, ending: threading.Event) -> None:
    """Make many keys and delete them, over and over: SCAN repeats keys when a table shrinks."""
    many = {f"late:{number}": "v" for number in range(20_000)}
    with server.client() as client:
        while not ending.is_set():
            client.mset(many)
            client.delete(*many)
            # Time for the server to resize.
            time.sleep(0.004)


STABLE = 300
VOLATILE = 300
MISSED = 5


@pytest.mark.parametrize("table", CONTENT_TABLES)
def test_keys_that_go_and_change_type_while_read_leave_no_trace(
    server: Server, connect: Connect, client: redis.Redis, table: str
) -> None:
    stable = {f"stable:{number}" for number in range(STABLE)}
    for name in stable:
        data.add_one(client, table, name, name)
    connector = connect(batch_size="7", fail_on_data_loss="false")
    missed = Counter(keys_gone=0, keys_changed_type=0)
    with meanwhile(lambda ending: churn(server, table, ending)):
        for _ in until(missed, MISSED):
            receipt = read_churned(connector, table, stable)
            missed.update({name: receipt[name] for name in missed})


def churn(server: Server, table: str, ending: threading.Event) -> None:
    """Make, delete and change the type of keys."""
    others = [other for other in CONTENT_TABLES if other != table]
    chance = random.Random(7)
    with server.client() as client:
        while not ending.is_set():
            name = f"volatile:{chance.randrange(VOLATILE)}"
            pipe = client.pipeline(transaction=True)
            pipe.delete(name)
            match chance.randrange(4):
                case 0:
                    data.add_one(pipe, chance.choice(others), name, name)
                case 1 | 2:
                    data.add_one(pipe, table, name, name)
            pipe.execute()


def read_churned(connector: LakeflowConnect, table: str, stable: set[str]) -> dict[str, Any]:
    """Read a table, check it, and give its receipt.

    Every row belongs together, every stable key is there, and none comes twice.
    """
    records, _ = connector.read_table(table)
    names = []
    for row in records:
        names.append(row["key_name"])
        value = row.get("value", row.get("member"))
        if table == "streams":
            value = oracle.parse_fields(row["fields"])["f"]
        assert value == row["key_name"]
    assert len(set(names)) == len(names)
    assert stable <= set(names)
    assert records.receipt["complete"] is True
    return records.receipt


def test_keys_that_expire_while_read_leave_no_trace(connect: Connect, client: redis.Redis) -> None:
    pipe = client.pipeline(transaction=False)
    for number in range(3000):
        pipe.set(f"expires:{number}", "v", px=1 + number % 300)
    pipe.set("stays", "v")
    pipe.execute()
    for table in ("keys", "strings"):
        records, _ = connect(batch_size="5").read_table(table)
        rows = list(records)
        assert "stays" in {row["key_name"] for row in rows}
        assert all(row["ttl_seconds"] in (0, None) for row in rows)
        if table == "keys":
            assert {row["key_type"] for row in rows} == {"string"}


PATIENCE = 60.0
"""Seconds within which what is provoked must have happened; it takes one or two."""


def until(counts: Mapping[str, int], wanted: int) -> Iterator[None]:
    """Go on until each count has come so far; fail where one never does."""
    deadline = time.monotonic() + PATIENCE
    while min(counts.values()) < wanted:
        assert time.monotonic() < deadline, f"what was to be provoked never happened: {counts}"
        yield
