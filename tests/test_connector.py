"""What a connector says of its tables without a server, and how it reaches one."""

import pickle
from importlib.metadata import version
from urllib.parse import quote

import pyarrow as pa
import pytest
import redis
from lakeflow_redis import LakeflowConnect, __version__

from tests import canary, data
from tests.conftest import Connect
from tests.contract import TABLES
from tests.servers import Server, free_port
from tests.users import add_user

NOWHERE = {"host": "127.0.0.1", "port": "1", "mode": "standalone"}
"""Where no server is: what needs none must work there."""

tables = pytest.mark.parametrize("table", TABLES)


def names(connector: LakeflowConnect) -> list[str]:
    """The names of the strings that a connector reads."""
    records, _ = connector.read_table("strings")
    return [row["key_name"] for row in records]


def test_the_tables_are_those_of_the_contract_in_its_order() -> None:
    assert LakeflowConnect(NOWHERE).list_tables() == [
        *("keys", "strings", "hashes", "lists", "sets", "sorted_sets", "streams", "server_info")
    ]


@tables
@pytest.mark.parametrize("mode", ["string", "binary"])
def test_the_schema_is_that_of_the_contract(table: str, mode: str) -> None:
    expected = TABLES[table].schema(binary=mode == "binary")
    for schema in (
        LakeflowConnect(NOWHERE).get_table_schema(table, {"value_type": mode}),
        LakeflowConnect(NOWHERE | {"value_type": mode}).get_table_schema(table),
    ):
        assert pa.schema(schema) == expected
        assert schema.names == expected.names
        assert len(schema) == len(expected)


def test_schemas_compare() -> None:
    connector = LakeflowConnect(NOWHERE)
    schema = connector.get_table_schema("strings")
    assert schema == connector.get_table_schema("strings")
    assert schema != connector.get_table_schema("hashes")
    assert schema != connector.get_table_schema("strings", {"value_type": "binary"})
    assert schema != "strings"


@tables
def test_names_may_be_null_only_where_bad_ones_become_null(table: str) -> None:
    schema = LakeflowConnect(NOWHERE).get_table_schema(table, {"invalid_utf8": "null"})
    found = {field.name: field.nullable for field in pa.schema(schema)}
    assert all(found[column.name] for column in TABLES[table].columns if column.raw)


@tables
def test_the_metadata_are_those_of_the_contract(table: str) -> None:
    assert LakeflowConnect(NOWHERE).read_table_metadata(table) == {
        "primary_keys": TABLES[table].primary_keys,
        "cursor_field": TABLES[table].cursor_field,
        "ingestion_type": TABLES[table].ingestion_type,
    }


def test_the_connection_test_names_server_and_version(connect: Connect, server: Server) -> None:
    result = connect().test_connection()
    assert result.keys() == {"status", "message"}
    assert result["status"] == "success"
    assert server.flavour.product in result["message"]
    assert server.flavour.release in result["message"]


def test_a_unix_socket_is_reached(server: Server, client: redis.Redis) -> None:
    client.set("name", "v")
    assert names(LakeflowConnect({"unix_socket_path": server.unix_socket})) == ["name"]
    assert names(LakeflowConnect({"url": f"unix://{server.unix_socket}"})) == ["name"]


def test_a_host_name_is_reached(one_server: Server, one_client: redis.Redis) -> None:
    # It may stand for ::1 too, on which the server does not listen.
    one_client.set("name", "v")
    assert names(LakeflowConnect({"host": "localhost", "port": str(one_server.port)})) == ["name"]


@pytest.mark.parametrize("form", ["option", "url", "url of a socket"])
def test_another_database_is_read(server: Server, client: redis.Redis, form: str) -> None:
    client.set("in 0", "v")
    with server.client(5) as other:
        other.flushdb()
        other.set("in 5", "v")
    options = {
        "option": server.options(db="5"),
        "url": {"url": f"redis://{server.host}:{server.port}/5"},
        "url of a socket": {"url": f"unix://{server.unix_socket}?db=5"},
    }
    assert names(LakeflowConnect(options[form])) == ["in 5"]


