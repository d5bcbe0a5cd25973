"""A range of streams that was planned can be read again: the same rows come, or an error says why not."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import redis
from lakeflow_redis import ConfigurationError, DataLossError, LakeflowConnect, TopologyChangedError

from tests.clusters import Cluster
from tests.conftest import Connect
from tests.divided import partitions, rows_elsewhere, rows_of
from tests.resharding import Resharding
from tests.sentinels import Sentinels
from tests.servers import Server
from tests.streams import Entry, Offset, add, numbered, read, read_on

CAP = "max_records_per_batch"


def entries(
    connector: LakeflowConnect, start: Mapping[str, Any] | None, end: Offset, number: int = 1
) -> list[Entry]:
    """What parts of the streams between two offsets have, in the order of their ids."""
    parts = partitions(connector, "streams", number, start=start, end=end)
    found = [row for part in rows_of(connector, "streams", parts) for row in part]
    assert len({(row["key_name"], row["entry_id"]) for row in found}) == len(found)
    return sorted(
        ((row["key_name"], row["entry_id"]) for row in found),
        key=lambda entry: (entry[0], *map(int, entry[1].split("-"))),
    )


def micro_batches(connector: LakeflowConnect, **options: str) -> list[tuple[Offset, Offset]]:
    """What a streaming engine plans: from nothing on, until the offset stands still."""
    planned = []
    offset: Offset = {}
    while (end := connector.latest_offset("streams", options, offset)) != offset:
        planned.append((offset, end))
        offset = end
        assert len(planned) < 100
    return planned


def test_micro_batches_are_what_read_table_reads(connect: Connect, client: redis.Redis) -> None:
    added = add(client, "a", *numbered(1, 50)) + add(client, b"b", *numbered(7, 5))
    add(client, "empty", "1-1")
    client.xtrim("empty", maxlen=0, approximate=False)
    connector = connect()
    for options in ({}, {CAP: "7"}):
        planned = micro_batches(connector, **options)
        reads = read_on(connector, {}, **options)
        assert [end for _, end in planned] == [each.offset for each in reads]
        for number in (1, 3):
            found = [entries(connector, *each, number) for each in planned]
            assert [sorted(each) for each in found] == [sorted(each.entries) for each in reads]
            assert sorted(entry for each in found for entry in each) == sorted(added)


def test_an_offset_that_nothing_came_to_stays_as_it_is(
    connect: Connect, client: redis.Redis
) -> None:
    add(client, "a", *numbered(1, 5))
    client.xtrim("a", maxlen=3, approximate=False)
    connector = connect()
    end = connector.latest_offset("streams")
    assert end == read(connector).offset
    for _ in range(3):
        again = connector.latest_offset("streams", None, end)
        assert json.dumps(again) == json.dumps(end)
    assert partitions(connector, "streams", 4, start=end, end=end) == []
    add(client, "b", "1-1")
    later = connector.latest_offset("streams", None, end)
    assert later["streams"]["0"]["a"] == end["streams"]["0"]["a"]
    assert entries(connector, end, later) == [("b", "1-1")]


def test_a_range_that_was_planned_is_the_same_whatever_came_since(
    connect: Connect, client: redis.Redis
) -> None:
    first = add(client, "a", *numbered(1, 20))
    connector = connect()
    end = connector.latest_offset("streams")
    parts = partitions(connector, "streams", end=end)
    add(client, "a", *numbered(30, 20))
    add(client, "b", "1-1")
    assert entries(connector, None, end) == first
    assert entries(connector, {}, end) == first
    again = rows_elsewhere(connector, "streams", parts)
    assert [(row["key_name"], row["entry_id"]) for row in again] == first


LONG = 5_000


@pytest.mark.parametrize("ids", ["by time", "of one moment", "nearly all at the end"])
def test_a_long_stream_is_read_by_several(connect: Connect, client: redis.Redis, ids: str) -> None:
    made: Callable[[int], str] = {
        "by time": lambda number: f"{1000 + number // 3}-{number % 3}",
        "of one moment": lambda number: f"5-{number + 1}",
        "nearly all at the end": lambda number: f"{1 if number < 10 else 10**12 + number}-{number}",
    }[ids]
    pipe = client.pipeline(transaction=False)
    for number in range(LONG):
        pipe.xadd("long", {"n": number}, made(number))
    pipe.xadd("short", {"n": 1}, "1-1")
    pipe.execute()
    connector = connect()
    end = connector.latest_offset("streams")
    parts = partitions(connector, "streams", 4, end=end)
    sizes = [len(part) for part in rows_of(connector, "streams", parts)]
    assert sum(sizes) == LONG + 1
    if ids != "nearly all at the end":
        assert len(sizes) == 4
        assert max(sizes) < LONG / 3
    expected = [("long", made(number)) for number in range(LONG)]
    assert entries(connector, None, end, 4) == [*expected, ("short", "1-1")]
    middle = {"entry_id": made(LONG // 2)}
    assert entries(connector, middle, end, 4)[: LONG // 2 - 1] == expected[LONG // 2 + 1 :]


@pytest.mark.parametrize("number", [1, 3])
def test_entries_that_are_trimmed_between_attempt_and_replay(
    server: Server, connect: Connect, client: redis.Redis, number: int
) -> None:
    pipe = client.pipeline(transaction=False)
    for entry_id in numbered(1, LONG):
        pipe.xadd("a", {"f": "v"}, entry_id)
    pipe.execute()
    connector = connect()
    # The first batch, which begins with the stream, and one that goes on from it.
    for start, end in micro_batches(connector, **{CAP: "3000"}):
        attempt = entries(connector, start, end, number)
        before = partitions(connector, "streams", number, start=start, end=end)
        kept_from = int(attempt[100][1].split("-")[0])
        client.xtrim("a", maxlen=LONG - kept_from + 1, approximate=False)
        if not server.flavour.has_entries_added and number == 1:
            # Before 7.0 nothing tells.
            assert entries(connector, start, end) == attempt[100:]
            continue
        accepting = connect(fail_on_data_loss="false")
        after = partitions(connector, "streams", number, start=start, end=end)
        # Before 7.0 only those tell that were planned when the entries were there.
        for parts in (before, after) if server.flavour.has_entries_added else (before,):
            with pytest.raises(DataLossError, match="trimmed"):
                rows_of(connector, "streams", parts)
            gaps = []
            kept = []
            for part in parts:
                records = accepting.read_partition("streams", part)
                kept += [row["entry_id"] for row in records]
                gaps += records.receipt["gaps"]
            assert sorted(kept) == sorted(entry_id for _, entry_id in attempt[100:])
            assert {gap["why"] for gap in gaps} == {"trimmed"}
            if number == 1:
                assert [gap["entries"] for gap in gaps] == [100]


def test_what_was_trimmed_before_the_first_attempt_is_no_loss(
    connect: Connect, client: redis.Redis
) -> None:
    added = add(client, "a", *numbered(1, 20))
    client.xtrim("a", maxlen=8, approximate=False)
    connector = connect()
    end = connector.latest_offset("streams")
    for _ in range(2):
        assert entries(connector, {}, end) == added[12:]
    # Neither is what was trimmed after the range.
    add(client, "b", *numbered(1, 5))
    client.xtrim("b", maxlen=0, approximate=False)
    assert entries(connector, {}, end) == added[12:]


def test_entries_that_were_deleted_are_no_loss(connect: Connect, client: redis.Redis) -> None:
    added = add(client, "a", *numbered(1, 20))
    connector = connect()
    end = connector.latest_offset("streams")
    client.xdel("a", "3-0", "20-0")
    expected = [entry for entry in added if entry[1] not in {"3-0", "20-0"}]
    assert entries(connector, {}, end) == expected


@pytest.mark.parametrize("number", [1, 3])
def test_a_stream_that_is_gone_or_begins_anew(
    connect: Connect, client: redis.Redis, number: int
) -> None:
    pipe = client.pipeline(transaction=False)
    for entry_id in numbered(1, LONG):
        pipe.xadd("a", {"f": "v"}, entry_id)
    pipe.execute()
    connector = connect()
    end = connector.latest_offset("streams")
    parts = partitions(connector, "streams", number, end=end)
    client.delete("a")
    accepting = connect(fail_on_data_loss="false")
    with pytest.raises(DataLossError, match="gone"):
        rows_of(connector, "streams", parts)
    assert rows_of(accepting, "streams", parts) == [[]] * len(parts)
    add(client, "a", "1-1")
    with pytest.raises(DataLossError, match="created anew"):
        rows_of(connector, "streams", parts)
    records = accepting.read_partition("streams", parts[0])
    assert len(records) <= 1
    assert [gap["why"] for gap in records.receipt["gaps"]] == ["created anew"]


def test_a_stream_that_was_created_anew_before_the_end_was_planned(
    server: Server, connect: Connect, client: redis.Redis
) -> None:
    add(client, "a", *numbered(10, 5))
    connector = connect(fail_on_data_loss="false")
    start = connector.latest_offset("streams")
    client.delete("a")
    anew = add(client, "a", *numbered(1, 3))
    end = connector.latest_offset("streams", None, start)
    [part] = partitions(connector, "streams", start=start, end=end)
    records = connector.read_partition("streams", part)
    assert [(row["key_name"], row["entry_id"]) for row in records] == anew
    assert [gap["why"] for gap in records.receipt["gaps"]] == ["created anew"]
    with pytest.raises(DataLossError):
        connect().read_partition("streams", part)
    # With newer ids only the counts tell.
    if server.flavour.has_entries_added:
        client.delete("a")
        newer = add(client, "a", "50-0")
        last = connector.latest_offset("streams", None, end)
        assert entries(connector, end, last) == newer


def test_bounds_of_time_hold_in_each_part(connect: Connect, client: redis.Redis) -> None:
    added = add(client, "a", *numbered(1000, 100))
    connector = connect(start_timestamp="1020", end_timestamp="1080")
    end = connector.latest_offset("streams")
    for number in (1, 3):
        assert entries(connector, {}, end, number) == added[20:80]
    assert entries(connector, {"entry_id": "1050-0"}, end) == added[51:80]
    assert entries(connector, {"entry_id": "2000-0"}, end) == []


def test_an_end_is_an_offset_that_was_returned(connect: Connect, client: redis.Redis) -> None:
    add(client, "a", "1-1")
    connector = connect()
    assert partitions(connector, "streams", end={}) == []
    for end in ({"entry_id": "1-1"}, {"scanned_at": 1}, {"streams": 5}):
        with pytest.raises(ConfigurationError):
            partitions(connector, "streams", end=end)


def test_streams_of_a_cluster_are_read_where_they_are_by_then(one_cluster: Cluster) -> None:
    one_cluster.flush()
    added: list[Entry] = []
    with one_cluster.client() as client:
        for number in range(200):
            client.xadd(f"stream:{number}", {"n": number}, "1-1")
            client.xadd(f"stream:{number}", {"n": number}, "1-2")
            added += [(f"stream:{number}", "1-1"), (f"stream:{number}", "1-2")]
    connector = LakeflowConnect(one_cluster.options())
    end = connector.latest_offset("streams")
    assert len(partitions(connector, "streams", end=end)) == 3
    assert len(partitions(connector, "streams", 2, end=end)) == 6
    assert sorted(entries(connector, {}, end, 2)) == sorted(added)
    parts = partitions(connector, "streams", end=end)
    with Resharding(one_cluster) as resharding:
        for _ in range(50):
            resharding.move()
    found = [row for part in rows_of(connector, "streams", parts) for row in part]
    assert sorted((row["key_name"], row["entry_id"]) for row in found) == sorted(added)


def test_a_replica_that_is_behind_a_planned_range_is_an_error(sentinels: Sentinels) -> None:
    sentinels.flush()
    with sentinels.client() as client:
        client.xadd("a", {"f": "v"}, "1-1")
    primary = LakeflowConnect(sentinels.options())
    replica = LakeflowConnect(sentinels.options(read_from="replica"))
    end = primary.latest_offset("streams")
    [part] = partitions(primary, "streams", end=end)
    part["ranges"][0]["end"] = {"id": "2-1"}
    with pytest.raises(TopologyChangedError, match="replica has not come"):
        rows_of(replica, "streams", [part])
