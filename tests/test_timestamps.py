"""`start_timestamp` and `end_timestamp` choose entries of streams by when they were added."""

from datetime import UTC, datetime, timedelta

import pytest
import redis
from lakeflow_redis import ConfigurationError

from tests.conftest import Connect
from tests.streams import add, numbered, read, read_on

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)


def at(minutes: int, sequence: int = 0) -> str:
    """The id of an entry of so many minutes after noon."""
    return f"{NOON_MS + minutes * 60_000}-{sequence}"


@pytest.fixture
def filled(client: redis.Redis) -> redis.Redis:
    """A client of a server with two streams."""
    add(client, "a", *(at(minutes) for minutes in range(-5, 6)))
    add(client, "b", at(-1, 7), at(0, 0), at(0, 18446744073709551615), at(1, 1))
    return client


def ids(connect: Connect, **options: str) -> list[str]:
    """The entries that are read of both streams."""
    return sorted(entry_id for _, entry_id in read(connect(), None, **options).entries)


@pytest.mark.parametrize(
    "spell", [str, lambda ms: (NOON + timedelta(milliseconds=ms - NOON_MS)).isoformat()]
)
def test_the_first_moment_is_read_and_the_last_is_not(
    connect: Connect, filled: redis.Redis, spell: object
) -> None:
    assert callable(spell)
    noon, later = spell(NOON_MS), spell(NOON_MS + 60_000)
    assert ids(connect, start_timestamp=noon, end_timestamp=later) == sorted(
        [at(0), at(0, 0), at(0, 18446744073709551615)]
    )
    before = [at(minutes) for minutes in range(-5, 0)] + [at(-1, 7)]
    assert ids(connect, end_timestamp=noon) == sorted(before)
    from_then = [at(minutes) for minutes in range(1, 6)] + [at(1, 1)]
    assert ids(connect, start_timestamp=later) == sorted(from_then)
    assert ids(connect, start_timestamp=later, end_timestamp=noon) == []


@pytest.mark.parametrize("cap", [{}, {"max_records_per_batch": "3"}])
def test_backfills_one_after_the_other_have_each_entry_once(
    connect: Connect, filled: redis.Redis, cap: dict[str, str]
) -> None:
    found: list[tuple[str, str]] = []
    offset = None
    for minutes in (-3, 0, 2, 100):
        until = str(NOON_MS + minutes * 60_000)
        reads = read_on(connect(), offset or {}, end_timestamp=until, **cap)
        for each in reads:
            found += each.entries
        offset = reads[-1].offset
    assert sorted(found) == sorted(read(connect()).entries)
    # Another moment of before brings nothing, and does not send the offset back.
    again = read(connect(), offset, end_timestamp=str(NOON_MS))
    assert (again.entries, again.offset) == ([], offset)


def test_what_was_left_out_by_its_beginning_does_not_come_later(
    connect: Connect, filled: redis.Redis
) -> None:
    late = read(connect(), None, start_timestamp=str(NOON_MS + 3 * 60_000))
    assert len(late.entries) == 3
    assert read(connect(), late.offset).entries == []
    added = add(filled, "b", at(50))
    assert read(connect(), late.offset).entries == added
    # Nor does a moment to come make a stream look as if it had gone back.
    none = read(connect(), None, start_timestamp=str(NOON_MS + 10**9))
    assert none.entries == []
    added = add(filled, "a", at(60))
    assert read(connect(), none.offset).entries == added


@pytest.mark.parametrize("value", ["", "noon", "2026-02-30", "-5", "1969-12-31", "1.5"])
def test_a_moment_that_is_none_is_refused(connect: Connect, value: str) -> None:
    with pytest.raises(ConfigurationError, match="ISO 8601"):
        connect(start_timestamp=value)


def test_what_was_trimmed_before_the_first_moment_is_not_missed(
    connect: Connect, client: redis.Redis
) -> None:
    add(client, "a", *numbered(1, 5))
    offset = read(connect()).offset
    added = add(client, "a", *numbered(6, 15))
    client.xtrim("a", maxlen=8, approximate=False)
    bounded = connect(start_timestamp="15")
    assert read(bounded, offset).entries == added[9:]
    end = bounded.latest_offset("streams", None, offset)
    for part in bounded.get_partitions("streams", None, offset, end):
        ids = [row["entry_id"] for row in bounded.read_partition("streams", part)]
        assert ids == numbered(15, 6)
