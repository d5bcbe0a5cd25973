"""Entries of streams that are lost between two reads are an error that says how, or a gap."""

from typing import Any

import pytest
import redis
from lakeflow_redis import DataLossError

from tests.conftest import Connect
from tests.servers import Server
from tests.streams import Offset, add, numbered, read

READ = 10
"""Entries that were read."""


def first_read(connect: Connect, client: redis.Redis) -> Offset:
    """Read a stream of some entries, and one that stays as it is."""
    add(client, "the stream", *numbered(1, READ))
    add(client, "another", "1-1")
    return read(connect()).offset


def loss(connect: Connect, offset: Offset, **options: str) -> str:
    """What the error says, which comes before the first row."""
    with pytest.raises(DataLossError) as caught:
        connect().read_table("streams", offset, options)
    text = str(caught.value)
    assert "`fail_on_data_loss=false`" in text
    return text


def read_all_the_same(
    connect: Connect, offset: Offset
) -> tuple[list[str], list[dict[str, Any]], Offset]:
    """The ids that come of the stream where the loss is accepted, the gaps, and the next offset."""
    records, end = connect(fail_on_data_loss="false").read_table("streams", offset)
    ids = [row["entry_id"] for row in records if row["key_name"] == "the stream"]
    gaps = records.receipt["gaps"]
    # The loss is over with it.
    again, last = connect().read_table("streams", end)
    assert (list(again), last, again.receipt["gaps"]) == ([], end, [])
    return ids, gaps, end


def gap(why: str, entries: int | None = None) -> list[dict[str, Any]]:
    """What the receipt says of it."""
    return [
        {"db": 0, "key_name": "the stream", "why": why, "after": f"{READ}-0", "entries": entries}
    ]


@pytest.mark.parametrize("left", [0, 1, 7])
def test_entries_that_were_trimmed_before_they_were_read(
    server: Server, connect: Connect, client: redis.Redis, left: int
) -> None:
    offset = first_read(connect, client)
    added = add(client, "the stream", *numbered(READ + 1, 12))
    client.xtrim("the stream", maxlen=left, approximate=False)
    expected = [entry_id for _, entry_id in added[len(added) - left :]]
    if not server.flavour.has_entries_added:
        # Before 7.0 nothing tells.
        assert [entry_id for _, entry_id in read(connect(), offset).entries] == expected
        return
    text = loss(connect, offset)
    for part in ('"the stream"', "10-0", "10 added", "22-0", "22 added", f"{12 - left} entries"):
        assert part in text
    assert "trimmed" in text
    ids, gaps, _ = read_all_the_same(connect, offset)
    assert ids == expected
    assert gaps == gap("trimmed", 12 - left)


def test_entries_that_were_trimmed_when_they_had_been_read_are_no_loss(
    connect: Connect, client: redis.Redis
) -> None:
    offset = first_read(connect, client)
    for last in (READ, READ + 1, READ + 3):
        added = add(client, "the stream", f"{last}-5", f"{last}-6")
        client.xtrim("the stream", maxlen=2, approximate=False)
        found = read(connect(), offset)
        assert found.entries == added
        offset = found.offset


def test_entries_that_were_deleted_one_by_one_are_no_loss(
    connect: Connect, client: redis.Redis
) -> None:
    offset = first_read(connect, client)
    add(client, "the stream", *numbered(READ + 1, 5))
    client.xdel("the stream", *numbered(READ + 1, 2))
    assert read(connect(), offset).entries == [("the stream", f"{READ + n}-0") for n in (3, 4, 5)]
    client.xdel("the stream", *numbered(1, READ + 5))
    assert read(connect(), offset).entries == []


def test_a_stream_that_is_gone(connect: Connect, client: redis.Redis) -> None:
    offset = first_read(connect, client)
    client.delete("the stream")
    text = loss(connect, offset)
    assert '"the stream"' in text
    assert "gone" in text
    # Also for those who do not choose it: its position would go from the offset.
    assert "gone" in loss(connect, offset, key_pattern="another")
    ids, gaps, end = read_all_the_same(connect, offset)
    assert (ids, gaps) == ([], gap("gone"))
    assert end["streams"]["0"].keys() == {"another"}


def test_a_stream_that_became_another_type(connect: Connect, client: redis.Redis) -> None:
    offset = first_read(connect, client)
    client.delete("the stream")
    client.set("the stream", "v")
    assert "gone" in loss(connect, offset)
    ids, gaps, _ = read_all_the_same(connect, offset)
    assert (ids, gaps) == ([], gap("gone"))


def test_a_stream_that_was_created_anew_with_older_ids(
    connect: Connect, client: redis.Redis
) -> None:
    offset = first_read(connect, client)
    client.delete("the stream")
    add(client, "the stream", "1-1", "2-1")
    text = loss(connect, offset)
    for part in ('"the stream"', "10-0", "2-1", "created anew", "older ids"):
        assert part in text
    ids, gaps, _ = read_all_the_same(connect, offset)
    assert (ids, gaps) == (["1-1", "2-1"], gap("created anew"))


