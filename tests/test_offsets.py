"""An offset that is not one of ours fails before anything is connected to."""

import json
from typing import Any

import pytest
import redis
from lakeflow_redis import ConfigurationError, LakeflowConnect

from tests.conftest import Connect
from tests.servers import Server
from tests.streams import add, read
from tests.test_connector import NOWHERE


def offset(positions: Any, **changes: Any) -> dict[str, Any]:
    """An offset of database 0 with these positions, and something changed about it."""
    whole = {"streams": {"0": positions}, "table": "streams", "version": 1} | changes
    return {name: value for name, value in whole.items() if value is not None}


BAD_IDS = [
    *("", "5-", "-5", "-1-0", "5-0-0", "5-x", "x", "5_0", "+5-0", "5-+0", " 5-0", "5-0\n"),
    *("18446744073709551616-0", "0-18446744073709551616", "5.0-1", "$", ">", "٥-٠"),
]

MALFORMED: dict[str, Any] = {
    **{f"id {entry_id!r}": offset({"a": {"id": entry_id}}) for entry_id in BAD_IDS},
    **{f"bound {entry_id!r}": {"entry_id": entry_id} for entry_id in BAD_IDS},
    "an id that is a number": offset({"a": {"id": 5}}),
    "an id that is null": offset({"a": {"id": None}}),
    "no id": offset({"a": {"added": 5}}),
    "a position that is an id": offset({"a": "5-0"}),
    "a position that is null": offset({"a": None}),
    "a position with more in it": offset({"a": {"id": "5-0", "more": 1}}),
    "a count that is a text": offset({"a": {"id": "5-0", "added": "1"}}),
    "a count below zero": offset({"a": {"id": "5-0", "added": -1}}),
    "a count that is no integer": offset({"a": {"id": "5-0", "added": 1.5}}),
    "a count past 64 bits": offset({"a": {"id": "5-0", "added": 2**64}}),
    "a key that is no base64": offset({"base64:???": {"id": "5-0"}}),
    "positions that are a list": offset([["a", "5-0"]]),
    "positions that are null": offset({}, streams={"0": None}),
    "databases that are a list": offset({}, streams=[]),
    "a database that is no number": offset({}, streams={"zero": {}}),
    "a database below zero": offset({}, streams={"-1": {}}),
    "no streams": offset({}, streams=None),
    "no table": offset({}, table=None),
    "no version": offset({}, version=None),
    "a version to come": offset({}, version=2),
    "a version that is a text": offset({}, version="1"),
    "something more": offset({}, more=1),
    "something else": {"id": "5-0"},
    "a bound that is a number": {"entry_id": 5},
    "a bound and something more": {"entry_id": "5-0", "more": 1},
    "a key that is no text": {5: "5-0"},
    "a value that is no JSON": offset({"a": {"id": b"5-0"}}),
    "the offset of a snapshot": {"scanned_at": 1},
    "the table of another": offset({}, table="hashes"),
}


@pytest.mark.parametrize("start", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_offset_is_an_error_before_anything_is_read(start: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"(?i)offset"):
        LakeflowConnect(NOWHERE).read_table("streams", start)


@pytest.mark.parametrize("start", ["", "5-0", b"{}", 5, [], [("entry_id", "5-0")]])
def test_what_is_no_mapping_is_no_offset(start: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"must be a JSON-able dict: (it|this) is "):
        LakeflowConnect(NOWHERE).read_table("streams", start)


@pytest.mark.parametrize("table", ["keys", "strings", "server_info"])
def test_an_offset_of_the_streams_is_none_of_a_snapshot(table: str) -> None:
    with pytest.raises(ConfigurationError, match="streams"):
        LakeflowConnect(NOWHERE).read_table(table, offset({"a": {"id": "5-0"}}))


def test_an_offset_of_another_database_is_an_error(
    one_server: Server, one_connect: Connect, one_client: redis.Redis
) -> None:
    add(one_client, "a", "1-1")
    start = read(one_connect()).offset
    with pytest.raises(ConfigurationError, match="database"):
        LakeflowConnect(NOWHERE | {"db": "1"}).read_table("streams", start)
    by_url = {"url": f"redis://{one_server.host}:{one_server.port}/1"}
    with pytest.raises(ConfigurationError, match="database"):
        LakeflowConnect(by_url).read_table("streams", start)


def test_an_error_shows_little_of_a_long_offset() -> None:
    start = offset({"a": {"id": "9" * 1_000_000}})
    with pytest.raises(ConfigurationError) as caught:
        LakeflowConnect(NOWHERE).read_table("streams", start)
    assert len(str(caught.value)) < 2000


def test_an_offset_that_went_through_json_is_taken(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    add(one_client, "a", "1-1")
    start = json.loads(json.dumps(read(one_connect()).offset))
    assert read(one_connect(), start).entries == []
