"""Names and values that are not UTF-8: in all four ways of `invalid_utf8`, and as bytes."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
import redis
from lakeflow_redis import DecodeError

from tests import data
from tests.conftest import Connect
from tests.contract import TABLES
from tests.oracle import Raw, Row, parse_fields

BAD = b"bad \xff\xfe\xc3("
REPLACED = BAD.decode("utf-8", "replace")
GOOD = "gut \u00fc\U0001f600"


@dataclass(frozen=True)
class Place:
    """A place where a name or a value may be no UTF-8."""

    table: str
    column: str
    command: tuple[bytes | str, ...]
    """Puts a bad word there."""
    named: str = "key"
    """What an error about it must name besides the table: the key, or the field in it."""


PLACES = {
    "key of a string": Place("strings", "key_name", ("SET", BAD, "v"), "bad"),
    "key of a hash": Place("hashes", "key_name", ("HSET", BAD, "f", "v"), "bad"),
    "key of a list": Place("lists", "key_name", ("RPUSH", BAD, "v"), "bad"),
    "key of a set": Place("sets", "key_name", ("SADD", BAD, "v"), "bad"),
    "key of a sorted set": Place("sorted_sets", "key_name", ("ZADD", BAD, "1", "v"), "bad"),
    "key of a stream": Place("streams", "key_name", ("XADD", BAD, "7-7", "f", "v"), "bad"),
    "key": Place("keys", "key_name", ("SET", BAD, "v"), "bad"),
    "string": Place("strings", "value", ("SET", "key", BAD)),
    "hash field": Place("hashes", "field", ("HSET", "key", BAD, "v")),
    "hash value": Place("hashes", "value", ("HSET", "key", "the field", BAD), "the field"),
    "list element": Place("lists", "value", ("RPUSH", "key", BAD)),
    "set member": Place("sets", "member", ("SADD", "key", BAD)),
    "sorted set member": Place("sorted_sets", "member", ("ZADD", "key", "1", BAD)),
    "entry field": Place("streams", "fields", ("XADD", "key", "7-7", BAD, "v"), "7-7"),
    "entry value": Place("streams", "fields", ("XADD", "key", "7-7", "f", BAD), "7-7"),
}

places = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())


def fill(client: redis.Redis, place: Place) -> None:
    """One row with the bad word in its place, and one good row in a key of its own."""
    content = "strings" if place.table == "keys" else place.table
    data.add_one(client, content, GOOD, GOOD)
    Raw(client)(*place.command)


def split(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """The good row, and the others."""
    good = [row for row in rows if row["key_name"] == GOOD]
    return good, [row for row in rows if row["key_name"] != GOOD]


def words_in(row: Row, column: str) -> list[Any]:
    """What stands in a column: one word, or those of an entry's fields."""
    if column == "fields" and row[column] is not None:
        return [word for pair in parse_fields(row[column]).items() for word in pair]
    return [row[column]]


@places
def test_by_default_it_is_an_error_that_names_place_and_remedy(
    one_connect: Connect, one_client: redis.Redis, place: Place
) -> None:
    fill(one_client, place)
    records, _ = one_connect().read_table(place.table)
    with pytest.raises(DecodeError) as caught:
        list(records)
    text = str(caught.value)
    for part in (place.table, place.named, place.column, "invalid_utf8", "value_type=binary"):
        assert part in text
    assert isinstance(caught.value, ValueError)


@places
def test_replace_puts_the_replacement_character(
    one_connect: Connect, one_client: redis.Redis, place: Place
) -> None:
    fill(one_client, place)
    records, _ = one_connect(invalid_utf8="replace").read_table(place.table)
    good, (bad,) = split(list(records))
    assert len(good) == 1
    assert REPLACED in words_in(bad, place.column)
    assert records.receipt["values_replaced"] == 1
    assert records.receipt["rows_skipped"] == 0


