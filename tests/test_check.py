"""`check` and `inspect` say what is there and what may be read of it, and leave it as it was."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from lakeflow_redis import (
    AuthenticationError,
    ConfigurationError,
    LakeflowConnect,
    LakeflowRedisError,
    LakeflowRedisWarning,
    PermissionDeniedError,
    RedisConnectionError,
)
from lakeflow_redis._core import acl_rules
from lakeflow_redis.cli import cli

from tests import canary, data, oracle
from tests.by_database import emptied
from tests.compare import assert_same_rows
from tests.contract import CONTENT_TABLES, TABLES
from tests.large import LITTLE, PAGED, add_large
from tests.monitor import Monitor
from tests.oracle import Raw
from tests.servers import FLAVOURS, HOST, REDIS_6_2, REDIS_7_0, VALKEY_9_1, Server, free_port
from tests.users import add_user, as_user, least_rules
from tests.waiting import until

USER = "lakeflow-checked"
KEY_TABLES = [*CONTENT_TABLES, "keys"]

ALL_IS_WELL: dict[str, Any] = {"readable": True, "refused": [], "null_columns": [], "notes": []}


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    """A client on database 0 of `server`, all of which is empty."""
    with emptied(server, (0,)) as clients:
        yield clients[0]


@pytest.fixture
def acl_client(acl_server: Server) -> Iterator[redis.Redis]:
    """A client on database 0 of `acl_server`, all of which is empty."""
    with emptied(acl_server, (0,)) as clients:
        yield clients[0]


def inspect(server: Server, **options: str) -> dict[str, Any]:
    """What the connector finds."""
    return dict(LakeflowConnect(server.options(**options)).inspect())


def check(server: Server, *more: str) -> str:
    """What the command prints."""
    done = CliRunner().invoke(cli, ["check", *arguments(server.options()), *more])
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


def arguments(options: dict[str, str]) -> list[str]:
    """Options as the command takes them."""
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def printed(text: str, what: str) -> list[str]:
    """The lines about something, without the word that says so."""
    lines = [line.partition(" ") for line in text.splitlines()]
    return [rest.strip() for word, _, rest in lines if word == what]


# What is there


def test_the_server_its_user_and_its_databases_are_said(
    server: Server, client: redis.Redis
) -> None:
    data.fill_many(client, 1_234)
    client.expire("many:7", 1000)
    with server.client(3) as other:
        data.add_one(other, "hashes", "h")
        found = inspect(server)
        text = check(server)
    told = client.info("server")
    version = told.get("valkey_version", told["redis_version"])
    assert version.startswith(server.flavour.release)
    assert found["mode"] == "standalone"
    assert found["nodes"] == [
        {
            "address": server.address,
            "product": server.flavour.product,
            "version": version,
            "role": "primary",
            "keys": 1_235,
        }
    ]
    assert found["tls"] is False
    assert found["user"] == "default"
    assert found["databases"] == {
        "0": {"keys": 1_234, "expires": 1},
        "3": {"keys": 1, "expires": 0},
    }
    assert found["tables"] == dict.fromkeys(TABLES, ALL_IS_WELL)
    assert found["warnings"] == []

    product = f"{server.flavour.product} {version}"
    assert printed(text, "mode") == ["standalone"]
    assert printed(text, "node") == [f"{server.address}: {product}, primary, 1,235 keys"]
    assert printed(text, "TLS") == ["no"]
    assert printed(text, "user") == ["default"]
    assert printed(text, "database") == [
        "0: 1,234 keys, of which 1 expire",
        "3: 1 key, of which 0 expire",
    ]
    assert sorted(printed(text, "table")) == sorted(f"{table}: readable" for table in TABLES)
    assert printed(text, "limit") == found["limits"]
    assert printed(text, "warning") == []


def test_json_is_what_the_connector_finds(server: Server, client: redis.Redis) -> None:
    client.set("a", "v", ex=1000)
    assert json.loads(check(server, "--json")) == inspect(server)


def test_a_server_without_keys_has_no_databases(server: Server, client: redis.Redis) -> None:
    found = inspect(server)
    assert found["databases"] == {}
    assert found["nodes"][0]["keys"] == 0
    assert len(printed(check(server), "database")) == 1
    assert inspect(server, db="*")["databases"] == {}


@pytest.mark.parametrize("db", ["0", "2", "0,2", "*"])
def test_all_databases_are_said_whichever_are_to_be_read(
    server: Server, client: redis.Redis, db: str
) -> None:
    with server.client(2) as other:
        other.set("a", "v")
        found = inspect(server, db=db)
    assert found["databases"] == {"2": {"keys": 1, "expires": 0}}
    assert found["tables"] == dict.fromkeys(TABLES, ALL_IS_WELL)


def test_a_socket_is_an_address_too(one_server: Server) -> None:
    connector = LakeflowConnect({"unix_socket_path": one_server.unix_socket})
    (node,) = connector.inspect()["nodes"]
    assert node["address"] == one_server.unix_socket


def test_encryption_is_said(tls_server: Server) -> None:
    found = inspect(tls_server)
    assert found["tls"] is True
    assert found["warnings"] == []
    done = CliRunner().invoke(cli, ["check", *cli_options(tls_server)])
    assert printed(done.stdout, "TLS") == ["yes"]


def cli_options(server: Server) -> list[str]:
    """A server's options as the command takes them, whose words have hyphens."""
    options = {name.replace("_", "-"): value for name, value in server.options().items()}
    return arguments(options)


