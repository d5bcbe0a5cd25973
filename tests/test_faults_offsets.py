"""An offset that was damaged is refused, and one that was not stays good whatever became of its read."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import redis
from lakeflow_redis import (
    ConfigurationError,
    DataLossError,
    LakeflowConnect,
    RedisConnectionError,
)
from lakeflow_redis.ingest import LakeError, ingest

from tests import faults, lake, sound
from tests.conftest import Connect
from tests.conversation import SLACK, through
from tests.faults import Proxy
from tests.servers import Server
from tests.streams import Offset, add, add_many, numbered, read
from tests.test_connector import NOWHERE

REFUSED_OR_NOT = (ConfigurationError, RedisConnectionError)
"""What comes of an offset where no server is: it is refused, or good enough to be read from."""


@pytest.fixture
def whole(one_connect: Connect, one_client: redis.Redis) -> Offset:
    """An offset that has all that one can have."""
    add(one_client, "a", *numbered(1, 10))
    one_client.xtrim("a", maxlen=9, approximate=False)
    add(one_client, "é", "18446744073709551615-18446744073709551614")
    offset = read(one_connect(max_records_per_batch="4")).offset
    parts = {name for its in offset["streams"]["0"].values() for name in its}
    assert parts == {"id", "added", "since"}
    assert offset["servers"]
    return offset


# Damaged


OTHERS: list[Any] = [
    *(None, True, -1, 0, 1.5, 2**63, 2**64, 10**400, float("nan"), float("inf"), -0.0),
    *("", "x", "-", "1", "9" * 1_000_000, "\0", "\ud800", "5-5-5", "٥-٠"),
    *([], [[]], {}, {"": {}}, [None], {"id": "1-1"}, ["1-1"] * 100_000),
]


def changed(value: Any) -> Iterator[Any]:
    """A value with another one in the place of each of its parts, or without it, or with one more."""
    yield from OTHERS
    match value:
        case dict():
            for name, part in value.items():
                rest = {other: its for other, its in value.items() if other != name}
                yield rest
                yield rest | {f"{name} ": part}
                yield from (rest | {name: other} for other in changed(part))
            yield value | {"more": 1}
        case list():
            for index, part in enumerate(value):
                yield from ([*value[:index], o, *value[index + 1 :]] for o in changed(part))


def test_each_part_of_an_offset_is_another_one(whole: Offset) -> None:
    connector = LakeflowConnect(NOWHERE)
    tried = 0
    for offset in changed(whole):
        if isinstance(offset, dict):
            tried += 1
            with pytest.raises(REFUSED_OR_NOT) as caught:
                connector.read_table("streams", offset)
            assert len(str(caught.value)) < sound.LONGEST
    assert tried > 10 * len(OTHERS)


def test_each_letter_of_an_offset_is_another_one(whole: Offset) -> None:
    connector = LakeflowConnect(NOWHERE)
    text = json.dumps(whole)
    parsed = 0
    for at in range(len(text)):
        for other in ("", "0", "9", "-", '"', ",", "a", "}", "[1]", "1e999", "\\u0000"):
            damaged = text[:at] + other + text[at + 1 :]
            try:
                offset = json.loads(damaged)
            except ValueError:
                continue
            if isinstance(offset, dict):
                parsed += 1
                with pytest.raises(REFUSED_OR_NOT):
                    connector.read_table("streams", offset)
    assert parsed > len(text)


@pytest.mark.parametrize("depth", [100, 500, 100_000])
def test_an_offset_that_nests_is_refused(depth: int) -> None:
    deep: Any = "x"
    for number in range(depth):
        deep = {"a": deep} if number % 2 else [deep]
    for offset in ({"streams": deep}, {"streams": {"0": deep}, "table": "streams", "version": 1}):
        with pytest.raises(ConfigurationError) as caught:
            LakeflowConnect(NOWHERE).read_table("streams", offset)
        assert len(str(caught.value)) < sound.LONGEST


MANY = 50_000


def test_an_offset_of_many_streams_that_are_gone_is_a_short_error(
    one_connect: Connect, one_client: redis.Redis, whole: Offset
) -> None:
    names = {f"gone:{number}": {"id": "5-0", "added": 5} for number in range(MANY)}
    offset = whole | {"streams": {"0": whole["streams"]["0"] | names}}
    with pytest.raises(DataLossError, match="gone:") as caught:
        one_connect().read_table("streams", offset)
    assert len(str(caught.value)) < sound.LONGEST
    records, end = one_connect(fail_on_data_loss="false").read_table("streams", offset)
    assert len(list(records)) == 6
    assert len(records.receipt["gaps"]) == MANY
    assert end["streams"]["0"].keys() == {"a", "é"}


def test_an_offset_with_a_huge_name_is_a_short_error(one_connect: Connect, whole: Offset) -> None:
    offset = whole | {"streams": {"0": {"x" * 10_000_000: {"id": "5-0"}}}}
    with pytest.raises(DataLossError, match="xxx") as caught:
        one_connect().read_table("streams", offset)
    assert len(str(caught.value)) < sound.LONGEST


# In the log of a lake


def log_of(folder: Path) -> Path:
    """The only entry of the offset log."""
    return folder / "_lakeflow" / "streams" / "0.json"


def test_a_log_that_is_cut_off_anywhere_stops_the_run(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    added = add(one_client, "a", *numbered(1, 10))
    ingest(one_connect(), tmp_path, ["streams"])
    add(one_client, "a", *numbered(20, 10))
    text = log_of(tmp_path).read_bytes()
    for size in [*range(0, len(text.rstrip()), 11), len(text.rstrip()) - 1]:
        log_of(tmp_path).write_bytes(text[:size])
        with pytest.raises(LakeError, match=r"0\.json"):
            ingest(one_connect(), tmp_path, ["streams"])
    assert lake.entries(tmp_path) == sorted(added)
    log_of(tmp_path).write_bytes(text)
    ingest(one_connect(), tmp_path, ["streams"])
    assert len(lake.entries(tmp_path)) == 20


# Unharmed


PLACES = 40


def test_an_offset_stays_good_wherever_its_read_was_cut(
    one_server: Server, one_client: redis.Redis
) -> None:
    """What was read before is not read again, and what was not read is."""
    for key in ("a", "b", "c"):
        add_many(one_client, key, numbered(1, 200))
    with Proxy(one_server.port) as proxy:
        options = sound.at_once(through(proxy, one_server))
        connector = LakeflowConnect(options)
        start = read(connector, max_records_per_batch="90").offset
        expected = read(connector, start)
        assert len(expected.entries) == 3 * 200 - 90
        said = bytearray()
        proxy.once(faults.recorded(said))
        read(connector, start)
        chance = Random(1)
        for _ in range(PLACES):
            place = chance.randrange(len(said) - SLACK)
            proxy.once(faults.cut(place))
            before = json.dumps(start)
            with pytest.raises(RedisConnectionError) as caught:
                read(connector, start)
            sound.check(caught.value, options)
            assert json.dumps(start) == before
            assert read(connector, start) == expected, place
