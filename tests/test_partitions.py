"""A read of keys that is divided has each key in exactly one part, whatever becomes of the others."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from lakeflow_redis import (
    ConfigurationError,
    LakeflowConnect,
    ProtocolError,
    TopologyChangedError,
)

from tests import by_database, canary, data, oracle, peers
from tests.clusters import Cluster
from tests.compare import assert_same_rows
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES, TABLES
from tests.divided import partitions, rows, rows_elsewhere, rows_of
from tests.moving import Keys
from tests.resharding import Resharding, fill
from tests.servers import HOST, REDIS_7_0, Server
from tests.waiting import meanwhile

MANY = 17_000
"""Keys enough for sixteen parts."""

SNAPSHOTS = [table for table in TABLES if table != "streams"]

NUMBERS = [1, 3, 8]


def names_of(parts: list[list[oracle.Row]]) -> Counter[str]:
    """How often each key comes."""
    return Counter(row["key_name"] for part in parts for row in part)


@pytest.fixture(scope="module")
def full_server(server: Server) -> Iterator[Server]:
    """A server with unkind data of all types among many keys, some of which expire."""
    with Server(server.flavour) as full, full.client() as client:
        data.fill(client, "hashes", data.TEXTS)
        for table in CONTENT_TABLES:
            for number in range(100):
                data.add_one(client, table, f"{table}:{number}")
        data.fill_many(client, MANY)
        yield full


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("table", SNAPSHOTS)
def test_all_parts_together_are_the_table(full_server: Server, table: str, number: int) -> None:
    connector = LakeflowConnect(full_server.options())
    parts = partitions(connector, table, number)
    assert len(parts) == (1 if table == "server_info" else number)
    found = [row for part in rows_of(connector, table, parts) for row in part]
    if table == "server_info":
        assert {row["property"] for row in found} >= {"redis_version", "run_id"}
        return
    # That one equals the oracle's.
    whole, _ = connector.read_table(table)
    assert_same_rows(table, found, list(whole))


def test_parts_are_of_about_the_same_size(full_server: Server) -> None:
    connector = LakeflowConnect(full_server.options())
    for number in (2, 5, 8, 16):
        sizes = [
            len(part) for part in rows_of(connector, "keys", partitions(connector, "keys", number))
        ]
        assert len(sizes) == number
        # 64 bits of a hash make even parts; with three grains to a part, one may have a fourth.
        assert max(sizes) < 1.8 * min(sizes)


def test_few_keys_are_not_divided(connect: Connect, client: redis.Redis) -> None:
    for count, parts in [(0, 1), (1, 1), (500, 1), (2_100, 2)]:
        data.fill_many(client, count)
        assert len(partitions(connect(), "strings", 8)) == parts
        assert len(rows(connect(), "strings", 8)) == count


STRANGE_KEYS = 100_000


def test_a_server_with_cursors_of_another_kind_is_not_divided() -> None:
    with peers.counting_cursors(STRANGE_KEYS) as port:
        connector = LakeflowConnect({"host": HOST, "port": str(port), "columns": "key_name"})
        [part] = partitions(connector, "strings", 8)
        assert "cursors" not in part
        # It does not go together with a part of them, either.
        cursors = {"bits": 7, "from": 16, "to": 32}
        with pytest.raises(ProtocolError):
            rows_of(connector, "strings", [part | {"cursors": cursors}])


def test_another_process_reads_a_part(one_server: Server, one_client: redis.Redis) -> None:
    values = data.fill_many(one_client, MANY)
    connector = LakeflowConnect(one_server.options())
    parts = partitions(connector, "strings", 4)
    found = rows_elsewhere(connector, "strings", parts)
    assert {row["key_name"]: row["value"] for row in found} == values
    assert len(found) == len(values)


def test_a_part_tells_nothing_of_who_reads_it(one_locked_server: Server) -> None:
    connector = LakeflowConnect(one_locked_server.options(username="default", client_name="me"))
    for table in TABLES:
        for part in connector.get_partitions(table):
            canary.assert_unseen(part, json.dumps(part))
            assert not {"default", "me", one_locked_server.address} & set(
                json.dumps(part).split('"')
            )


PATTERNS = ["many:*", "many:1*", "*7", "many:17", "nothing", "many:[0-3]*", "*"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_chooses_in_each_part(full_server: Server, pattern: str) -> None:
    connector = LakeflowConnect(full_server.options(key_pattern=pattern))
    with full_server.client() as client:
        expected = Counter(name.decode() for name in oracle.scan(oracle.Raw(client), pattern))
    parts = partitions(connector, "keys", 5)
    assert names_of(rows_of(connector, "keys", parts)) == expected


def test_rules_choose_in_each_part_and_names_are_looked_up_once(full_server: Server) -> None:
    rules = [
        {"database": 0, "key_pattern": "many:1*"},
        {"database": 0, "key_pattern": "many:*7"},
        {"database": 0, "key_pattern": "many:5"},
        {"database": 0, "_type": "hash"},
    ]
    connector = LakeflowConnect(full_server.options(sync_rules=json.dumps(rules)))
    with full_server.client() as client:
        expected = Counter(name.decode() for name in oracle.choose(client, rules))
    for number in NUMBERS:
        parts = partitions(connector, "keys", number)
        assert names_of(rows_of(connector, "keys", parts)) == expected


def test_each_database_is_divided_by_itself(one_server: Server) -> None:
    with by_database.emptied(one_server, [0, 3, 5]) as clients:
        data.fill_many(clients[0], MANY)
        data.fill_many(clients[3], 10)
        connector = LakeflowConnect(one_server.options(db="*"))
        parts = partitions(connector, "strings", 4)
        assert [part["db"] for part in parts] == [0, 0, 0, 0, 3]
        found = [row for part in rows_of(connector, "strings", parts) for row in part]
        assert Counter(row["db"] for row in found) == {0: MANY, 3: 10}
        # One that has been emptied since.
        clients[3].flushdb()
        assert rows_of(connector, "strings", parts[-1:]) == [[]]
        alone = LakeflowConnect(one_server.options(db="0"))
        with pytest.raises(ConfigurationError, match="database 3"):
            alone.read_partition("strings", parts[-1])


LASTING = 30_000


@pytest.fixture
def lively_server(server: Server) -> Iterator[Server]:
    """A server that resizes its tables as soon as it may, and not ten times a second."""
    with Server(server.flavour, "--hz", "500") as lively:
        yield lively


def read_slowly(connector: LakeflowConnect, number: int) -> Counter[str]:
    """The keys of all parts, two of which are read at a time, in no order."""
    parts = partitions(connector, "keys", number)
    assert len(parts) == number
    random.shuffle(parts)
    with ThreadPoolExecutor(2) as pool:
        read = pool.map(lambda part: rows_of(connector, "keys", [part])[0], parts)
        return names_of(list(read))


def assert_each_once(found: Counter[str], lasting: Mapping[str, Any]) -> None:
    """Fail where a lasting key is missing, or any key is in two parts."""
    twice = [name for name, count in found.items() if count > 1]
    assert twice == []
    missing = lasting.keys() - found.keys()
    assert not missing, f"{len(missing)} of {len(lasting)} keys are in no part"


def test_a_growing_table_has_each_key_in_one_part(lively_server: Server) -> None:
    with lively_server.client() as client:
        lasting = data.fill_many(client, LASTING)
    connector = LakeflowConnect(lively_server.options(batch_size="50"))

    def grow(ending: threading.Event) -> None:
        with lively_server.client() as client:
            for start in range(0, 20 * LASTING, 1000):
                if ending.is_set():
                    return
                client.mset({f"late:{start + number}": "v" for number in range(1000)})

    with meanwhile(grow):
        found = read_slowly(connector, 8)
    assert_each_once(found, lasting)
    with lively_server.client() as client:
        assert client.dbsize() > 2 * LASTING, "the table did not grow"


def test_a_shrinking_table_has_each_key_in_one_part(lively_server: Server) -> None:
    with lively_server.client() as client:
        names = list(data.fill_many(client, 4 * LASTING))
    lasting = dict.fromkeys(names[::40])
    others = [name for name in names if name not in lasting]
    connector = LakeflowConnect(lively_server.options(batch_size="50"))

    def shrink(ending: threading.Event) -> None:
        with lively_server.client() as client:
            for start in range(0, len(others), 500):
                if ending.is_set():
                    return
                client.delete(*others[start : start + 500])

    with meanwhile(shrink):
        found = read_slowly(connector, 8)
    assert_each_once(found, lasting)
    with lively_server.client() as client:
        assert client.dbsize() < 2 * LASTING, "the table did not shrink"


RATE = 5_000
"""Keys per second that are made, and as many that are deleted."""


def test_parts_equal_the_whole_while_keys_come_and_go(lively_server: Server) -> None:
    with lively_server.client() as client:
        lasting = data.fill_many(client, LASTING)
    whole = LakeflowConnect(lively_server.options(batch_size="100", key_pattern="many:*"))
    connector = LakeflowConnect(lively_server.options(batch_size="100"))
    with meanwhile(lambda ending: come_and_go(lively_server, ending)):
        for _ in range(3):
            found = read_slowly(connector, 8)
            assert_each_once(found, lasting)
            undivided = Counter(row["key_name"] for row in whole.read_table("keys")[0])
            assert undivided == Counter(name for name in found.elements() if name in lasting)


def come_and_go(server: Server, ending: threading.Event) -> None:
    """Make keys and delete the oldest of them, some of which are made again at once."""
    step = RATE // 50
    with server.client() as client:
        began = time.monotonic()
        made = 0
        while not ending.is_set():
            names = [f"passing:{(made + number) % (3 * RATE)}" for number in range(step)]
            old = [f"passing:{(made + number - RATE) % (3 * RATE)}" for number in range(step)]
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.delete(name)
                pipe.set(name, "v")
            pipe.delete(*old)
            pipe.execute()
            made += step
            time.sleep(max(0.0, began + made / RATE - time.monotonic()))


def test_keys_that_nearly_all_go_are_an_error_where_parts_cannot_be_told_apart(
    connect: Connect, client: redis.Redis
) -> None:
    names = list(data.fill_many(client, MANY))
    connector = connect()
    parts = partitions(connector, "strings", 16)
    client.delete(*names[3:])
    # A small table tells by its size, which servers see to ten times a second.
    deadline = time.monotonic() + 5
    ends: Counter[str] = Counter()
    while time.monotonic() < deadline and not ends["error"]:
        ends.clear()
        found: Counter[str] = Counter()
        for part in parts:
            try:
                found += names_of(rows_of(connector, "strings", [part]))
            except TopologyChangedError:
                ends["error"] += 1
        assert max(found.values(), default=0) <= 1
        if not ends["error"]:
            assert found.keys() == set(names[:3])
        client.delete("no such key")
        time.sleep(0.1)
    assert ends["error"], "the table never shrank"


def test_cursors_are_good_for_one_process(one_server: Server) -> None:
    with Server(REDIS_7_0) as server:
        connector = LakeflowConnect(server.options())
        with server.client() as client:
            data.fill_many(client, MANY)
        divided = partitions(connector, "strings", 2)
        undivided = partitions(connector, "strings")
        server.restart()
        with pytest.raises(TopologyChangedError, match="another process"):
            connector.read_partition("strings", divided[0])
        # A scan from its beginning to its end is good for any.
        assert rows_of(connector, "strings", undivided) == [[]]


def test_a_part_of_something_else_is_refused(one_connect: Connect, one_client: redis.Redis) -> None:
    data.fill_many(one_client, 10)
    connector = one_connect()
    [part] = partitions(connector, "strings")
    bad: list[tuple[str, Any]] = [
        ("hashes", part),
        ("strings", part | {"version": 2}),
        ("strings", part | {"more": 1}),
        ("strings", part | {"cursors": {"bits": 3, "from": 8, "to": 9}}),
        ("strings", {}),
        ("strings", {"scanned_at": 1}),
        ("strings", "part"),
        ("streams", part),
        ("server_info", part),
    ]
    for table, given in bad:
        with pytest.raises(ConfigurationError):
            connector.read_partition(table, given)
    for call in (connector.latest_offset, connector.get_partitions):
        with pytest.raises(ConfigurationError):
            call("no such table")
        with pytest.raises(ConfigurationError):
            call("strings", {"no such": "option"})
        with pytest.raises(ConfigurationError):
            call("strings", None, {"streams": {}})
    with pytest.raises(ConfigurationError):
        connector.get_partitions("strings", None, None, {"streams": {}})
    with pytest.raises(ConfigurationError, match="num_partitions"):
        connector.get_partitions("strings", {"num_partitions": "0"})


def test_a_snapshots_offset_is_always_new(one_connect: Connect) -> None:
    before = int(time.time())
    for table in SNAPSHOTS:
        offset = one_connect().latest_offset(table, None, {"scanned_at": 5})
        assert before <= offset["scanned_at"] <= time.time()


def in_cluster(keys: Keys) -> Counter[str]:
    """What the table of keys has."""
    return Counter(row[0] for row in keys.content()["keys"].elements())


def test_the_nodes_of_a_cluster_are_the_parts(cluster: Cluster) -> None:
    cluster.flush()
    keys = Keys.make(small=4_000, large=0)
    fill(cluster, keys)
    connector = LakeflowConnect(cluster.options())
    parts = partitions(connector, "keys", 8)
    assert len(parts) == 3
    assert len({part["node"]["id"] for part in parts}) == 3
    assert names_of(rows_of(connector, "keys", parts)) == in_cluster(keys)
    replicas = LakeflowConnect(cluster.options(read_from="replica"))
    parts = partitions(replicas, "keys")
    assert names_of(rows_of(replicas, "keys", parts)) == in_cluster(keys)
    infos = rows_of(connector, "server_info", partitions(connector, "server_info"))
    assert [len({row["node"] for row in info}) for info in infos] == [1, 1, 1]


def test_slots_that_move_after_a_read_was_divided_are_an_error(one_cluster: Cluster) -> None:
    one_cluster.flush()
    connector = LakeflowConnect(one_cluster.options())
    parts = partitions(connector, "strings")
    with Resharding(one_cluster) as resharding:
        resharding.move()
    refused = 0
    for part in parts:
        try:
            rows_of(connector, "strings", [part])
        except TopologyChangedError:
            refused += 1
    assert refused == 2
    assert len(rows_of(connector, "strings", partitions(connector, "strings"))) == 3


def test_a_slot_that_is_just_moving_is_in_no_two_parts(one_cluster: Cluster) -> None:
    one_cluster.flush()
    keys = Keys.make(small=3_000, large=0)
    fill(one_cluster, keys)
    connector = LakeflowConnect(one_cluster.options())
    parts = {part["node"]["id"]: part for part in partitions(connector, "keys")}
    infos = partitions(connector, "server_info")
    source, target, *_ = one_cluster.primaries()
    moving = Counter(one_cluster.slot_of(name) for name in in_cluster(keys))
    slot = max(source.myself().slots, key=lambda slot: moving[slot])
    found = names_of(rows_of(connector, "keys", [parts.pop(source.id())]))
    one_cluster.open_slot(slot, target, moving[slot])
    try:
        found += names_of(rows_of(connector, "keys", parts.values()))
        assert found == in_cluster(keys)
        with pytest.raises(TopologyChangedError):
            partitions(connector, "keys")
        # What is about servers minds no slots.
        assert all(rows_of(connector, "server_info", infos))
    finally:
        one_cluster.close_slot(slot)


def test_slots_that_move_while_a_part_is_read_are_an_error(one_cluster: Cluster) -> None:
    one_cluster.flush()
    fill(one_cluster, Keys.make(small=5_000, large=0))
    connector = LakeflowConnect(one_cluster.options(batch_size="10", max_server_share="0.1"))
    node = one_cluster.primaries()[0].id()
    [part] = [part for part in partitions(connector, "strings") if part["node"]["id"] == node]
    batches = connector.read_partition("strings", part, {"columns": "key_name"}).batches()
    with Resharding(one_cluster) as resharding:
        resharding.move()
    with pytest.raises(TopologyChangedError, match="divide the read again"):
        list(batches)