def test_a_url_with_credentials_is_understood(one_locked_server: Server) -> None:
    address = f"{one_locked_server.host}:{one_locked_server.port}"
    for credentials in (f":{canary.QUOTED_PASSWORD}", f"default:{canary.QUOTED_PASSWORD}"):
        connector = LakeflowConnect({"url": f"redis://{credentials}@{address}/0"})
        assert connector.test_connection()["status"] == "success"


def test_a_user_with_odd_characters_is_understood_in_a_url(one_locked_server: Server) -> None:
    user = "a:b@c/d"
    with one_locked_server.client() as client:
        add_user(client, user, "~*", "+@all")
    credentials = f"{quote(user, safe='')}:{canary.QUOTED_PASSWORD}"
    address = f"{one_locked_server.host}:{one_locked_server.port}"
    connector = LakeflowConnect({"url": f"redis://{credentials}@{address}"})
    assert connector.test_connection()["status"] == "success"
    canary.assert_unseen(connector)


def test_the_connection_has_a_name(one_server: Server, one_client: redis.Redis) -> None:
    with one_client.monitor() as monitor:  # type: ignore[no-untyped-call]
        LakeflowConnect(one_server.options()).test_connection()
        LakeflowConnect(one_server.options(client_name="nightly")).test_connection()
        one_client.echo("the end")
        commands: list[str] = []
        while not commands or "the end" not in commands[-1]:
            commands.append(monitor.next_command()["command"])
    named = [command for command in commands if "SETNAME" in command.upper()]
    assert [command.split()[-1] for command in named] == ["lakeflow-redis", "nightly"]


def test_options_of_a_read_go_over_those_of_the_connector(
    connect: Connect, client: redis.Redis
) -> None:
    for name in ("a:1", "a:2", "b:1"):
        data.add_one(client, "strings", name)
    connector = connect(key_pattern="a:*")
    assert sorted(names(connector)) == ["a:1", "a:2"]
    records, _ = connector.read_table("strings", None, {"key_pattern": "b:*"})
    assert [row["key_name"] for row in records] == ["b:1"]
    assert sorted(names(connector)) == ["a:1", "a:2"]


def test_snapshots_say_when_they_were_made_and_are_whole_from_any_such_offset(
    connect: Connect, client: redis.Redis
) -> None:
    data.add_one(client, "hashes", "name")
    connector = connect()
    for start in (None, {}, {"scanned_at": 0}, {"scanned_at": 2**40}):
        records, offset = connector.read_table("hashes", start)
        (row,) = records
        assert offset == {"scanned_at": row["scanned_at"]}


def test_what_a_connector_shows_of_itself_holds_its_server_and_no_password() -> None:
    port = free_port()
    address = f"127.0.0.1:{port}"
    for connector in (
        LakeflowConnect({"host": "127.0.0.1", "port": str(port), "password": canary.PASSWORD}),
        LakeflowConnect({"url": f"redis://:{canary.QUOTED_PASSWORD}@{address}/2"}),
        LakeflowConnect({"url": f"redis://someone:{canary.QUOTED_PASSWORD}@{address}"}),
    ):
        assert "LakeflowConnect" in repr(connector)
        assert address in repr(connector)
        canary.assert_unseen(connector, connector._repr_html_())


def test_a_connector_shows_its_tables_in_a_notebook() -> None:
    html = LakeflowConnect(NOWHERE)._repr_html_()
    assert all(name in html for name in TABLES)


def test_html_of_a_connector_is_escaped() -> None:
    html = LakeflowConnect({"host": "<script>alert(1)</script>"})._repr_html_()
    assert "<script" not in html


def test_a_connector_can_be_pickled(connect: Connect, client: redis.Redis) -> None:
    client.set("a:1", "v")
    client.set("b:1", "v")
    connector = connect(key_pattern="a:*")
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        copy = pickle.loads(pickle.dumps(connector, protocol))
        assert names(copy) == ["a:1"]
        assert repr(copy) == repr(connector)


def test_the_version_is_that_of_the_distribution() -> None:
    assert __version__ == version("lakeflow-redis")
