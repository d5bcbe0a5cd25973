"""Keys that go, change or come between any two replies leave no half rows, and none under other keys."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from lakeflow_redis import (
    DataLossError,
    LakeflowConnect,
    LakeflowRedisError,
    RedisConnectionError,
    TopologyChangedError,
)

from tests import data, faults, oracle, sound
from tests.compare import assert_unique_keys
from tests.contract import CONTENT_TABLES, TABLES
from tests.conversation import LARGE_DB, Small, small_server, through
from tests.faults import Gate
from tests.large import LITTLE, PAGED, add_large
from tests.oracle import Row

# What could not be read at one moment is said in a warning too.
pytestmark = pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")

PLACES = 25
"""Replies before which something happens: what follows them is more of the same."""

MORE = 3
"""Replies that one read may get more than another: SCAN may need some calls more."""

NAMES = [f"{table}:{number}" for table in CONTENT_TABLES for number in range(3)]

KEY_TABLES = [table for table in TABLES if table != "server_info"]


@pytest.fixture(scope="module")
def small() -> Iterator[Small]:
    """One that all tests here share."""
    with small_server() as small:
        yield small


def fill(client: redis.Redis, value: str = "value") -> None:
    """Make the keys, or others in their place, at one moment."""
    pipe = client.pipeline(transaction=True)
    for name in NAMES:
        pipe.delete(name)
        data.add_one(pipe, name.partition(":")[0], name, f"{value} of {name}")
    pipe.execute()


def flush(client: redis.Redis) -> None:
    """Delete them all."""
    client.flushall()


def flush_later(client: redis.Redis) -> None:
    """Delete them all, and free them later."""
    client.flushall(asynchronous=True)


def expire(client: redis.Redis) -> None:
    """Let them all expire, and wait for it."""
    for name in client.scan_iter():
        client.pexpire(name, 1)
    while client.exists(*NAMES):
        pass


def become_others(client: redis.Redis) -> None:
    """Put a key of another type in the place of each, at one moment."""
    pipe = client.pipeline(transaction=True)
    for name in client.scan_iter():
        pipe.delete(name)
        pipe.xadd(name, {"f": "v"}, "1-1") if b"streams" not in name else pipe.set(name, "v")
    pipe.execute()


def come_anew(client: redis.Redis) -> None:
    """Delete them all, and make others of the same names and types some time after."""
    client.flushall()
    fill(client, "other value")


Act = Callable[[redis.Redis], None]
ACTS: list[Act] = [flush, flush_later, expire, become_others, come_anew]

acts = pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)


def read_while(
    small: Small, table: str, gate: Gate, act: Callable[[], object], options: dict[str, str]
) -> tuple[list[Row], dict[str, Any]]:
    """Read a table and do something at the gate; gives rows and receipt."""

    def act_there() -> None:
        with gate.held(surely=False):
            act()

    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act_there)
        try:
            records, _ = LakeflowConnect(options).read_table(table)
            rows = list(records)
        finally:
            acting.result()
    return rows, records.receipt


def places(small: Small, table: str, options: dict[str, str]) -> range:
    """The replies of a read before which something may happen, and its end."""
    said = faults.replies(iter([small.said(table, **options)]))
    return range(min(len(list(said)) + MORE, PLACES))


LEFT_OUT = {
    *("scanned_at", "ttl_seconds", "idle_time_seconds"),
    *("memory_bytes", "encoding", "refcount"),
}
"""Columns that move by themselves, or do not tell one state from another."""


def cells(row: Row) -> tuple[str, ...]:
    """What a row says, in a form that can be compared."""
    kept = {name: value for name, value in row.items() if name not in LEFT_OUT}
    if isinstance(kept.get("fields"), str):
        kept["fields"] = oracle.parse_fields(kept["fields"])
    return tuple(map(repr, kept.values()))


def lost(table: str) -> sound.About:
    """What may be said of keys that go: only streams have been promised by then."""
    return DataLossError if table == "streams" else ()


@acts
@pytest.mark.parametrize("table", KEY_TABLES)
def test_what_happens_to_all_keys_between_two_replies(small: Small, table: str, act: Act) -> None:
    options = small.options()
    seen: set[tuple[tuple[str, ...], ...]] = set()
    with small.server.client() as client:
        fill(client)
        for place in places(small, table, options):
            client.flushall()
            fill(client)
            allowed = set(map(cells, small.expected(table)))
            gate = Gate()
            small.proxy.once(gate.before(place))
            try:
                rows, receipt = read_while(small, table, gate, lambda: act(client), options)
            except LakeflowRedisError as error:
                sound.check(error, options, lost(table))
                seen.add(())
                continue
            seen.add(tuple(sorted(map(cells, rows))))
            allowed |= set(map(cells, small.expected(table)))
            assert_unique_keys(table, rows)
            assert {*map(cells, rows)} <= allowed, place
            assert receipt["complete"] is True
    # Before some replies it was too late, and before others it was not.
    assert len(seen) > 1 or (table, act) == ("keys", come_anew)


@pytest.mark.parametrize("table", KEY_TABLES)
def test_keys_that_are_replaced_between_two_replies_all_come(small: Small, table: str) -> None:
    options = small.options()
    with small.server.client() as client:
        fill(client)
        for place in places(small, table, options):
            fill(client)
            states = [small.expected(table)]
            gate = Gate()
            small.proxy.once(gate.before(place))
            try:
                rows, _ = read_while(small, table, gate, lambda: fill(client, "another"), options)
            except LakeflowRedisError as error:
                sound.check(error, options, lost(table))
                continue
            states.append(small.expected(table))
            assert_unique_keys(table, rows)
            assert {*map(cells, rows)} <= {cells(row) for state in states for row in state}
            assert len(rows) == len(states[0]), place


@pytest.mark.parametrize("act", [flush, become_others], ids=lambda act: act.__name__)
@pytest.mark.parametrize("table", PAGED)
def test_what_happens_to_a_large_key_between_two_replies(
    small: Small, table: str, act: Act
) -> None:
    """It comes whole or not at all, or the receipt says that it is of several moments."""
    options = small.options(db=str(LARGE_DB), **LITTLE)
    with small.server.client(LARGE_DB) as client:
        client.flushall()
        add_large(client, table, "large")
        whole = len(small.expected(table, LARGE_DB))
        for place in places(small, table, options):
            client.flushall()
            add_large(client, table, "large")
            gate = Gate()
            small.proxy.once(gate.before(place))
            rows, receipt = read_while(small, table, gate, lambda: act(client), options)
            assert len(rows) in {0, whole} or receipt["keys_inconsistent"] == 1, place


def test_streams_that_go_between_two_replies_are_gaps(small: Small) -> None:
    options = small.options(fail_on_data_loss="false")
    with small.server.client() as client:
        for place in places(small, "streams", options):
            client.flushall()
            fill(client)
            allowed = set(map(cells, small.expected("streams")))
            gate = Gate()
            small.proxy.once(gate.before(place))
            rows, receipt = read_while(small, "streams", gate, client.flushall, options)
            assert {*map(cells, rows)} <= allowed
            assert len(rows) + len(receipt["gaps"]) <= len(allowed)


@pytest.mark.parametrize("table", KEY_TABLES)
def test_a_server_that_comes_back_empty(table: str) -> None:
    """Its keys went, as by FLUSHALL: what came until then came once."""
    with small_server() as other:
        # It may be connected to again.
        options = through(other.proxy, other.server)
        for share in (0.5, 0.9, 0.99):
            with other.server.client() as client:
                client.flushall()
                fill(client)
            expected = other.expected(table)
            gate = Gate()
            other.proxy.once(gate.after(int(len(other.said(table)) * share)))
            try:
                rows, _ = read_while(other, table, gate, other.server.restart, options)
            except LakeflowRedisError as error:
                # Streams are not read on from another process.
                gone = (RedisConnectionError, DataLossError, TopologyChangedError)
                sound.check(error, options, gone)
            else:
                assert_unique_keys(table, rows)
                assert {*map(cells, rows)} <= {*map(cells, expected)}
