"""Streams are read incrementally: exactly the entries after one offset up to the next."""

import json
from collections import Counter

import pytest
import redis
from lakeflow_redis import DataLossError

from tests import data
from tests.conftest import Connect
from tests.servers import Server
from tests.streams import Entry, add, numbered, read, read_on


def test_the_first_read_has_everything(connect: Connect, client: redis.Redis) -> None:
    entries = add(client, "a", "1-1", "2-1") + add(client, "b", "1-1")
    assert sorted(read(connect()).entries) == entries


@pytest.mark.parametrize("start", [None, {}])
def test_none_and_an_empty_offset_mean_from_the_beginning(
    connect: Connect, client: redis.Redis, start: dict[str, str] | None
) -> None:
    entries = add(client, "a", "0-1", "1-0")
    assert sorted(read(connect(), start).entries) == entries


def test_the_next_read_has_only_what_came_since(connect: Connect, client: redis.Redis) -> None:
    add(client, "a", "1-1", "2-1")
    add(client, "b", "1-1")
    first = read(connect())
    entries = add(client, "a", "2-2") + add(client, "b", "1-2", "7-0")
    assert sorted(read(connect(), first.offset).entries) == entries


def test_a_read_with_nothing_new_leaves_the_offset_as_it_is(
    connect: Connect, client: redis.Redis
) -> None:
    add(client, "a", "1-1")
    first = read(connect())
    second = read(connect(), first.offset)
    assert second.entries == []
    assert json.dumps(second.offset) == json.dumps(first.offset)


def test_a_database_without_streams_has_an_offset_to_go_on_from(
    connect: Connect, client: redis.Redis
) -> None:
    client.set("no stream", "v")
    first = read(connect())
    assert first.entries == []
    entries = add(client, "a", "1-1")
    assert read(connect(), first.offset).entries == entries


def test_entries_added_after_read_table_returned_wait_for_the_next_read(
    connect: Connect, client: redis.Redis
) -> None:
    entries = add(client, "a", "1-1")
    records, offset = connect().read_table("streams")
    late = add(client, "a", "1-2") + add(client, "b", "0-1")
    assert [(row["key_name"], row["entry_id"]) for row in records] == entries
    assert sorted(read(connect(), offset).entries) == late


def test_many_entries_added_after_read_table_returned_wait_too(
    connect: Connect, client: redis.Redis
) -> None:
    # More than fits any one page of a stream or of SCAN.
    entries = add(client, "a", *numbered(1, 5000))
    records, offset = connect().read_table("streams", None, {"batch_size": "10"})
    late = add(client, "a", *numbered(5001, 5000))
    assert [(row["key_name"], row["entry_id"]) for row in records] == entries
    assert read(connect(), offset).entries == late


def test_a_new_stream_is_read_from_its_beginning(connect: Connect, client: redis.Redis) -> None:
    add(client, "a", "1000-0")
    first = read(connect())
    entries = add(client, "b", "1-1", "2000-0")
    assert sorted(read(connect(), first.offset).entries) == entries


@pytest.mark.parametrize("change", ["deleted", "of another type"])
def test_streams_that_go_before_they_were_consumed_are_a_loss(
    one_connect: Connect, one_client: redis.Redis, change: str
) -> None:
    # More than will be read ahead.
    names = [f"large:{number}" for number in range(150)]
    for name in names:
        data.add_one(one_client, "streams", name, data.MEGABYTE)
    strict, _ = one_connect().read_table("streams")
    lenient, _ = one_connect(fail_on_data_loss="false").read_table("streams")
    assert strict
    assert lenient
    one_client.delete(*names)
    if change == "of another type":
        one_client.mset(dict.fromkeys(names, "v"))
    with pytest.raises(DataLossError, match="large:"):
        list(strict)
    found = [row["key_name"] for row in lenient]
    assert 0 < len(found) < len(names)
    assert len(found) == len(set(found))
    gone = lenient.receipt["keys_gone"] + lenient.receipt["keys_changed_type"]
    assert len(found) + gone == len(names)
    gaps = lenient.receipt["gaps"]
    assert {gap["key_name"] for gap in gaps} == set(names) - set(found)
    assert {(gap["why"], gap["after"]) for gap in gaps} == {("gone", None)}


def test_a_stream_created_anew_is_read_from_its_beginning_where_that_is_accepted(
    connect: Connect, client: redis.Redis
) -> None:
    add(client, "a", "100-0", "200-0")
    add(client, "b", "1-0")
    first = read(connect())
    client.delete("a")
    entries = add(client, "a", "1-1", "2-1") + add(client, "b", "2-0")
    second = read(connect(), first.offset, fail_on_data_loss="false")
    assert sorted(second.entries) == entries
    # The new offset belongs to the new stream: no second loss, and nothing twice.
    later = add(client, "a", "2-2")
    assert read(connect(), second.offset).entries == later


