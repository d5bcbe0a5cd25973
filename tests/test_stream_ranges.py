"""A range of streams that was planned can be read again: the same rows come, or an error says why not."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import redis
from lakeflow_redis import ConfigurationError, DataLossError, LakeflowConnect, TopologyChangedError

from tests import by_database, oracle
from tests.clusters import Cluster
from tests.conftest import Connect
from tests.divided import partitions, rows_elsewhere, rows_of
from tests.resharding import Resharding
from tests.sentinels import Sentinels
from tests.servers import Server
from tests.streams import Entry, Offset, add, add_many, numbered, read, read_on

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
    add_many(client, "long", map(made, range(LONG)))
    add(client, "short", "1-1")
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
    add_many(client, "a", numbered(1, LONG))
    connector = connect()
    # The first batch, which begins with the stream, and one that goes on from it.
    for start, end in micro_batches(connector, **{CAP: "3000"}):
        attempt = entries(connector, start, end, number)
        before = partitions(connector, "streams", number, start=start, end=end)
        kept_from = int(attempt[100][1].split("-")[0])
        client.xtrim("a", maxlen=LONG - kept_from + 1, approximate=False)
        if not server.flavour.has_entries_added and number == 1 and start:
            # Before 7.0 only its first entry tells of a range, and only of a stream's first one.
            assert entries(connector, start, end) == attempt[100:]
            continue
        accepting = connect(fail_on_data_loss="false")
        after = partitions(connector, "streams", number, start=start, end=end)
        # Before 7.0 others tell only if they were planned when the entries were there.
        for parts in (
            (before,) if start and not server.flavour.has_entries_added else (before, after)
        ):
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
            if number == 1 and server.flavour.has_entries_added:
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
def test_a_stream_that_is_gone_or_begins_anew_after_it_was_planned(
    connect: Connect, client: redis.Redis, number: int
) -> None:
    add_many(client, "a", numbered(1, LONG))
    connector = connect()
    end = connector.latest_offset("streams")
    parts = partitions(connector, "streams", number, end=end)
    client.delete("a")
    accepting = connect(fail_on_data_loss="false")
    for anew, why in ([], "gone"), (["1-1", "1-2"], "created anew"):
        added = add(client, "a", *anew)
        with pytest.raises(DataLossError, match=why):
            rows_of(connector, "streams", parts)
        found, gaps = lenient(accepting, parts)
        # The next plan sees another stream, and begins with it; what is read now would come twice.
        assert found == []
        assert [gap["why"] for gap in gaps] == [why] * len(parts)
    later = accepting.latest_offset("streams", None, end)
    found, gaps = lenient(accepting, partitions(accepting, "streams", start=end, end=later))
    assert found == added
    assert [gap["why"] for gap in gaps] == ["created anew"]
    assert accepting.latest_offset("streams", None, later) == later


def lenient(
    connector: LakeflowConnect, parts: list[dict[str, Any]]
) -> tuple[list[Entry], list[dict[str, Any]]]:
    """The entries that parts have, and the gaps that are reported of them."""
    found: list[Entry] = []
    gaps: list[dict[str, Any]] = []
    for part in parts:
        records = connector.read_partition("streams", part)
        found += [(row["key_name"], row["entry_id"]) for row in records]
        gaps += records.receipt["gaps"]
    return found, gaps


def test_a_stream_that_was_created_anew_before_the_end_was_planned(
    server: Server, connect: Connect, client: redis.Redis
) -> None:
    add(client, "a", *numbered(10, 5))
    connector = connect(fail_on_data_loss="false")
    start = connector.latest_offset("streams")
    client.delete("a")
    anew = add(client, "a", *numbered(1, 3))
    end = connector.latest_offset("streams", None, start)
    parts = partitions(connector, "streams", start=start, end=end)
    found, gaps = lenient(connector, parts)
    assert (found, [gap["why"] for gap in gaps]) == (anew, ["created anew"])
    with pytest.raises(DataLossError):
        connect().read_partition("streams", parts[0])
    # With newer ids only the counts tell.
    if server.flavour.has_entries_added:
        client.delete("a")
        newer = add(client, "a", "50-0", "51-0", "52-0", "53-0")
        last = connector.latest_offset("streams", None, end)
        parts = partitions(connector, "streams", start=end, end=last)
        # By the counts it might be the same one, of which all but the last was trimmed.
        assert lenient(connector, parts)[0] == newer


def test_a_stream_that_was_gone_when_the_end_was_planned_is_a_gap(
    connect: Connect, client: redis.Redis
) -> None:
    add(client, "a", *numbered(1, 3))
    add(client, "b", "1-1")
    connector = connect(fail_on_data_loss="false")
    start = connector.latest_offset("streams")
    client.delete("a")
    end = connector.latest_offset("streams", None, start)
    parts = partitions(connector, "streams", start=start, end=end)
    found, gaps = lenient(connector, parts)
    assert found == []
    assert gaps == [{"db": 0, "key_name": "a", "why": "gone", "after": "3-0", "entries": None}]
    with pytest.raises(DataLossError, match="gone"):
        connect().read_partition("streams", parts[0])


def test_a_server_that_went_back_after_a_range_was_planned(
    connect: Connect, client: redis.Redis
) -> None:
    add(client, "a", *numbered(1, 3))
    connector = connect()
    start = connector.latest_offset("streams")
    older = client.dump("a")
    assert older is not None
    add(client, "a", *numbered(4, 3))
    end = connector.latest_offset("streams", None, start)
    # As it is with a server that was restarted, but for the time that takes.
    start["servers"] = ["0badf00d"]
    [part] = partitions(connector, "streams", start=start, end=end)
    client.restore("a", 0, older, replace=True)
    with pytest.raises(DataLossError, match="older state"):
        connector.read_partition("streams", part)


def test_a_database_whose_streams_are_all_gone_is_missed(one_server: Server) -> None:
    with by_database.emptied(one_server, [0, 3]) as clients:
        add(clients[0], "a", "1-1")
        add(clients[3], "b", "1-1")
        connector = LakeflowConnect(one_server.options(db="*"))
        end = connector.latest_offset("streams")
        clients[3].flushdb()
        with pytest.raises(DataLossError, match='"b"'):
            connector.latest_offset("streams", None, end)
        with pytest.raises(DataLossError, match='"b"'):
            connector.read_table("streams", end)


@pytest.mark.parametrize("number", [1, 3])
def test_an_end_that_was_found_without_a_start_goes_with_any(
    connect: Connect, client: redis.Redis, number: int
) -> None:
    # As Spark asked before 4.2.
    add(client, "a", *numbered(1, 10))
    connector = connect()
    start = connector.latest_offset("streams")
    more = add(client, "a", *numbered(20, 10)) + add(client, "b", "1-1")
    end = connector.latest_offset("streams")
    assert entries(connector, start, end, number) == more
    assert entries(connector, end, connector.latest_offset("streams"), number) == []


def ids_of(offset: Offset) -> dict[str, str]:
    """How far each stream of database 0 was read."""
    return {key: position["id"] for key, position in offset["streams"]["0"].items()}


def test_no_stream_is_gone_through_beyond_a_target(connect: Connect, client: redis.Redis) -> None:
    added = add(client, "a", *numbered(1, 10)) + add(client, "b", *numbered(1, 3))
    connector = connect()
    target = connector.latest_offset("streams")
    offset: Offset = {}
    found: list[Entry] = []
    for turn in range(100):
        # Others write meanwhile, to these and to new ones.
        add(client, "a", f"{100 + turn}-0")
        for number in range(5):
            add(client, f"later:{turn}:{number}", "1-1")
        end = connector.latest_offset("streams", {CAP: "2"}, offset, target)
        if end == offset:
            break
        batch = entries(connector, offset, end)
        assert 0 < len(batch) <= 2
        found += batch
        offset = end
    assert sorted(found) == sorted(added)
    assert ids_of(offset) == ids_of(target)
    later = connector.latest_offset("streams", None, offset)
    assert len(entries(connector, offset, later)) == (turn + 1) * 6


def test_what_is_trimmed_or_created_anew_after_a_target_was_fixed(
    connect: Connect, client: redis.Redis
) -> None:
    add(client, "trimmed", *numbered(1, 10))
    add(client, "anew", *numbered(1, 10))
    connector = connect()
    target = connector.latest_offset("streams")
    client.xtrim("trimmed", maxlen=7, approximate=False)
    client.delete("anew")
    add(client, "anew", "1-1")
    # What was gone before the first read began is none of its business.
    end = connector.latest_offset("streams", None, {}, target)
    assert [entry_id for _, entry_id in entries(connector, {}, end)] == numbered(4, 7)
    # A stream of that name that is no more the target's is left to the next one.
    assert end["streams"]["0"].keys() == {"trimmed"}


def test_an_offset_stays_as_it_is_when_other_databases_come_and_processes_change(
    one_server: Server,
) -> None:
    with by_database.emptied(one_server, [0, 3]) as clients:
        add(clients[0], "a", "1-1")
        connector = LakeflowConnect(one_server.options(db="*"))
        end = connector.latest_offset("streams")
        clients[3].set("key", "v")
        other = end | {"servers": ["0badf00d"]}
        for offset in (end, other):
            assert connector.latest_offset("streams", None, offset) == offset
            assert connector.read_table("streams", offset)[1] == offset


def test_a_stream_that_may_not_be_read_any_more_is_missed(
    one_server: Server, one_client: redis.Redis
) -> None:
    add(one_client, "a", "1-1")
    add(one_client, "b", "1-1")
    rules = ["on", ">pw", "+@all"]
    call = oracle.Raw(one_client)
    call("ACL", "SETUSER", "narrowed", "reset", *rules, "~*")
    options = {"username": "narrowed", "password": "pw", "on_denied": "skip"}
    connector = LakeflowConnect(one_server.options(**options))
    end = connector.latest_offset("streams")
    parts = partitions(connector, "streams", end=end)
    call("ACL", "SETUSER", "narrowed", "reset", *rules, "~b")
    with pytest.raises(DataLossError, match="may not be read"):
        connector.read_partition("streams", parts[0])
    accepting = LakeflowConnect(one_server.options(**options, fail_on_data_loss="false"))
    found, gaps = lenient(accepting, parts)
    assert (found, [gap["key_name"] for gap in gaps]) == ([("b", "1-1")], ["a"])
    call("ACL", "DELUSER", "narrowed")


@pytest.mark.parametrize("start", [{}, {"entry_id": "20-0"}], ids=["by time", "by id"])
@pytest.mark.parametrize("number", [1, 3])
def test_a_first_range_with_a_bound_tells_what_was_trimmed(
    connect: Connect, client: redis.Redis, start: Offset, number: int
) -> None:
    add_many(client, "a", numbered(1, LONG))
    bound = {} if start else {"start_timestamp": "21"}
    connector = connect(**bound)
    end = connector.latest_offset("streams", None, start)
    before = partitions(connector, "streams", number, start=start, end=end)
    attempt = entries(connector, start, end, number)
    assert len(attempt) == LONG - 20
    # What lies before the bound may go.
    client.xtrim("a", maxlen=LONG - 20, approximate=False)
    assert entries(connector, start, end, number) == attempt
    client.xtrim("a", maxlen=LONG - 40, approximate=False)
    accepting = connect(fail_on_data_loss="false", **bound)
    for parts in (before, partitions(connector, "streams", number, start=start, end=end)):
        with pytest.raises(DataLossError, match="trimmed"):
            rows_of(connector, "streams", parts)
        found, gaps = lenient(accepting, parts)
        assert sorted(found) == sorted(attempt[20:])
        assert {gap["why"] for gap in gaps} == {"trimmed"}


def test_a_writer_that_trims_what_was_just_read_loses_nothing(
    one_server: Server, one_client: redis.Redis
) -> None:
    add_many(one_client, "a", numbered(1, 10 * LONG))
    connector = LakeflowConnect(one_server.options())
    end = connector.latest_offset("streams")
    parts = partitions(connector, "streams", 2, end=end)
    assert all("first" in part["ranges"][0] for part in parts)
    slow = {"max_in_flight_bytes": "65536", "max_server_share": "0.5"}
    for part in parts:
        records = connector.read_partition("streams", part, slow)
        count = 0
        for batch in records.batches():
            count += batch.num_rows
            one_client.xtrim("a", minid=batch["entry_id"][-1].as_py(), approximate=False)
        assert count == 5 * LONG


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
