"""A user is told what it may not; that `acl` gives it what it needs is in `test_acl`."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from lakeflow_redis import LakeflowConnect, LakeflowRedisWarning, PermissionDeniedError

from tests import canary, data
from tests.contract import CONTENT_TABLES, TABLES
from tests.servers import Server
from tests.users import add_user, as_user

USER = "lakeflow-reader"


@pytest.fixture
def client(acl_server: Server) -> redis.Redis:
    """A client of the default user on the emptied database 0."""
    client = acl_server.client()
    client.flushdb()
    return client


def as_reader(server: Server) -> LakeflowConnect:
    """A connector for the test's user."""
    return as_user(server, USER)


COMMANDS = {
    "strings": ["get", "mget", "strlen", "getrange"],
    "hashes": ["hlen", "hgetall", "hscan"],
    "lists": ["llen", "lrange"],
    "sets": ["scard", "smembers", "sscan"],
    "sorted_sets": ["zcard", "zrange", "zscan"],
    "streams": ["xlen", "xrange", "xinfo"],
    "keys": ["type"],
    "server_info": ["info"],
}


@pytest.mark.parametrize("table", TABLES)
def test_a_command_that_is_not_permitted_is_named(
    acl_server: Server, client: redis.Redis, table: str
) -> None:
    refused = COMMANDS[table]
    add_user(client, USER, "~*", "+@all", *(f"-{command}" for command in refused))
    for content in CONTENT_TABLES:
        data.add_one(client, content, f"of {content}")
    with pytest.raises(PermissionDeniedError) as caught:
        list(as_reader(acl_server).read_table(table)[0])
    assert any(command in str(caught.value).lower() for command in refused), caught.value
    canary.assert_unseen(caught.value)


def test_a_scan_that_is_not_permitted_is_named(acl_server: Server, client: redis.Redis) -> None:
    add_user(client, USER, "~*", "+@all", "-scan")
    with pytest.raises(PermissionDeniedError, match=r"(?i)scan"):
        list(as_reader(acl_server).read_table("strings")[0])
    with pytest.raises(PermissionDeniedError, match=r"(?i)scan"):
        as_reader(acl_server).read_table("streams")


def test_a_key_that_is_not_permitted_is_named(acl_server: Server, client: redis.Redis) -> None:
    add_user(client, USER, "~app:*", "+@all")
    client.set("other:1", "v")
    with pytest.raises(PermissionDeniedError, match="other:1"):
        list(as_reader(acl_server).read_table("strings")[0])


def test_permission_errors_are_also_pythons_own(acl_server: Server, client: redis.Redis) -> None:
    add_user(client, USER, "~*", "+@all", "-scan")
    with pytest.raises(PermissionError):
        list(as_reader(acl_server).read_table("strings")[0])


def test_the_connection_test_names_the_command(acl_server: Server, client: redis.Redis) -> None:
    add_user(client, USER, "~*", "+@all", "-info", "-ping")
    result = as_reader(acl_server).test_connection()
    assert result["status"] == "error"
    assert "permi" in result["message"].lower()
    assert any(command in result["message"].lower() for command in ("info", "ping"))
    canary.assert_unseen(result)


def test_facts_of_a_key_that_are_not_permitted_are_null_with_a_warning(
    acl_server: Server, client: redis.Redis
) -> None:
    add_user(client, USER, "~*", "+@all", "-memory", "-object")
    names = data.fill_many(client, 50).keys()
    records, _ = as_reader(acl_server).read_table("keys")
    with pytest.warns(LakeflowRedisWarning) as issued:
        rows = list(records)
    assert {row["key_name"] for row in rows} == names
    facts = ("memory_bytes", "encoding", "refcount", "idle_time_seconds")
    assert {row[fact] for row in rows for fact in facts} == {None}
    assert {row["key_type"] for row in rows} == {"string"}
    said = records.receipt["warnings"]
    # One for each column, and not one for each key.
    assert len(said) == len(facts)
    assert all(any(fact in warning for warning in said) for fact in facts)
    assert [str(each.message) for each in issued] == said


def test_no_row_is_lost_where_warnings_are_errors(acl_server: Server, client: redis.Redis) -> None:
    add_user(client, USER, "~*", "+@all", "-memory")
    names = data.fill_many(client, 50).keys()
    records, _ = as_reader(acl_server).read_table("keys")
    rows = iter(records)
    got = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", LakeflowRedisWarning)
        while (row := next_unless_warned(rows)) is not None:
            got += [row["key_name"]] if row else []
    assert sorted(got) == sorted(names)


def next_unless_warned(rows: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    """The next row, None at the end, and an empty one for a warning."""
    try:
        return next(rows, None)
    except LakeflowRedisWarning:
        return {}