def test_a_stream_created_anew_after_its_absence_was_seen_is_not_skipped(
    connect: Connect, client: redis.Redis
) -> None:
    add(client, "a", "100-0")
    first = read(connect())
    client.delete("a")
    second = read(connect(), first.offset, fail_on_data_loss="false")
    entries = add(client, "a", "1-1", "200-0")
    third = read(connect(), second.offset)
    assert third.entries == entries


def test_a_stream_whose_entries_were_all_deleted_goes_on(
    connect: Connect, client: redis.Redis
) -> None:
    add(client, "a", "5-0")
    client.xdel("a", "5-0")
    first = read(connect())
    assert first.entries == []
    entries = add(client, "a", "5-1")
    second = read(connect(), first.offset)
    assert second.entries == entries
    assert read(connect(), second.offset).entries == []


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("9-1", "10-1"),
        ("1-9", "1-10"),
        ("99-99", "100-1"),
        ("9-9", "9-10"),
        ("1-1", "1-18446744073709551615"),
    ],
)
def test_ids_compare_as_numbers(
    connect: Connect, client: redis.Redis, earlier: str, later: str
) -> None:
    add(client, "a", earlier)
    first = read(connect())
    entries = add(client, "a", later)
    second = read(connect(), first.offset)
    assert second.entries == entries
    assert read(connect(), second.offset).entries == []


def test_a_stream_that_came_to_the_last_id_is_read_once(
    connect: Connect, client: redis.Redis
) -> None:
    entries = add(client, "a", "1-1", data.LAST_ENTRY_ID)
    first = read(connect())
    assert first.entries == entries
    second = read(connect(), first.offset)
    assert second.entries == []
    assert second.offset == first.offset


def test_positions_of_different_streams_do_not_mix(connect: Connect, client: redis.Redis) -> None:
    add(client, "far ahead", data.LAST_ENTRY_ID)
    add(client, "behind", "1-1")
    first = read(connect())
    entries = add(client, "behind", "1-2")
    assert read(connect(), first.offset).entries == entries


def test_an_entry_id_is_a_lower_bound_for_every_stream(
    connect: Connect, client: redis.Redis
) -> None:
    add(client, "a", "1-1", "5-0", "5-1", "10-0")
    add(client, "b", "4-99")
    add(client, "c", "49-0")
    first = read(connect(), {"entry_id": "5-0"})
    assert sorted(first.entries) == [("a", "10-0"), ("a", "5-1"), ("c", "49-0")]
    entries = add(client, "b", "5-1")
    assert read(connect(), first.offset).entries == entries


def test_another_key_pattern_keeps_the_positions_of_other_keys(
    connect: Connect, client: redis.Redis
) -> None:
    add(client, "a:1", "1-1")
    add(client, "b:1", "1-1")
    everything = read(connect())
    later = add(client, "a:1", "2-1")
    add(client, "b:1", "2-1")
    only_a = read(connect(), everything.offset, key_pattern="a:*")
    assert only_a.entries == later
    assert read(connect(), only_a.offset).entries == [("b:1", "2-1")]


def test_the_offset_has_one_position_for_each_key(
    server: Server, connect: Connect, client: redis.Redis
) -> None:
    add(client, "a", "1-1", "2-3")
    client.xadd(b"\xff", {"f": "v"}, "7-0")
    client.xadd("base64:x", {"f": "v"}, "8-0")

    def position(entry_id: str, added: int, first: str) -> dict[str, object]:
        if server.flavour.has_entries_added:
            return {"added": added, "since": 0, "id": entry_id}
        return {"first": first, "id": entry_id}

    records, offset = connect(value_type="binary").read_table("streams")
    assert len(records) == 4
    assert offset == {
        "servers": [client.info("server")["run_id"][:8]],
        "streams": {
            "0": {
                "a": position("2-3", 2, "1-1"),
                "base64:/w==": position("7-0", 1, "7-0"),
                "base64:YmFzZTY0Ong=": position("8-0", 1, "8-0"),
            }
        },
        "table": "streams",
        "version": 1,
    }


def test_offsets_are_json_with_sorted_keys(connect: Connect, client: redis.Redis) -> None:
    for name in ("b", "a", "é", "Z", "10", "9", ""):
        add(client, name, "1-1")
    offset = read(connect()).offset
    text = json.dumps(offset)
    assert text == json.dumps(offset, sort_keys=True)
    assert json.loads(text) == offset
    entries = add(client, "a", "1-2")
    assert read(connect(), json.loads(text)).entries == entries


