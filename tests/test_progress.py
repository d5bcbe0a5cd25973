"""How far a read has come, as its receipt says while it goes on: `share_scanned`."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Any

import pytest
import redis
from lakeflow_redis import DecodeError, LakeflowConnect, Records

from tests import by_database, data, moving, sharded
from tests.clusters import Cluster
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES
from tests.divided import partitions
from tests.moving import Keys
from tests.resharding import Resharding, fill
from tests.servers import Server
from tests.streams import add_many, numbered
from tests.waiting import meanwhile

KEYS = 50_000

SLOW = {"batch_size": "100", "max_server_share": "0.25"}
"""Options with which there is time to look at a read while it goes on."""

NEAR = 0.1
"""How far a share may be from that of the keys."""

MANY_LOOKS = 20
"""Different shares that are seen of a read of so many keys."""

PAUSE = 0.0005

Receipt = Mapping[str, Any]


@dataclass(frozen=True)
class Look:
    """What a receipt said at a moment."""

    share: float | None
    keys: int
    complete: bool

    @classmethod
    def at(cls, receipt: Receipt) -> "Look":
        """Of a receipt."""
        return cls(receipt["share_scanned"], receipt["keys_scanned"], receipt["complete"])


def watch(look: Callable[[], Receipt], read: Callable[[], object]) -> list[Look]:
    """Look at a receipt while something is read, and once when that is over.

    Fails unless the share never grows less, and is 1 just where the read is complete.
    """
    looks = [Look.at(look())]
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        while not reading.done():
            looks.append(Look.at(look()))
            time.sleep(PAUSE)
        reading.result()
    looks.append(Look.at(look()))
    shares = shares_of(looks)
    assert shares == sorted(shares)
    assert all((each.share == 1.0) is each.complete for each in looks)
    assert looks[-1].complete
    return looks


def watch_records(records: Records) -> list[Look]:
    """Watch one table being read."""

    def read() -> None:
        for _ in records.batches():
            pass

    return watch(lambda: records.receipt, read)


def shares_of(looks: Sequence[Look]) -> list[float]:
    """The shares that were told."""
    return [each.share for each in looks if each.share is not None]


def assert_true(looks: Sequence[Look], keys: int) -> None:
    """Fail unless many shares were told, all near to that of so many keys."""
    shares = shares_of(looks)
    assert len(set(shares)) > MANY_LOOKS
    assert looks[-1].keys == keys
    for each in looks:
        assert each.share is None or each.share == pytest.approx(each.keys / keys, abs=NEAR)


@pytest.fixture(scope="module")
def many(server: Server) -> Iterator[Server]:
    """A server of many strings."""
    with Server(server.flavour) as own, own.client() as client:
        data.fill_many(client, KEYS)
        yield own


def test_the_share_is_that_of_the_keys(many: Server) -> None:
    records, _ = LakeflowConnect(many.options(**SLOW)).read_table("strings")
    assert_true(watch_records(records), KEYS)


def test_the_share_is_that_of_the_keys_whichever_are_wanted(many: Server) -> None:
    connector = LakeflowConnect(many.options(**SLOW))
    records, _ = connector.read_table("strings", None, {"key_pattern": "many:777"})
    # A name: nothing is scanned.
    assert set(shares_of(watch_records(records))) <= {0.99, 1.0}
    for options in [{"key_pattern": "many:777*"}, {"key_pattern": "*:none"}]:
        records, _ = connector.read_table("strings", None, options)
        looks = watch_records(records)
        assert looks[-1].keys < KEYS / 100
        assert len(set(shares_of(looks))) > MANY_LOOKS


def test_tables_that_share_a_scan_share_its_share(many: Server) -> None:
    tables, _ = LakeflowConnect(many.options(**SLOW)).read_tables(["strings", "hashes", "keys"])
    apart = 0

    def look() -> Receipt:
        receipts = tables.receipts
        nonlocal apart
        apart += len({receipt["share_scanned"] for receipt in receipts.values()}) > 1
        return receipts["keys"]

    looks = watch(look, tables.read_all)
    assert_true(looks, KEYS)
    # Each is asked for by itself, a moment after the other.
    assert apart < len(looks) / 2


def test_each_part_has_a_share_of_its_own(many: Server) -> None:
    connector = LakeflowConnect(many.options(**SLOW))
    parts = partitions(connector, "strings", 4)
    assert len(parts) == 4
    named = 0
    for part in parts:
        looks = watch_records(connector.read_partition("strings", part))
        assert_true(looks, looks[-1].keys)
        named += looks[-1].keys
    assert named >= KEYS


def test_an_empty_database_is_read_at_once(connect: Connect) -> None:
    for table in ["strings", "keys", "streams"]:
        looks = watch_records(connect().read_table(table)[0])
        assert looks[-1].share == 1.0


def test_databases_count_by_their_keys(server: Server) -> None:
    with by_database.emptied(server, range(4)) as clients:
        data.fill_many(clients[0], 40)
        data.fill_many(clients[1], KEYS // 5)
        data.fill_many(clients[3], KEYS // 2)
        for databases in ["*", "0,1,2,3"]:
            connector = LakeflowConnect(server.options(**SLOW, db=databases))
            records, _ = connector.read_table("strings")
            assert_true(watch_records(records), 40 + KEYS // 5 + KEYS // 2)


def test_rules_are_gone_through_one_after_the_other(many: Server) -> None:
    connector = LakeflowConnect(many.options(**SLOW))
    names = [{"database": 0, "key_pattern": f"many:{number}"} for number in range(300)]
    names.append({"database": 5, "key_pattern": "none"})
    records, _ = connector.read_table("strings", None, {"sync_rules": json.dumps(names)})
    looks = watch_records(records)
    assert (looks[-1].share, looks[-1].keys) == (1.0, 300)
    rules = [{"database": 0, "key_pattern": pattern} for pattern in ["many:1*", "many:[2-9]*"]]
    rules += [*names, {"database": 1, "key_pattern": "*"}]
    records, _ = connector.read_table("strings", None, {"sync_rules": json.dumps(rules)})
    looks = watch_records(records)
    of_first = sum(str(number).startswith("1") for number in range(KEYS))
    for each in looks:
        first, second = min(each.keys, of_first), max(0, each.keys - of_first)
        expected = first / of_first / 2 + second / (KEYS - of_first) / 2
        assert each.share is None or each.share == pytest.approx(expected, abs=NEAR)
    assert len(set(shares_of(looks))) > MANY_LOOKS


def test_streams_count_by_their_entries(
    server: Server, connect: Connect, client: redis.Redis
) -> None:
    for number in range(3):
        add_many(client, f"stream {number}", numbered(1, 10_000))
    connector = connect(max_server_share="0.25", max_in_flight_bytes="65536")
    records, offset = connector.read_table("streams")
    looks = watch_records(records)
    assert len(set(shares_of(looks))) > MANY_LOOKS
    add_many(client, "stream 0", numbered(20_001, 5_000))
    looks = watch_records(connector.read_table("streams", offset)[0])
    # Older servers do not tell how many entries came since.
    told = server.flavour.has_entries_added
    assert (len(set(shares_of(looks))) > MANY_LOOKS / 4) is told


def test_streams_have_a_share_of_their_own(connect: Connect, client: redis.Redis) -> None:
    data.fill_many(client, KEYS // 5)
    data.add_one(client, "streams", "stream")
    tables, _ = connect(**SLOW).read_tables(["strings", "streams"])
    looks = watch(lambda: tables.receipts["streams"], tables.read_all)
    shares = {each.share for each in looks}
    assert shares <= {None, 0.99, 1.0}
    assert 0.99 in shares


def test_of_a_server_itself_nothing_is_known_before_its_end(one_connect: Connect) -> None:
    looks = watch_records(one_connect().read_table("server_info")[0])
    # The read may be through before anyone looks, and is not complete before all is taken.
    assert {look.share for look in looks if not look.complete} <= {None, 0.99}
    assert looks[-1].share == 1.0


def test_a_key_that_takes_long_keeps_the_read_from_being_over(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    data.fill_heavily(one_client)
    records, _ = one_connect(max_in_flight_bytes="65536").read_table("hashes")
    shares = shares_of(watch_records(records))
    assert shares.count(0.99) > 1


def test_a_read_that_fails_does_not_come_to_its_end(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    data.fill_many(one_client, 1000)
    one_client.set("bad", b"\xff")
    records, _ = one_connect().read_table("strings")
    with pytest.raises(DecodeError):
        list(records.batches())
    share = records.receipt["share_scanned"]
    assert share is None or share < 1.0


def test_a_consumer_that_stops_leaves_the_share_where_it_is(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    for number in range(100):
        one_client.set(f"{number}", data.MEGABYTE)
    records, _ = one_connect(batch_size="1").read_table("strings")
    for _ in records.batches():
        share = records.receipt["share_scanned"]
        assert 0 < share < 0.9
        break
    one_client.flushdb()


@pytest.fixture
def full_cluster(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster of many strings."""
    cluster.flush()
    fill(cluster, Keys(strings={f"many:{number}": "value" for number in range(KEYS)}))
    sharded.let_replicas_follow(cluster)
    yield cluster
    cluster.flush()


@pytest.mark.parametrize("read_from", ["primary", "replica"])
def test_nodes_of_a_cluster_are_read_side_by_side(full_cluster: Cluster, read_from: str) -> None:
    connector = LakeflowConnect(full_cluster.options(**SLOW, read_from=read_from))
    records, _ = connector.read_table("strings")
    assert_true(watch_records(records), KEYS)
    tables, _ = connector.read_tables(CONTENT_TABLES)
    assert_true(watch(lambda: tables.receipts["strings"], tables.read_all), KEYS)


@pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")
def test_another_pass_takes_nothing_back(full_cluster: Cluster) -> None:
    connector = LakeflowConnect(full_cluster.options(**moving.SLOW))
    with Resharding(full_cluster) as resharding:

        def move(ending: Event) -> None:
            while not ending.wait(0.05) and resharding.moved < 10:
                resharding.move()

        with meanwhile(move):
            records, _ = connector.read_table("strings")
            looks = watch_records(records)
    assert resharding.moved > 0
    assert any(moving.ONCE_MORE in text for text in records.receipt["warnings"])
    assert len(set(shares_of(looks))) > MANY_LOOKS