# What it cannot promise


def test_what_an_older_version_cannot_do_is_said(server: Server, client: redis.Redis) -> None:
    limits = inspect(server)["limits"]
    assert any("SCAN" in limit for limit in limits) == (server.flavour.level < (6, 0))
    assert any("streams" in limit for limit in limits) == (server.flavour.level < (7, 0))
    assert len(limits) == sum(server.flavour.level < level for level in ((6, 0), (7, 0)))


@pytest.mark.parametrize("policy", ["allkeys-lfu", "volatile-lfu", "allkeys-lru", "volatile-ttl"])
def test_what_evicts_by_use_is_said(server: Server, client: redis.Redis, policy: str) -> None:
    before = inspect(server)["limits"]
    client.config_set("maxmemory-policy", policy)
    try:
        limits = [limit for limit in inspect(server)["limits"] if limit not in before]
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    by_use = "lfu" in policy or "lru" in policy
    counts_as_use = server.flavour.level < (7, 2)
    assert any("idle_time_seconds" in limit for limit in limits) == ("lfu" in policy)
    assert any("use of it" in limit for limit in limits) == (by_use and counts_as_use)
    assert len(limits) == ("lfu" in policy) + (by_use and counts_as_use)


@pytest.mark.parametrize("flavour", FLAVOURS, ids=str)
def test_a_replica_is_said_to_be_one(flavour: Any) -> None:
    with (
        Server(flavour, "--repl-diskless-sync-delay", "0") as primary,
        Server(flavour, "--replicaof", primary.host, str(primary.port)) as replica,
        primary.client() as client,
        replica.client() as copy,
    ):
        client.set("a", "v")
        until("the replica has the key", lambda: copy.get("a") == b"v")
        found = inspect(replica)
        assert [node["role"] for node in found["nodes"]] == ["replica"]
        assert [node["address"] for node in found["nodes"]] == [replica.address]
        assert found["databases"] == {"0": {"keys": 1, "expires": 0}}
        assert found["tables"] == dict.fromkeys(TABLES, ALL_IS_WELL)
        assert any("eplica" in limit for limit in found["limits"])
        assert ", replica, 1 key" in check(replica)
        assert [node["role"] for node in inspect(primary)["nodes"]] == ["primary"]
        assert not any("eplica" in limit for limit in inspect(primary)["limits"])


# What the user may read

NOT_OF_TABLES = {"ping", "info", "select", "client|setname", "client|no-touch"}

WATCHING = {"watch", "unwatch", "multi", "exec"}