@places
def test_null_makes_the_cell_null_and_keeps_the_row(
    one_connect: Connect, one_client: redis.Redis, place: Place
) -> None:
    fill(one_client, place)
    records, _ = one_connect(invalid_utf8="null").read_table(place.table)
    good, (bad,) = split(list(records))
    assert len(good) == 1
    assert bad[place.column] is None
    assert [name for name in TABLES[place.table].primary_keys if bad[name] is None] == (
        [place.column] if place.column in TABLES[place.table].primary_keys else []
    )
    assert records.receipt["values_replaced"] == 1
    assert records.receipt["rows_skipped"] == 0


@places
def test_skip_leaves_the_row_out_and_counts_it(
    one_connect: Connect, one_client: redis.Redis, place: Place
) -> None:
    fill(one_client, place)
    records, _ = one_connect(invalid_utf8="skip").read_table(place.table)
    good, bad = split(list(records))
    assert len(good) == 1
    assert bad == []
    assert records.receipt["rows_skipped"] == 1
    assert records.receipt["values_replaced"] == 0
    assert records.receipt["rows"] == 1


@places
@pytest.mark.parametrize("mode", ["error", "replace", "null", "skip"])
def test_binary_loses_nothing_whatever_is_said_of_text(
    one_connect: Connect, one_client: redis.Redis, place: Place, mode: str
) -> None:
    fill(one_client, place)
    records, _ = one_connect(value_type="binary", invalid_utf8=mode).read_table(place.table)
    rows = list(records)
    assert len(rows) == 2
    (bad,) = (row for row in rows if row["key_name"] != GOOD.encode())
    expected = BAD.decode("utf-8", "surrogateescape") if place.column == "fields" else BAD
    assert expected in words_in(bad, place.column)
    assert records.receipt["values_replaced"] == records.receipt["rows_skipped"] == 0


def test_the_option_can_be_given_for_one_read(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    one_client.set("key", BAD)
    connector = one_connect()
    records, _ = connector.read_table("strings", None, {"invalid_utf8": "replace"})
    assert [row["value"] for row in records] == [REPLACED]
    with pytest.raises(DecodeError):
        list(connector.read_table("strings")[0])


def test_a_row_with_two_bad_cells_is_skipped_once(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    one_client.hset("key", mapping={BAD: BAD, b"good": b"v"})
    records, _ = one_connect(invalid_utf8="skip").read_table("hashes")
    assert [row["field"] for row in records] == ["good"]
    assert records.receipt["rows_skipped"] == 1


def test_each_bad_cell_is_counted(one_connect: Connect, one_client: redis.Redis) -> None:
    one_client.hset("key", mapping={BAD: BAD, b"good": BAD})
    for mode in ("replace", "null"):
        records, _ = one_connect(invalid_utf8=mode).read_table("hashes")
        assert len(records) == 2
        assert records.receipt["values_replaced"] == 3


def test_a_table_of_nothing_but_bad_rows_is_empty_when_they_are_skipped(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    one_client.rpush("key", *[BAD] * 10)
    records, _ = one_connect(invalid_utf8="skip").read_table("lists")
    rows = pa.table(records)
    assert rows.num_rows == 0
    assert records.receipt["rows_skipped"] == 10


def test_a_bad_row_late_in_a_long_table_is_found(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    one_client.rpush("key", *[b"good"] * 150_000, BAD, *[b"good"] * 10)
    with pytest.raises(DecodeError, match="key"):
        list(one_connect().read_table("lists")[0])
    records, _ = one_connect(invalid_utf8="skip").read_table("lists")
    rows = pa.table(records)
    assert rows.num_rows == 150_010
    assert 150_000 not in rows.column("list_index").to_pylist()


def test_every_invalid_sequence_is_replaced_as_python_does(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    one_client.rpush("key", *data.WORDS)
    records, _ = one_connect(invalid_utf8="replace").read_table("lists")
    found = {row["list_index"]: row["value"] for row in records}
    assert found == {n: word.decode("utf-8", "replace") for n, word in enumerate(data.WORDS)}
