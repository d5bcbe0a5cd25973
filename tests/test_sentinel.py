"""Under Sentinels the tables are those of the primary that they name, or of one of its replicas."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from lakeflow_redis import (
    ConfigurationError,
    DataLossError,
    LakeflowConnect,
    LakeflowRedisWarning,
    RedisConnectionError,
    TopologyChangedError,
)
from lakeflow_redis.ingest import ingest

from tests import data, hearsay, lake, oracle, sharded
from tests.compare import assert_same_rows
from tests.contract import CONTENT_TABLES, TABLES
from tests.deployments import wait_for_copies
from tests.failing import DEADLINES, complaint, failure
from tests.hearsay import silent
from tests.sentinels import MASTER, Sentinels
from tests.servers import HOST, Server, free_port
from tests.streams import add, numbered, read

KEY_TABLES = [*CONTENT_TABLES, "keys"]
read_froms = pytest.mark.parametrize("read_from", ["primary", "replica"])


def fill(sentinels: Sentinels, table: str, mode: str = "string") -> None:
    """Empty the servers and fill them with unkind data for one table."""
    sentinels.flush()
    with sentinels.client() as client:
        data.fill(client, table, data.WORDS if mode == "binary" else data.TEXTS)
    wait_for_copies(sentinels.primary(), sentinels.replicas())


@read_froms
@pytest.mark.parametrize("mode", ["string", "binary"])
@pytest.mark.parametrize("table", CONTENT_TABLES)
def test_rows_equal_the_oracles_over_unkind_data(
    sentinels: Sentinels, table: str, mode: str, read_from: str
) -> None:
    fill(sentinels, table, mode)
    connector = LakeflowConnect(sentinels.options(value_type=mode, read_from=read_from))
    with sentinels.client() as client:
        for name in (table, "keys"):
            expected = oracle.read(client, name, binary=mode == "binary")
            assert len(expected) > len(data.TEXTS)
            found = list(connector.read_table(name)[0])
            for row in found + expected:
                # A copy takes other room than what it is a copy of.
                row.pop("memory_bytes", None)
            assert_same_rows(name, found, expected)


def test_several_tables_come_out_of_one_scan(sentinels: Sentinels) -> None:
    fill(sentinels, "hashes")
    found, _ = LakeflowConnect(sentinels.options()).read_tables(KEY_TABLES)
    with sentinels.client() as client:
        for table, rows in found.read_all().items():
            assert_same_rows(table, rows.to_pylist(), oracle.read(client, table))


@pytest.mark.parametrize("table", TABLES)
def test_tables_have_no_more_columns_than_elsewhere(sentinels: Sentinels, table: str) -> None:
    connector = LakeflowConnect(sentinels.options())
    assert pa.table(connector.read_table(table)[0]).schema == TABLES[table].schema()


@read_froms
def test_collections_of_100_k_elements_come_whole(sentinels: Sentinels, read_from: str) -> None:
    sentinels.flush()
    with sentinels.client() as client:
        data.fill_heavily(client)
        wait_for_copies(sentinels.primary(), sentinels.replicas())
        for table in CONTENT_TABLES:
            records, _ = LakeflowConnect(sentinels.options(read_from=read_from)).read_table(table)
            assert_same_rows(table, records, oracle.read(client, table))
    sentinels.flush()


@read_froms
def test_any_sentinel_leads_to_the_server(sentinels: Sentinels, read_from: str) -> None:
    wanted = {"sentinel_master": MASTER, "read_from": read_from}
    servers = [sentinels.primary()] if read_from == "primary" else sentinels.replicas()
    for sentinel in sentinels.sentinels:
        for where in (
            {"host": sentinel.host, "port": str(sentinel.port)},
            {"host": sentinel.host, "port": str(sentinel.port), "mode": "sentinel"},
            {"url": f"redis://{sentinel.address}"},
            {"nodes": sentinel.address, "mode": "sentinel"},
        ):
            (node,) = LakeflowConnect(where | wanted).inspect()["nodes"]
            assert node["address"] in {server.address for server in servers}
            assert node["role"] == read_from


@pytest.mark.parametrize("table", KEY_TABLES)
def test_a_replica_is_read_instead_of_the_primary(sentinels: Sentinels, table: str) -> None:
    fill(sentinels, "strings" if table == "keys" else table)
    connector = LakeflowConnect(sentinels.options(read_from="replica"))
    with sharded.counted(sentinels.primary()) as calls:
        assert len(connector.read_table(table)[0]) > 0
    assert "scan" not in calls


# Databases


def test_all_databases_are_read(sentinels: Sentinels) -> None:
    sentinels.flush()
    for db in (0, 3, 15):
        with sentinels.client(db=db) as client:
            client.set(f"in {db}", "v")
    wait_for_copies(sentinels.primary(), sentinels.replicas())
    for read_from in ("primary", "replica"):
        connector = LakeflowConnect(sentinels.options(db="*", read_from=read_from))
        found = {(row["db"], row["key_name"]) for row in connector.read_table("strings")[0]}
        assert found == {(0, "in 0"), (3, "in 3"), (15, "in 15")}
        facts = connector.inspect()["databases"]
        assert {db: each["keys"] for db, each in facts.items()} == {"0": 1, "3": 1, "15": 1}
    one = LakeflowConnect(sentinels.options(db="3"))
    assert [row["key_name"] for row in one.read_table("strings")[0]] == ["in 3"]
    sentinels.flush()


# Streams, and a lake


def test_streams_are_read_on(sentinels: Sentinels) -> None:
    sentinels.flush()
    connector = LakeflowConnect(sentinels.options())
    with sentinels.client() as client:
        entries = add(client, "a", *numbered(1, 500)) + add(client, "b", "1-1")
        first = read(connector)
        assert sorted(first.entries) == sorted(entries)
        late = add(client, "a", "1000-1") + add(client, "c", "0-1")
        assert sorted(read(connector, first.offset).entries) == sorted(late)


def test_a_replica_that_has_not_got_a_stream_leaves_its_position(sentinels: Sentinels) -> None:
    sentinels.flush()
    with sentinels.client() as client:
        add(client, "a", "1-1")
        add(client, "gone", "1-1")
        offset = read(LakeflowConnect(sentinels.options())).offset
        # To the replica that is one that has yet to come.
        client.delete("gone")
        wait_for_copies(sentinels.primary(), sentinels.replicas())
        behind = LakeflowConnect(sentinels.options(read_from="replica"))
        assert read(behind, offset).offset["streams"] == offset["streams"]
        with pytest.raises(DataLossError, match="gone"):
            read(LakeflowConnect(sentinels.options()), offset)


def test_a_replica_that_is_behind_is_waited_for_with_a_warning(sentinels: Sentinels) -> None:
    sentinels.flush()
    with sentinels.client() as client:
        add(client, "a", *numbered(1, 3))
        wait_for_copies(sentinels.primary(), sentinels.replicas())
        offset = read(LakeflowConnect(sentinels.options())).offset
        ahead = json.loads(json.dumps(offset))
        ahead["streams"]["0"]["a"] = {"id": "5-0", "added": 5}
        behind = LakeflowConnect(sentinels.options(read_from="replica"))
        records, end = behind.read_table("streams", ahead)
        with pytest.warns(LakeflowRedisWarning, match="behind"):
            assert list(records) == []
        assert end["streams"] == ahead["streams"]
        add(client, "a", *numbered(4, 3))
        wait_for_copies(sentinels.primary(), sentinels.replicas())
        assert read(behind, ahead).entries == [("a", "6-0")]


def test_all_tables_land_in_a_lake(sentinels: Sentinels, tmp_path: Path) -> None:
    fill(sentinels, "sets")
    ingest(LakeflowConnect(sentinels.options()), tmp_path)
    with sentinels.client() as client:
        for table in KEY_TABLES:
            assert_same_rows(table, lake.rows(tmp_path, table), oracle.read(client, table))


# What is wrong


@read_froms
@pytest.mark.parametrize("mode", ["auto", "sentinel"])
def test_a_master_that_sentinels_do_not_know_is_named(
    sentinels: Sentinels, mode: str, read_from: str
) -> None:
    wrong = {"sentinel_master": "nobody", "mode": mode, "read_from": read_from}
    options = sentinels.options() | wrong
    error = failure(options)
    assert type(error) is ConfigurationError
    for text in (str(error), complaint(options)):
        assert "`sentinel_master`" in text
        assert '"nobody"' in text
        assert any(sentinel.address in text for sentinel in sentinels.sentinels)


def test_sentinels_without_the_name_of_a_master_are_told_from_a_server(
    sentinels: Sentinels,
) -> None:
    nodes = sentinels.options()["nodes"]
    error = failure({"nodes": nodes})
    assert type(error) is ConfigurationError
    assert "`sentinel_master`" in str(error)
    with pytest.raises(ConfigurationError, match="`sentinel_master`"):
        LakeflowConnect({"nodes": nodes, "mode": "sentinel"})
    error = failure(sentinels.sentinels[0].options(mode="standalone"))
    assert type(error) is ConfigurationError
    assert "sentinel" in str(error)


def test_a_server_in_the_place_of_a_sentinel_is_named(
    sentinels: Sentinels, one_server: Server
) -> None:
    error = failure(one_server.options(mode="sentinel", sentinel_master=MASTER))
    assert one_server.address in str(error)
    error = failure(one_server.options(sentinel_master=MASTER))
    assert type(error) is ConfigurationError
    assert "`sentinel_master`" in str(error)


@read_froms
def test_sentinels_none_of_which_is_there_are_named(read_from: str) -> None:
    nodes = [f"{HOST}:{free_port()}" for _ in range(3)]
    options = {"mode": "sentinel", "nodes": ",".join(nodes), "sentinel_master": MASTER}
    error = failure(options | {"read_from": read_from} | DEADLINES)
    assert isinstance(error, RedisConnectionError)
    assert "Sentinel" in str(error)
    for node in nodes:
        assert node in str(error)


def test_sentinels_that_are_not_there_are_passed_over(sentinels: Sentinels) -> None:
    gone, gone_too = f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"
    for nodes in (
        f"{gone},{sentinels.sentinels[2].address}",
        f"{gone},{gone_too},{sentinels.options()['nodes']}",
        f"{sentinels.sentinels[1].address},{gone}",
    ):
        found = LakeflowConnect(sentinels.options(nodes=nodes)).test_connection()
        assert found["status"] == "success"


@read_froms
@pytest.mark.parametrize("table", ["strings", "streams", "server_info"])
@pytest.mark.parametrize("mode", ["auto", "sentinel"])
def test_a_silent_sentinel_costs_one_deadline(
    sentinels: Sentinels, table: str, read_from: str, mode: str
) -> None:
    with silent() as (address, met):
        nodes = f"{address},{sentinels.options()['nodes']}"
        options = sentinels.options(nodes=nodes, mode=mode, read_from=read_from)
        connector = LakeflowConnect(options | {"socket_timeout": "1"})
        list(connector.read_table(table)[0])
        assert len(met) == 1


def test_a_sentinel_that_stands_still_is_passed_over(sentinels: Sentinels) -> None:
    fill(sentinels, "lists")
    with sentinels.client() as client:
        expected = oracle.read(client, "lists")
    with sentinels.silence(0):
        connector = LakeflowConnect(sentinels.options(socket_timeout="1"))
        assert_same_rows("lists", connector.read_table("lists")[0], expected)
    sentinels.settle()


def test_a_replica_is_not_read_for_the_primary(sentinels: Sentinels) -> None:
    replica = sentinels.replicas()[0]
    named = {"SENTINEL": hearsay.array(replica.host, str(replica.port))}
    with hearsay.answering(named) as port:
        options = {"mode": "sentinel", "nodes": f"{HOST}:{port}", "sentinel_master": MASTER}
        error = failure(options)
        assert type(error) is TopologyChangedError
        for text in (str(error), complaint(options)):
            assert replica.address in text
            assert "replica" in text


def test_the_primary_is_not_read_for_a_replica(sentinels: Sentinels) -> None:
    primary = sentinels.primary()
    facts = ("ip", primary.host, "port", str(primary.port), "flags", "slave")
    named = {
        "SENTINEL GET-MASTER-ADDR-BY-NAME": hearsay.array(primary.host, str(primary.port)),
        "SENTINEL SLAVES": b"*1\r\n" + hearsay.array(*facts),
    }
    with hearsay.answering(named) as port:
        options = {"mode": "sentinel", "nodes": f"{HOST}:{port}", "sentinel_master": MASTER}
        error = failure(options | {"read_from": "replica"})
        assert type(error) is TopologyChangedError
        assert primary.address in str(error)


@pytest.mark.parametrize(
    "answer",
    [b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b":1\r\n", b"-ERR unknown command\r\n", b"$3\r\nabc\r\n"],
)
@read_froms
def test_a_sentinel_that_talks_nonsense_is_named(answer: bytes, read_from: str) -> None:
    where = hearsay.array(HOST, "1")
    for answers in (
        {"SENTINEL": answer},
        {"SENTINEL GET-MASTER-ADDR-BY-NAME": where, "SENTINEL SLAVES": answer},
    ):
        with hearsay.answering(answers) as port:
            options = {"mode": "sentinel", "nodes": f"{HOST}:{port}", "sentinel_master": MASTER}
            error = failure(options | {"read_from": read_from})
            assert HOST in str(error)