NULL_COLUMNS = {
    "object|idletime": "idle_time_seconds",
    "memory|usage": "memory_bytes",
    "object|encoding": "encoding",
    "object|refcount": "refcount",
}
"""Of `keys`, without these commands."""


def rights(table: str) -> list[str]:
    """The commands that are granted for a table, without those for all."""
    rules = (rule for rule in acl_rules([table], ["*"]) if rule.startswith("+"))
    return sorted({rule.removeprefix("+") for rule in rules} - NOT_OF_TABLES)


def as_said(command: str) -> str:
    """A command of a rule as `check` says it."""
    return command.replace("|", " ").upper()


@pytest.mark.parametrize("table", TABLES)
def test_under_the_least_rules_a_table_is_readable_and_others_are_not(
    acl_server: Server, acl_client: redis.Redis, table: str
) -> None:
    add_user(acl_client, USER, *least_rules(acl_server.flavour, [table], "app:*"))
    found = as_user(acl_server, USER).inspect()
    assert found["user"] == USER
    assert found["tables"][table] == ALL_IS_WELL
    for other in KEY_TABLES:
        refused = {as_said(command) for command in set(rights(other)) - set(rights(table))}
        assert set(found["tables"][other]["refused"]) == refused
    assert found["tables"]["server_info"] == ALL_IS_WELL


@pytest.mark.parametrize(
    ("table", "command"),
    [
        pytest.param(table, command, id=f"{table} {command}")
        for table in KEY_TABLES
        for command in rights(table)
    ],
)
def test_a_command_that_the_user_may_not_send_is_said_with_what_that_means(
    acl_server: Server, acl_client: redis.Redis, table: str, command: str
) -> None:
    rules = least_rules(acl_server.flavour, [table], "*")
    add_user(acl_client, USER, *(rule for rule in rules if rule != f"+{command}"))
    facts = as_user(acl_server, USER).inspect()["tables"][table]
    assert facts["refused"] == [as_said(command)]
    column = NULL_COLUMNS.get(command) if table == "keys" else None
    assert facts["null_columns"] == ([] if column is None else [column])
    noted = (
        command in WATCHING
        or (table != "keys" and command in {"memory|usage", "type"})
        or (table, command) in {("streams", "xlen"), ("hashes", "hkeys"), ("hashes", "hmget")}
    )
    assert len(facts["notes"]) == noted
    assert facts["readable"] == (noted or column is not None)


@pytest.mark.parametrize("table", KEY_TABLES)
def test_a_table_that_is_said_to_be_readable_is_and_the_others_are_not(
    acl_server: Server, acl_client: redis.Redis, table: str
) -> None:
    for content in CONTENT_TABLES:
        data.add_one(acl_client, content, f"of {content}")
        acl_client.expire(f"of {content}", 1000)
    add_user(acl_client, USER, *least_rules(acl_server.flavour, [table], "*"))
    connector = as_user(acl_server, USER)
    for name, facts in connector.inspect()["tables"].items():
        if facts["readable"]:
            records, _ = connector.read_table(name)
            if facts["null_columns"]:
                with pytest.warns(LakeflowRedisWarning):
                    list(records)
            else:
                assert len(records) > 0
        else:
            with pytest.raises(PermissionDeniedError):
                list(connector.read_table(name)[0])


def test_what_is_refused_is_printed_with_what_it_means(
    acl_server: Server, acl_client: redis.Redis
) -> None:
    add_user(acl_client, USER, "~*", "+@all", "-memory", "-object", "-hgetall", "-watch")
    password = {"username": USER, "password": canary.PASSWORD}
    text = check(acl_server, *arguments(password))
    tables = {
        name: said for name, _, said in (each.partition(": ") for each in printed(text, "table"))
    }
    assert tables.keys() == TABLES.keys()
    assert tables["server_info"] == "readable"
    assert tables["hashes"].startswith("NOT readable: ")
    assert "HGETALL" in tables["hashes"]
    assert tables["keys"].startswith("readable, ")
    for column in NULL_COLUMNS.values():
        assert column in tables["keys"].partition("null: ")[2]
    assert tables["sets"] == "readable, MEMORY USAGE, WATCH refused"
    assert tables["streams"] == "readable, MEMORY USAGE refused"
    # What several tables have in common is said once.
    notes = as_user(acl_server, USER).inspect()["tables"]["sets"]["notes"]
    assert sorted(printed(text, "note")) == sorted(notes)
    assert any("keys_inconsistent" in note for note in notes)