@pytest.mark.parametrize("added", [3, READ, 2 * READ])
def test_a_stream_that_was_created_anew_with_newer_ids(
    server: Server, connect: Connect, client: redis.Redis, added: int
) -> None:
    offset = first_read(connect, client)
    client.delete("the stream")
    expected = add(client, "the stream", *numbered(100, added))
    if not server.flavour.has_entries_added:
        # Before 7.0 nothing tells it from the old one.
        assert read(connect(), offset).entries == expected
        return
    text = loss(connect, offset)
    for part in ('"the stream"', "10-0", f"{99 + added}-0", f"{added} added", "created anew"):
        assert part in text
    ids, gaps, _ = read_all_the_same(connect, offset)
    assert ids == [entry_id for _, entry_id in expected]
    assert gaps == gap("created anew")


def test_a_server_that_went_back_to_an_older_state(connect: Connect, client: redis.Redis) -> None:
    add(client, "the stream", *numbered(1, READ - 2))
    older = client.dump("the stream")
    assert older is not None
    add(client, "the stream", *numbered(READ - 1, 2))
    offset = read(connect()).offset
    client.restore("the stream", 0, older, replace=True)
    # As it is with a server that was restarted, but for the time that takes.
    assert "older ids" in loss(connect, offset)
    offset |= {"servers": ["0badf00d"]}
    text = loss(connect, offset)
    for part in ('"the stream"', "10-0", "8-0", "older state"):
        assert part in text
    ids, gaps, _ = read_all_the_same(connect, offset)
    assert len(ids) == READ - 2
    assert gaps == gap("went back")


def test_an_offset_says_which_process_was_read(connect: Connect, client: redis.Redis) -> None:
    offset = first_read(connect, client)
    run_id = client.info("server")["run_id"]
    assert offset["servers"] == [run_id[:8]]
    # One of before this was known is read on all the same.
    del offset["servers"]
    assert read(connect(), offset).entries == []


# While a read goes on

MANY = 260_000
"""More entries than are read ahead, which is three batches at the most."""
SLOWLY = {"batch_size": "100"}


def filled(client: redis.Redis) -> None:
    """Make a stream that is not read at once."""
    pipe = client.pipeline(transaction=False)
    for number in range(1, MANY + 1):
        pipe.xadd("the stream", {"f": "v"}, f"{number}-0")
    pipe.execute()


@pytest.mark.parametrize("cap", [{}, {"max_records_per_batch": str(MANY - 1000)}])
def test_entries_that_are_trimmed_while_they_are_read(
    one_connect: Connect, one_client: redis.Redis, cap: dict[str, str]
) -> None:
    filled(one_client)
    strict, _ = one_connect(**SLOWLY, **cap).read_table("streams")
    lenient, _ = one_connect(**SLOWLY, **cap, fail_on_data_loss="false").read_table("streams")
    one_client.xtrim("the stream", maxlen=5_000, approximate=False)
    with pytest.raises(DataLossError, match="trimmed"):
        list(strict)
    found = [row["entry_id"] for row in lenient]
    (said,) = lenient.receipt["gaps"]
    wanted = int(cap.get("max_records_per_batch", MANY))
    assert said == {
        "db": 0,
        "key_name": "the stream",
        "why": "trimmed",
        "after": "0-0",
        "entries": wanted - len(found),
    }
    assert 0 < len(found) == len(set(found)) < wanted


def test_entries_that_are_deleted_while_they_are_read_are_no_loss(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    filled(one_client)
    records, _ = one_connect(**SLOWLY).read_table("streams")
    one_client.xdel("the stream", f"{MANY // 2}-0", f"{MANY - 1}-0")
    assert MANY - 2 <= len(list(records)) <= MANY
    assert records.receipt["gaps"] == []


def test_positions_within_a_stream_tell_what_was_trimmed_too(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    """An offset that a cap cut counts as well as one that came to the stream's end."""
    add(one_client, "the stream", *numbered(1, 100))
    one_client.xtrim("the stream", maxlen=90, approximate=False)
    capped = one_connect(max_records_per_batch="30")
    offset = read(capped).offset
    assert offset["streams"]["0"]["the stream"] == {
        "id": "40-0",
        "added": 40,
        "since": READ,
    }
    offset = read(capped, offset).offset
    assert offset["streams"]["0"]["the stream"] == {"id": "70-0", "added": 70}
    one_client.xtrim("the stream", maxlen=30, approximate=False)
    assert len(read(one_connect(), offset).entries) == 30
    one_client.xtrim("the stream", maxlen=28, approximate=False)
    assert "2 entries" in loss(one_connect, offset)
