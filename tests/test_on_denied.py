"""`on_denied`: a key that the user may not read is an error, or left out and counted.

What a user is refused by its command, and not by its key, is an error in any case.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import redis
from lakeflow_redis import (
    LakeflowConnect,
    LakeflowRedisError,
    PermissionDeniedError,
    Records,
)

from tests import canary, data, lake, oracle
from tests.by_database import emptied
from tests.compare import assert_same_rows
from tests.contract import CONTENT_TABLES
from tests.large import LITTLE, PAGED, add_large
from tests.oracle import TYPES, Row
from tests.servers import Server
from tests.streams import add, read
from tests.test_cli import at, run
from tests.users import add_user, as_user

USER = "lakeflow-few-keys"
KEY_TABLES = [*CONTENT_TABLES, "keys"]

OURS = "app:*"
SMALL = 3
"""Small keys of each type that are ours, and as many that are not."""

OTHERS = SMALL + 1
"""Keys of each type that are not ours; one of them is large."""


@pytest.fixture
def client(acl_server: Server) -> Iterator[redis.Redis]:
    """A client of the default user; the other user may do all, with keys of its own."""
    with emptied(acl_server, (0,)) as clients:
        add_user(clients[0], USER, "+@all", f"~{OURS}")
        yield clients[0]


def fill(client: redis.Redis, *, expire: bool = False) -> None:
    """Make keys of every type, ours and others, small and large; all expire, or none."""
    pipe = client.pipeline(transaction=False)
    for table in CONTENT_TABLES:
        for owner in ("app", "other"):
            for number in range(SMALL):
                data.add_one(pipe, table, f"{owner}:{table}:{number}", f"{owner} {number}")
            add_large(pipe, table, f"{owner}:{table}:large")
    pipe.execute()
    if expire:
        for name in oracle.scan(oracle.Raw(client)):
            client.expire(name, data.TTL_SECONDS)


def skipping(server: Server, **options: str) -> LakeflowConnect:
    """A connector for the user with few keys, which leaves out the others."""
    return as_user(server, USER, on_denied="skip", **options)


def count_others(table: str) -> int:
    """How many keys of a table are not ours."""
    return OTHERS * (len(CONTENT_TABLES) if table == "keys" else 1)


# An error unless told otherwise


@pytest.mark.parametrize("options", [{}, {"on_denied": "error"}], ids=["unsaid", "said"])
@pytest.mark.parametrize("table", KEY_TABLES)
def test_a_key_that_is_not_permitted_is_an_error_that_names_it_and_the_rule(
    acl_server: Server, client: redis.Redis, table: str, options: dict[str, str]
) -> None:
    fill(client)
    with pytest.raises(PermissionDeniedError) as caught:
        list(as_user(acl_server, USER, **options).read_table(table)[0])
    content = "" if table == "keys" else f"{table}:"
    assert f'key "other:{content}' in str(caught.value)
    assert "`~*`" in str(caught.value)
    assert f"table {table}" in str(caught.value)
    canary.assert_unseen(caught.value)


@pytest.mark.parametrize("table", KEY_TABLES)
def test_keys_that_are_not_chosen_are_nobodys_concern(
    acl_server: Server, client: redis.Redis, table: str
) -> None:
    fill(client)
    records, _ = as_user(acl_server, USER, key_pattern=OURS).read_table(table)
    assert_same_rows(table, list(records), oracle.read(client, table, pattern=OURS))
    assert records.receipt["keys_denied"] == 0


# Left out and counted


@pytest.mark.parametrize("expire", [False, True], ids=["staying", "expiring"])
@pytest.mark.parametrize("options", [{}, LITTLE], ids=["whole", "in pages"])
@pytest.mark.parametrize("table", KEY_TABLES)
def test_the_rows_of_permitted_keys_come_and_the_others_are_counted(
    acl_server: Server,
    client: redis.Redis,
    table: str,
    options: dict[str, str],
    expire: bool,
) -> None:
    fill(client, expire=expire)
    records, _ = skipping(acl_server, **options).read_table(table)
    rows = list(records)
    assert_same_rows(table, rows, oracle.read(client, table, pattern=OURS))
    receipt = records.receipt
    assert receipt["keys_denied"] == count_others(table)
    assert receipt["keys_gone"] == receipt["keys_changed_type"] == 0
    assert receipt["warnings"] == []


@pytest.mark.parametrize(
    "column", ["key_type", "encoding", "refcount", "idle_time_seconds", "memory_bytes"]
)
def test_a_key_whose_facts_are_not_permitted_is_left_out_by_any_of_them(
    acl_server: Server, client: redis.Redis, column: str
) -> None:
    fill(client)
    records, _ = skipping(acl_server, columns=f"key_name,{column}").read_table("keys")
    rows = list(records)
    ours = {name.decode() for name in oracle.scan(oracle.Raw(client), OURS)}
    assert {row["key_name"] for row in rows} == ours
    assert all(row[column] is not None for row in rows)
    assert records.receipt["keys_denied"] == count_others("keys")
    assert records.receipt["warnings"] == []


@pytest.mark.parametrize("column", ["encoding", "refcount", "idle_time_seconds", "memory_bytes"])
def test_a_key_whose_facts_are_not_permitted_is_an_error_by_any_of_them(
    acl_server: Server, client: redis.Redis, column: str
) -> None:
    fill(client)
    connector = as_user(acl_server, USER, columns=f"key_name,{column}")
    with pytest.raises(PermissionDeniedError, match='key "other:'):
        list(connector.read_table("keys")[0])


MANY = 2_000


@pytest.mark.parametrize("table", ["strings", "hashes", "keys"])
def test_permitted_keys_that_are_asked_for_beside_others_all_come(
    acl_server: Server, client: redis.Redis, table: str
) -> None:
    pipe = client.pipeline(transaction=False)
    for number in range(MANY):
        owner = "other" if number % 7 == 0 else "app"
        data.add_one(pipe, "hashes" if table == "hashes" else "strings", f"{owner}:{number}")
    pipe.execute()
    records, _ = skipping(acl_server).read_table(table)
    assert_same_rows(table, list(records), oracle.read(client, table, pattern=OURS))
    assert records.receipt["keys_denied"] == len(range(0, MANY, 7))


@pytest.mark.parametrize("table", KEY_TABLES)
def test_where_no_key_is_permitted_the_table_is_empty(
    acl_server: Server, client: redis.Redis, table: str
) -> None:
    fill(client)
    add_user(client, USER, "+@all")
    records, _ = skipping(acl_server).read_table(table)
    assert list(records) == []
    assert records.receipt["keys_denied"] == 2 * count_others(table)


@pytest.mark.parametrize("table", KEY_TABLES)
def test_a_name_that_is_given_is_counted_too(
    acl_server: Server, client: redis.Redis, table: str
) -> None:
    fill(client)
    content = "hashes" if table == "keys" else table
    rules = [
        {"database": 0, "key_pattern": f"{owner}:{content}:{which}"}
        for owner in ("app", "other")
        for which in ("1", "large")
    ]
    records, _ = skipping(acl_server, sync_rules=json.dumps(rules)).read_table(table)
    rows = list(records)
    assert {row["key_name"] for row in rows} == {f"app:{content}:1", f"app:{content}:large"}
    assert records.receipt["keys_denied"] == 2


@pytest.mark.parametrize("table", KEY_TABLES)
def test_keys_of_one_type_by_rules_are_left_out_and_counted(
    acl_server: Server, client: redis.Redis, table: str
) -> None:
    fill(client)
    key_type = TYPES.get(table, "list")
    rules = [{"database": 0, "_type": key_type}]
    records, _ = skipping(acl_server, sync_rules=json.dumps(rules)).read_table(table)
    wanted = [row for row in oracle.read(client, table, pattern=OURS) if of_type(row, key_type)]
    assert_same_rows(table, list(records), wanted)
    assert records.receipt["keys_denied"] == OTHERS


def of_type(row: Row, key_type: str) -> bool:
    """Whether a row is of a key of this type; all of a content table are."""
    return bool(row.get("key_type", key_type) == key_type)


@pytest.mark.parametrize("tables", [KEY_TABLES, CONTENT_TABLES, ["keys", "sets"]], ids=",".join)
@pytest.mark.parametrize("options", [{}, LITTLE], ids=["whole", "in pages"])
def test_several_tables_have_the_rows_of_permitted_keys(
    acl_server: Server, client: redis.Redis, tables: list[str], options: dict[str, str]
) -> None:
    fill(client)
    batches, _ = skipping(acl_server, **options).read_tables(tables)
    found = batches.read_all()
    for table in tables:
        wanted = oracle.read(client, table, pattern=OURS)
        assert_same_rows(table, found[table].to_pylist(), wanted)
        assert batches.receipts[table]["warnings"] == []
    # Nobody knows of which type a key is that nothing may be asked of.
    for table in tables:
        denied = batches.receipts[table]["keys_denied"]
        # Streams are found by a scan of their own.
        told = "keys" in tables and table != "streams"
        assert denied == count_others("keys") if told else denied >= OTHERS


# A key of which some may be asked, but not what it holds


def test_a_value_that_is_not_permitted_is_left_out_though_its_length_is(
    acl_server: Server, client: redis.Redis
) -> None:
    """Before 7.0 a user has a key or has it not."""
    fill(client)
    for number in range(200):
        client.set(f"{'other' if number % 3 else 'app'}:many:{number}", "v")
    if acl_server.flavour.has_read_permissions:
        add_user(client, USER, "+@all", f"~{OURS}", "%W~other:*")
        with acl_server.client(username=USER, password=canary.PASSWORD) as few:
            assert few.strlen("other:strings:1") > 0
            with pytest.raises(redis.exceptions.NoPermissionError):
                few.mget("app:strings:1", "other:strings:1")
    for options in ({}, LITTLE):
        records, _ = skipping(acl_server, **options).read_table("strings")
        assert_same_rows("strings", list(records), oracle.read(client, "strings", pattern=OURS))
        assert records.receipt["keys_denied"] == OTHERS + len([n for n in range(200) if n % 3])


@pytest.mark.parametrize("length", [1, 100_000])
def test_an_error_names_that_one_of_many_keys_that_is_not_permitted(
    acl_server: Server, client: redis.Redis, length: int
) -> None:
    """Not the first of those that it was asked for together with."""
    client.mset({f"app:{number}": "v" for number in range(500)})
    client.set("other", "v" * length)
    if acl_server.flavour.has_read_permissions:
        add_user(client, USER, "+@all", f"~{OURS}", "%W~other")
    with pytest.raises(PermissionDeniedError, match='key "other"'):
        list(as_user(acl_server, USER, **LITTLE).read_table("strings")[0])


@pytest.mark.parametrize("expire", [False, True], ids=["staying", "expiring"])
@pytest.mark.parametrize("table", [table for table in CONTENT_TABLES if table != "strings"])
def test_elements_that_are_not_permitted_are_left_out_though_their_count_is(
    acl_server: Server,
    client: redis.Redis,
    table: str,
    expire: bool,
) -> None:
    fill(client, expire=expire)
    if acl_server.flavour.has_read_permissions:
        add_user(client, USER, "+@all", f"~{OURS}", "%W~other:*")
    for options in ({}, LITTLE):
        records, _ = skipping(acl_server, **options).read_table(table)
        assert_same_rows(table, list(records), oracle.read(client, table, pattern=OURS))
        receipt = records.receipt
        assert receipt["keys_denied"] == OTHERS
        assert receipt["warnings"] == []
        paged = options == LITTLE and table in PAGED
        assert receipt["keys_paged"] == (1 if paged else 0)
        assert receipt["keys_inconsistent"] == 0


# A command is not a key


COMMANDS = {
    "strings": ["strlen", "mget", "scan"],
    "hashes": ["hgetall", "scan"],
    "lists": ["lrange"],
    "sets": ["smembers"],
    "sorted_sets": ["zrange"],
    "streams": ["xinfo", "xrange", "scan"],
    "keys": ["type", "scan"],
}


@pytest.mark.parametrize("keys", ["~*", f"~{OURS}"])
@pytest.mark.parametrize(
    ("table", "command"),
    [(table, command) for table, commands in COMMANDS.items() for command in commands],
)
def test_a_command_that_is_not_permitted_is_an_error_all_the_same(
    acl_server: Server, client: redis.Redis, table: str, command: str, keys: str
) -> None:
    fill(client)
    add_user(client, USER, keys, "+@all", f"-{command}")
    with pytest.raises(PermissionDeniedError) as caught:
        list(skipping(acl_server).read_table(table)[0])
    assert f"'{command}" in str(caught.value)
    assert f"`+{command}" in str(caught.value)
    with pytest.raises(PermissionDeniedError):
        skipping(acl_server).read_tables([table, "server_info"])[0].read_all()


@pytest.mark.parametrize(
    ("table", "command"),
    [
        *(("strings", "getrange"), ("hashes", "hscan"), ("hashes", "hlen"), ("lists", "lrange")),
        *(("sets", "sscan"), ("sorted_sets", "zrange")),
    ],
)
def test_a_command_for_large_keys_is_an_error_all_the_same(
    acl_server: Server, client: redis.Redis, table: str, command: str
) -> None:
    fill(client)
    add_user(client, USER, "~*", "+@all", f"-{command}")
    with pytest.raises(PermissionDeniedError, match=f"'{command}'"):
        list(skipping(acl_server, **LITTLE).read_table(table)[0])


def test_a_command_for_names_that_are_given_is_an_error_all_the_same(
    acl_server: Server, client: redis.Redis
) -> None:
    fill(client)
    add_user(client, USER, "~*", "+@all", "-type")
    for table in KEY_TABLES:
        with pytest.raises(PermissionDeniedError, match="'type'"):
            list(skipping(acl_server, key_pattern="other:hashes:1").read_table(table)[0])


def test_facts_that_no_key_is_asked_for_are_null_and_no_key_is_left_out(
    acl_server: Server, client: redis.Redis
) -> None:
    fill(client)
    add_user(client, USER, "~*", "+@all", "-memory")
    records, _ = skipping(acl_server).read_table("keys")
    with pytest.warns(match="memory_bytes"):
        rows = pa.table(records)
    assert rows.num_rows == 2 * count_others("keys")
    assert rows["memory_bytes"].null_count == rows.num_rows
    assert rows["encoding"].null_count == rows["idle_time_seconds"].null_count == 0
    assert records.receipt["keys_denied"] == 0


# The command says it


@pytest.mark.parametrize("table", ["strings", "keys"])
def test_the_command_says_how_many_keys_it_left_out(
    acl_server: Server, client: redis.Redis, tmp_path: Path, table: str
) -> None:
    fill(client)
    user = ["--username", USER, "--password", canary.PASSWORD, "--on-denied", "skip"]
    for command in (
        ["read", table, "--format", "json"],
        ["ingest", "--tables", table, "--to", tmp_path],
    ):
        done = run(*command, *at(acl_server), *user)
        assert done.code == 0
        (line,) = done.stderr.splitlines()
        assert table in line
        assert str(count_others(table)) in line
        assert "other:" not in done.stdout
    landed = {row["key_name"] for row in lake.rows(tmp_path, table)}
    assert landed == {row["key_name"] for row in oracle.read(client, table, pattern=OURS)}


# Streams are read on


@pytest.fixture
def two_streams(client: redis.Redis) -> redis.Redis:
    """A client on a database with two streams, both of which the user may read for now."""
    add(client, "app:s", "1-0")
    add(client, "other:s", "1-0", "2-0")
    add_user(client, USER, "+@all", "~*")
    return client


def test_a_stream_whose_permission_is_withdrawn_keeps_its_position(
    acl_server: Server, two_streams: redis.Redis
) -> None:
    client = two_streams
    connector = skipping(acl_server)
    first = read(connector)
    assert len(first.entries) == 3

    add_user(client, USER, "+@all", f"~{OURS}")
    add(client, "app:s", "2-0")
    add(client, "other:s", "3-0")
    records, second = connector.read_table("streams", first.offset)
    assert [(row["key_name"], row["entry_id"]) for row in records] == [("app:s", "2-0")]
    assert records.receipt["keys_denied"] == 1
    position = first.offset["streams"]["0"]["other:s"]
    assert second["streams"]["0"]["other:s"] == position
    again = read(connector, second)
    assert again.entries == []
    assert again.offset == second

    add_user(client, USER, "+@all", "~*")
    add(client, "other:s", "4-0")
    assert read(connector, second).entries == [("other:s", "3-0"), ("other:s", "4-0")]


def test_a_stream_that_was_never_permitted_is_read_from_its_beginning_once_it_is(
    acl_server: Server, two_streams: redis.Redis
) -> None:
    add_user(two_streams, USER, "+@all", f"~{OURS}")
    connector = skipping(acl_server)
    first = read(connector)
    assert first.entries == [("app:s", "1-0")]
    assert first.offset["streams"]["0"].keys() == {"app:s"}
    add_user(two_streams, USER, "+@all", "~*")
    assert read(connector, first.offset).entries == [("other:s", "1-0"), ("other:s", "2-0")]


def test_a_stream_that_other_keys_are_read_beside_keeps_its_position_too(
    acl_server: Server, two_streams: redis.Redis
) -> None:
    """One that the pattern leaves out is asked after all, whether it is still there."""
    client = two_streams
    first = read(skipping(acl_server))
    add_user(client, USER, "+@all", f"~{OURS}")
    add(client, "other:s", "3-0")
    second = read(skipping(acl_server), first.offset, key_pattern=OURS)
    assert second.entries == []
    assert second.offset == first.offset


def test_a_cap_counts_no_entries_of_streams_that_are_not_permitted(
    acl_server: Server, two_streams: redis.Redis
) -> None:
    client = two_streams
    add_user(client, USER, "+@all", f"~{OURS}")
    add(client, "app:s", "2-0", "3-0")
    found = read(skipping(acl_server), max_records_per_batch="2")
    assert found.entries == [("app:s", "1-0"), ("app:s", "2-0")]
    assert read(skipping(acl_server), found.offset).entries == [("app:s", "3-0")]


def test_a_stream_whose_permission_is_withdrawn_is_an_error_unless_skipped(
    acl_server: Server, two_streams: redis.Redis
) -> None:
    connector = as_user(acl_server, USER)
    first = read(connector)
    add_user(two_streams, USER, "+@all", f"~{OURS}")
    with pytest.raises(PermissionDeniedError, match='key "other:s"'):
        connector.read_table("streams", first.offset)
    with pytest.raises(PermissionDeniedError, match='key "other:s"'):
        connector.read_table("streams", first.offset, {"key_pattern": OURS})


def test_entries_that_are_withdrawn_once_they_were_planned_are_not_passed_over(
    acl_server: Server, two_streams: redis.Redis
) -> None:
    """The offset was given before: it must not lead past entries that nobody got."""
    connector = skipping(acl_server)
    first = read(connector)
    add(two_streams, "other:s", "3-0")
    add(two_streams, "app:s", "3-0")
    records, _ = connector.read_table("streams", first.offset)
    add_user(two_streams, USER, "+@all", f"~{OURS}")
    found = list(until_refused(records, "other:s"))
    # Either they were read before the permission was gone, or the read has failed.
    assert ("other:s", "3-0") in found or not records.receipt["complete"]


def until_refused(records: Records, key: str) -> Iterator[tuple[str, str]]:
    """The keys and ids of entries, up to an error that names a key."""
    with contextlib.suppress(LakeflowRedisError):
        for row in records:
            yield row["key_name"], row["entry_id"]
    assert records.error is None or key in str(records.error)