def test_keys_that_the_user_may_not_read_are_not_said(
    acl_server: Server, acl_client: redis.Redis
) -> None:
    """Nothing is asked of keys that are there, so that nobody knows."""
    acl_client.set("other:1", "v")
    add_user(acl_client, USER, "+@all", "~app:*")
    assert as_user(acl_server, USER).inspect()["tables"] == dict.fromkeys(TABLES, ALL_IS_WELL)


@pytest.mark.parametrize("command", ["info", "ping"])
def test_a_user_that_may_not_even_ask_is_an_error(
    acl_server: Server, acl_client: redis.Redis, command: str
) -> None:
    add_user(acl_client, USER, "~*", "+@all", f"-{command}")
    with pytest.raises(PermissionDeniedError, match=f"`\\+{command}`"):
        as_user(acl_server, USER).inspect()


def test_a_database_that_the_user_may_not_choose_is_an_error(
    acl_server: Server, acl_client: redis.Redis
) -> None:
    add_user(acl_client, USER, "~*", "+@all", "-select")
    assert as_user(acl_server, USER).inspect()["user"] == USER
    with pytest.raises(PermissionDeniedError, match=r"`\+select`"):
        as_user(acl_server, USER, db="0,1").inspect()
    with acl_server.client(3) as client:
        client.set("k", "v")
        everywhere = as_user(acl_server, USER, db="*")
        with pytest.raises(PermissionDeniedError, match=r"`\+select`"):
            everywhere.inspect()
        assert "`+select`" in everywhere.test_connection()["message"]
        client.delete("k")


# Commands that are not there

RENAMED = {
    "MEMORY": ("keys", "MEMORY USAGE", ["memory_bytes"], True),
    "OBJECT": ("keys", "OBJECT ENCODING", ["idle_time_seconds", "encoding", "refcount"], True),
    "WATCH": ("hashes", "WATCH", [], True),
    "MULTI": ("hashes", "MULTI", [], True),
    "EXEC": ("hashes", "EXEC", [], True),
    "UNWATCH": ("hashes", "UNWATCH", [], True),
    "HGETALL": ("hashes", "HGETALL", [], False),
    "SCAN": ("sets", "SCAN", [], False),
    "XINFO": ("streams", "XINFO STREAM", [], False),
}
"""What may be renamed: a table that needs it, how it is said, the null columns, whether it can
do without."""


@pytest.fixture(scope="module", params=[REDIS_7_0, REDIS_6_2, VALKEY_9_1, FLAVOURS[-1]], ids=str)
def renaming(request: pytest.FixtureRequest) -> Any:
    """Starts a server of each version in turn that has a command by another name only."""
    return lambda command: Server(request.param, "--rename-command", command, "")


@pytest.mark.parametrize("command", RENAMED)
def test_a_command_that_was_renamed_is_refused_and_what_is_said_of_it_holds(
    renaming: Any, command: str
) -> None:
    table, said, null_columns, readable = RENAMED[command]
    with renaming(command) as server, server.client() as client:
        for content in CONTENT_TABLES:
            data.add_one(client, content, f"of {content}")
        for name in ("large", "large too"):
            add_large(client, "hashes", name)
        facts = inspect(server)["tables"][table]
        assert said in facts["refused"]
        assert facts["readable"] is readable
        assert facts["null_columns"] == null_columns
        records, _ = LakeflowConnect(server.options()).read_table("server_info")
        assert len(records) > 0
        if not readable:
            with pytest.raises(LakeflowRedisError, match=command):
                list(LakeflowConnect(server.options()).read_table(table)[0])
            return
        records, _ = LakeflowConnect(server.options()).read_table(table, None, LITTLE)
        if null_columns or (table in PAGED and command != "UNWATCH"):
            with pytest.warns(LakeflowRedisWarning):
                rows = list(records)
        else:
            rows = list(records)
        if null_columns:
            assert {row[column] for row in rows for column in null_columns} == {None}
            assert len(rows) == client.dbsize()
        else:
            assert_same_rows(table, rows, oracle.read(client, table))