def test_names_that_look_alike_in_the_offset_have_positions_of_their_own(
    connect: Connect, client: redis.Redis
) -> None:
    names = [b"\xff", b"base64:/w==", b"/w==", b"base64:YmFzZTY0Oi93PT0=", b"\xfe\xff"]
    for number, name in enumerate(names, start=1):
        client.xadd(name, {"f": "v"}, f"{number}-0")
    connector = connect(value_type="binary")
    records, offset = connector.read_table("streams")
    assert {row["key_name"] for row in records} == set(names)
    for number, name in enumerate(names, start=1):
        client.xadd(name, {"f": "v"}, f"{number}-1")
    records, _ = connector.read_table("streams", json.loads(json.dumps(offset)))
    found = {(row["key_name"], row["entry_id"]) for row in records}
    assert found == {(name, f"{number}-1") for number, name in enumerate(names, start=1)}
    assert len(records) == len(names)


def test_reading_again_from_the_same_offset_gives_the_same_rows(
    connect: Connect, client: redis.Redis
) -> None:
    add(client, "a", *numbered(1, 20))
    first = read(connect())
    add(client, "a", *numbered(21, 20))
    add(client, "b", *numbered(1, 20))
    second = read(connect(), first.offset)
    again = read(connect(), first.offset)
    assert sorted(again.entries) == sorted(second.entries)
    assert again.offset == second.offset
    # What comes later joins behind: the rows up to the earlier end stay the same.
    later = add(client, "a", *numbered(41, 5))
    replayed = read(connect(), first.offset)
    assert sorted(replayed.entries) == sorted(second.entries + later)


def test_two_short_reads_make_one_long_one(connect: Connect, client: redis.Redis) -> None:
    add(client, "a", "1-1")
    first = read(connect())
    add(client, "a", "2-1")
    second = read(connect(), first.offset)
    add(client, "a", "3-1")
    third = read(connect(), second.offset)
    assert second.entries + third.entries == read(connect(), first.offset).entries


@pytest.mark.parametrize("most", [1, 2, 3, 7, 49, 50, 51, 1000])
def test_capped_reads_yield_every_entry_once(
    connect: Connect, client: redis.Redis, most: int
) -> None:
    # Ten streams of different lengths: fewer entries a read than streams, and more.
    entries: list[Entry] = []
    for number in range(10):
        entries += add(client, f"s{number}", *numbered(1 + number, number + 1))
    reads = read_on(connect(), {}, max_records_per_batch=str(most))
    assert all(0 < len(found.entries) <= most for found in reads)
    assert Counter(entry for found in reads for entry in found.entries) == Counter(entries)


def test_a_capped_read_can_be_repeated(connect: Connect, client: redis.Redis) -> None:
    for name in "abc":
        add(client, name, *numbered(1, 10))
    first = read(connect(), {}, max_records_per_batch="7")
    again = read(connect(), {}, max_records_per_batch="7")
    assert sorted(again.entries) == sorted(first.entries)
    assert again.offset == first.offset


def test_a_capped_read_reaches_each_stream_in_order(connect: Connect, client: redis.Redis) -> None:
    add(client, "a", *numbered(1, 30))
    reads = read_on(connect(), {}, max_records_per_batch="4")
    found = [entry_id for step in reads for _, entry_id in step.entries]
    assert found == numbered(1, 30)


def test_a_capped_read_passes_over_entries_that_were_deleted(
    connect: Connect, client: redis.Redis
) -> None:
    add(client, "a", *numbered(1, 30))
    client.xdel("a", *numbered(5, 20))
    reads = read_on(connect(), {}, max_records_per_batch="3")
    found = [entry_id for step in reads for _, entry_id in step.entries]
    assert found == numbered(1, 4) + numbered(25, 6)


@pytest.mark.parametrize(("busy_id", "waiting_id"), [(1_000, 1), (1, 1_000_000)])
def test_busy_streams_do_not_starve_the_others(
    connect: Connect, client: redis.Redis, busy_id: int, waiting_id: int
) -> None:
    for name in ("a", "b", "c", "d", "y", "z"):
        add(client, name, f"{busy_id if name in 'ay' else waiting_id}-0")
    offset = read(connect()).offset
    waiting: set[Entry] = set()
    for name in ("b", "c", "d", "z"):
        waiting |= set(add(client, name, *numbered(waiting_id + 1, 3)))
    for turn in range(100):
        # Before each read two streams get as many entries each as the read may have.
        for name in ("a", "y"):
            add(client, name, *numbered(busy_id + 1 + 2 * turn, 2))
        found = read(connect(), offset, max_records_per_batch="2")
        assert len(found.entries) <= 2
        waiting -= set(found.entries)
        offset = found.offset
    assert not waiting, "these were not read once in a hundred reads"


def test_the_cap_does_not_shorten_snapshots(connect: Connect, client: redis.Redis) -> None:
    data.fill_many(client, 50)
    records, _ = connect(max_records_per_batch="1").read_table("strings", {})
    assert len(records) == 50