def test_without_info_there_is_nothing_to_say(renaming: Any) -> None:
    with renaming("INFO") as server:
        with pytest.raises(LakeflowRedisError, match="INFO"):
            inspect(server)
        done = CliRunner().invoke(cli, ["check", *arguments(server.options())])
        assert (done.exit_code, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1


# It is left as it was

PROBE = b"lakeflow-redis:no-such-key"


def test_nothing_is_written_and_no_key_is_touched(server: Server, client: redis.Redis) -> None:
    raw = Raw(client)
    for table in CONTENT_TABLES:
        data.add_one(client, table, table)
        raw("RESTORE", table, 0, raw("DUMP", table), "REPLACE", "IDLETIME", 5000)
    changes = client.info("persistence")["rdb_changes_since_last_save"]
    with Monitor(server) as monitor:
        inspect(server)
    assert client.info("persistence")["rdb_changes_since_last_save"] == changes
    assert raw("DBSIZE") == len(CONTENT_TABLES)
    assert all(raw("OBJECT", "IDLETIME", table) >= 5000 for table in CONTENT_TABLES)
    for command in monitor.commands:
        ((_, _, flags, *_),) = raw("COMMAND", "INFO", command.words[0])
        assert b"write" not in flags, f"{command.name} writes"
        asked = set(command.words[1:]) & {table.encode() for table in CONTENT_TABLES}
        assert asked == set(), f"{command.name} asks for {asked}"
    # What takes a key was sent with one that is none.
    of_tables = {command for table in KEY_TABLES for command in rights(table)}
    keyless = {"scan", "multi", "exec", "unwatch"}
    tried = {command.name for command in monitor.commands if PROBE in command.words}
    assert tried == of_tables - keyless
    (scan, *more) = {command.words for command in monitor.named("scan")}
    assert more == []
    assert scan[1:] == (b"0", b"COUNT", b"1")


# Errors and secrets


def test_where_no_server_is_the_error_says_where_and_why() -> None:
    port = str(free_port())
    with pytest.raises(RedisConnectionError, match="cannot connect") as caught:
        LakeflowConnect({"host": HOST, "port": port}).inspect()
    assert f"{HOST}:{port}" in str(caught.value)


def test_a_database_that_is_not_there_is_wrong_usage(one_server: Server) -> None:
    with pytest.raises(ConfigurationError, match="`db`"):
        inspect(one_server, db="99")
    done = CliRunner().invoke(cli, ["check", *arguments(one_server.options(db="99"))])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "database 99" in done.stderr


def test_the_password_is_not_seen(locked_server: Server) -> None:
    found = inspect(locked_server)
    assert found["user"] == "default"
    canary.assert_unseen(found, check(locked_server), check(locked_server, "--json"))
    wrong = locked_server.options(password=canary.WRONG_PASSWORD)
    with pytest.raises(AuthenticationError) as caught:
        LakeflowConnect(wrong).inspect()
    canary.assert_unseen(caught.value)
    done = CliRunner().invoke(cli, ["check", *arguments(wrong)])
    assert (done.exit_code, done.stdout) == (1, "")
    canary.assert_unseen(done.stderr)


def test_the_user_of_a_url_is_said_and_its_password_not(
    acl_server: Server, acl_client: redis.Redis
) -> None:
    add_user(acl_client, USER, "~*", "+@all")
    place = f"{acl_server.host}:{acl_server.port}"
    connector = LakeflowConnect({"url": f"redis://{USER}:{canary.QUOTED_PASSWORD}@{place}/1"})
    found = connector.inspect()
    assert found["user"] == USER
    assert [node["address"] for node in found["nodes"]] == [place]
    canary.assert_unseen(found)
