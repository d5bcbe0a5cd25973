"""The tables of a cluster are those of all its primaries together."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from lakeflow_redis import (
    ConfigurationError,
    LakeflowConnect,
    LakeflowRedisWarning,
    PermissionDeniedError,
)
from lakeflow_redis._core import acl_rules
from lakeflow_redis.ingest import ingest

from tests import canary, data, lake, sharded
from tests.certificates import Certificates
from tests.clusters import Cluster
from tests.compare import assert_same_rows
from tests.contract import CONTENT_TABLES, TABLES
from tests.oracle import Raw, Row
from tests.servers import REDIS_7_0, VALKEY_9_1, Server
from tests.streams import Entry, numbered, read, read_on
from tests.users import add_user

KEY_TABLES = [*CONTENT_TABLES, "keys"]
STREAMS = [f"stream:{number}" for number in range(40)]


def table_rows(options: dict[str, str], table: str, **more: str) -> list[Row]:
    """All rows of a table."""
    return list(LakeflowConnect(options).read_table(table, None, more)[0])


def fill(cluster: Cluster, table: str, mode: str = "string") -> None:
    """Empty a cluster and fill it with unkind data for one table."""
    cluster.flush()
    with cluster.client() as client:
        data.fill(client, table, data.WORDS if mode == "binary" else data.TEXTS)


@pytest.mark.parametrize("mode", ["string", "binary"])
@pytest.mark.parametrize("table", CONTENT_TABLES)
def test_rows_equal_the_oracles_over_unkind_data(cluster: Cluster, table: str, mode: str) -> None:
    fill(cluster, table, mode)
    connector = LakeflowConnect(cluster.options(value_type=mode))
    for name in (table, "keys"):
        expected = sharded.rows(cluster, name, binary=mode == "binary")
        assert len(expected) > len(data.TEXTS)
        assert_same_rows(name, connector.read_table(name)[0], expected)


def test_several_tables_come_out_of_one_scan(cluster: Cluster) -> None:
    fill(cluster, "hashes")
    found, offsets = LakeflowConnect(cluster.options()).read_tables(KEY_TABLES)
    for table, rows in found.read_all().items():
        assert_same_rows(table, rows.to_pylist(), sharded.rows(cluster, table))
        assert found.receipts[table]["complete"]
    assert offsets.keys() == set(KEY_TABLES)


@pytest.mark.parametrize("table", KEY_TABLES)
def test_an_empty_cluster_has_empty_tables(one_cluster: Cluster, table: str) -> None:
    one_cluster.flush()
    records, _ = LakeflowConnect(one_cluster.options()).read_table(table)
    rows = pa.table(records)
    assert rows.num_rows == 0
    assert rows.schema == TABLES[table].schema()


def test_keys_that_lie_on_one_node_come_all_the_same(one_cluster: Cluster) -> None:
    one_cluster.flush()
    with one_cluster.client() as client:
        client.mset({f"{{here}}:{number}": "v" for number in range(5_000)})
    names = [row["key_name"] for row in table_rows(one_cluster.options(), "strings")]
    assert sorted(names) == sorted(f"{{here}}:{number}" for number in range(5_000))


@pytest.fixture(scope="module")
def heavy(one_cluster: Cluster) -> Cluster:
    """A cluster with one key of 100 k elements for each table."""
    one_cluster.flush()
    with one_cluster.client() as client:
        data.fill_heavily(client)
    sharded.let_replicas_follow(one_cluster)
    return one_cluster


@pytest.mark.parametrize("read_from", ["primary", "replica"])
@pytest.mark.parametrize("table", CONTENT_TABLES)
def test_collections_of_100_k_elements_come_whole(
    heavy: Cluster, table: str, read_from: str
) -> None:
    expected = sharded.rows(heavy, table)
    assert len(expected) == (1 if table == "strings" else data.HEAVY)
    connector = LakeflowConnect(heavy.options(read_from=read_from))
    records, _ = connector.read_table(table)
    assert_same_rows(table, list(records), expected)
    if table not in ("strings", "streams"):
        assert records.receipt["keys_paged"] == 1
        assert records.receipt["keys_inconsistent"] == 0


VALUES = {
    *("get", "mget", "strlen", "getrange", "hgetall", "hscan", "hlen", "lrange", "llen"),
    *("smembers", "sscan", "scard", "zrange", "zscan", "zcard", "xrange", "xlen"),
    *("scan", "type", "ttl", "memory|usage", "object|encoding", "xinfo|stream"),
}
"""Commands that look at keys."""


@pytest.mark.parametrize("table", KEY_TABLES)
def test_replicas_are_read_instead_of_their_primaries(cluster: Cluster, table: str) -> None:
    fill(cluster, "strings" if table == "keys" else table)
    expected = sharded.rows(cluster, table)
    sharded.let_replicas_follow(cluster)
    connector = LakeflowConnect(cluster.options(read_from="replica"))
    with (
        sharded.counted(*cluster.primaries()) as at_primaries,
        sharded.counted(*cluster.replicas()) as at_replicas,
    ):
        found = list(connector.read_table(table)[0])
    for row in found + expected:
        # A copy takes other room than what it is a copy of.
        row.pop("memory_bytes", None)
    assert_same_rows(table, found, expected)
    assert VALUES & at_primaries.keys() == set()
    assert at_replicas["scan"] >= 3


def test_inspecting_names_the_nodes_that_would_be_read(cluster: Cluster) -> None:
    fill(cluster, "sets")
    sharded.let_replicas_follow(cluster)
    keys = len(sharded.rows(cluster, "keys"))
    for read_from, role, servers in (
        ("primary", "primary", cluster.primaries()),
        ("replica", "replica", cluster.replicas()),
    ):
        found = LakeflowConnect(cluster.options(read_from=read_from)).inspect()
        assert found["mode"] == "cluster"
        assert {node["address"] for node in found["nodes"]} == {each.address for each in servers}
        assert {node["role"] for node in found["nodes"]} == {role}
        assert found["databases"]["0"]["keys"] == keys


# The servers themselves


@pytest.mark.parametrize("mode", ["auto", "cluster"])
def test_server_info_has_the_rows_of_each_node(cluster: Cluster, mode: str) -> None:
    options = cluster.options(mode=mode)
    connector = LakeflowConnect(options)
    records, _ = connector.read_table("server_info")
    rows = list(records)
    assert pa.schema(records.schema) == pa.schema(connector.get_table_schema("server_info"))
    assert "node" in records.schema.names
    keys = connector.read_table_metadata("server_info")["primary_keys"]
    assert set(keys) == {"node", "section", "property"}
    assert len({tuple(row[name] for name in keys) for row in rows}) == len(rows)
    ids = {row["node"]: row["value"] for row in rows if row["property"] == "run_id"}
    assert ids == {node.address: node.info("server")["run_id"] for node in cluster.primaries()}


def test_only_server_info_has_a_column_for_the_node(one_cluster: Cluster) -> None:
    connector = LakeflowConnect(one_cluster.options(mode="auto"))
    for table in KEY_TABLES:
        assert pa.schema(connector.get_table_schema(table)) == TABLES[table].schema()


def test_the_node_can_be_chosen_like_any_column(one_cluster: Cluster) -> None:
    rows = table_rows(one_cluster.options(), "server_info", columns="node,property")
    assert {tuple(row) for row in rows} == {("node", "property")}
    assert len({row["node"] for row in rows}) == 3


# Streams


@pytest.fixture
def streams(cluster: Cluster) -> Iterator[list[Entry]]:
    """A cluster with streams on all its nodes, and their entries."""
    cluster.flush()
    yield append(cluster, *numbered(1, 25))
    cluster.flush()


def append(cluster: Cluster, *ids: str, names: list[str] = STREAMS) -> list[Entry]:
    """Append entries with these ids to each stream."""
    with cluster.client() as client:
        for name in names:
            for entry_id in ids:
                client.xadd(name, {"id": entry_id}, entry_id)
    return [(name, entry_id) for name in names for entry_id in ids]


def test_streams_are_read_on(cluster: Cluster, streams: list[Entry]) -> None:
    connector = LakeflowConnect(cluster.options())
    first = read(connector)
    assert sorted(first.entries) == sorted(streams)
    assert read(connector, first.offset).entries == []
    late = append(cluster, "30-1", "30-2", names=STREAMS[::3])
    late += append(cluster, "1-1", names=["new stream"])
    second = read(connector, json.loads(json.dumps(first.offset)))
    assert sorted(second.entries) == sorted(late)
    assert read(connector, second.offset).offset == second.offset


def test_streams_are_read_on_when_their_slots_have_moved(
    cluster: Cluster, streams: list[Entry]
) -> None:
    connector = LakeflowConnect(cluster.options())
    first = read(connector)
    moved = STREAMS[:6]
    for name in moved:
        slot = cluster.slot_of(name)
        source = cluster.primary_of(slot)
        cluster.move_slot(slot, next(node for node in cluster.primaries() if node is not source))
    late = append(cluster, "30-1", names=STREAMS[:12])
    assert sorted(read(connector, first.offset).entries) == sorted(late)


def test_the_offset_does_not_depend_on_the_order_of_nodes(
    cluster: Cluster, streams: list[Entry]
) -> None:
    addresses = [node.address for node in cluster.nodes]
    for limit in ({}, {"max_records_per_batch": "100"}):
        offsets = [
            json.dumps(read(LakeflowConnect({"nodes": ",".join(order)} | limit)).offset)
            for order in (addresses, addresses[::-1], addresses[3:] + addresses[:3])
        ]
        assert len(set(offsets)) == 1


@pytest.mark.parametrize("limit", [1, 7, 100, 999, 1_000])
def test_a_cap_is_for_all_nodes_together(one_cluster: Cluster, limit: int) -> None:
    one_cluster.flush()
    entries = append(one_cluster, *numbered(1, 10), names=STREAMS[:10])
    connector = LakeflowConnect(one_cluster.options(max_records_per_batch=str(limit)))
    reads = read_on(connector, {})
    assert all(0 < len(each.entries) <= limit for each in reads)
    assert len(reads) == -(-len(entries) // limit)
    assert sorted(entry for each in reads for entry in each.entries) == sorted(entries)


# Which keys


def test_a_key_by_its_name_is_looked_up_on_its_own_node(one_cluster: Cluster) -> None:
    fill(one_cluster, "strings")
    connector = LakeflowConnect(one_cluster.options())
    with sharded.counted(*one_cluster.primaries()) as calls:
        records, _ = connector.read_table("strings", None, {"key_pattern": "megabyte"})
        assert [row["key_name"] for row in records] == ["megabyte"]
    assert "scan" not in calls
    assert calls["type"] == 1


def test_rules_choose_keys(one_cluster: Cluster) -> None:
    one_cluster.flush()
    with one_cluster.client() as client:
        for table in CONTENT_TABLES:
            for number in range(20):
                data.add_one(client, table, f"{table}:{number}")
    rules = [
        {"database": 0, "key_pattern": "strings:1*"},
        {"database": 0, "key_pattern": "strings:5"},
        {"database": 0, "_type": "hash"},
    ]
    found = table_rows(one_cluster.options(), "keys", sync_rules=json.dumps(rules))
    expected = {f"strings:{number}" for number in [1, 5, *range(10, 20)]}
    expected |= {f"hashes:{number}" for number in range(20)}
    assert sorted(row["key_name"] for row in found) == sorted(expected)


@pytest.mark.parametrize("mode", ["auto", "cluster"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"db": "1"},
        {"db": "0,1"},
        {"db": "*"},
        {"sync_rules": '[{"database": 1, "_type": "hash"}]'},
        {
            "sync_rules": '[{"database": 0, "key_pattern": "a"},'
            ' {"database": 1, "key_pattern": "a"}]'
        },
    ],
    ids=str,
)
def test_a_cluster_has_only_database_0(
    one_cluster: Cluster, mode: str, wrong: dict[str, str]
) -> None:
    options = one_cluster.options(mode=mode) | wrong
    for table in ("strings", "streams", "server_info"):
        with pytest.raises(ConfigurationError, match="database 0"):
            LakeflowConnect(options).read_table(table)


# To a lake, and with everything on


def test_all_tables_land_in_a_lake(one_cluster: Cluster, tmp_path: Path) -> None:
    fill(one_cluster, "streams")
    connector = LakeflowConnect(one_cluster.options())
    ingest(connector, tmp_path)
    for table in KEY_TABLES:
        assert_same_rows(table, lake.rows(tmp_path, table), sharded.rows(one_cluster, table))
    nodes = {row["node"] for row in lake.rows(tmp_path, "server_info")}
    assert nodes == {node.address for node in one_cluster.primaries()}
    append(one_cluster, "1-1", names=["late"])
    ingest(connector, tmp_path, ["streams"])
    assert_same_rows(
        "streams", lake.rows(tmp_path, "streams"), sharded.rows(one_cluster, "streams")
    )


@pytest.fixture(scope="module")
def secure(certificates: Certificates) -> Iterator[Cluster]:
    """A cluster that wants certificates and passwords, with unkind data."""
    tls = certificates.tls("yes")
    with Cluster(REDIS_7_0, password=canary.PASSWORD, tls=tls) as cluster:
        with cluster.client() as client:
            # Redis 7.0 does not take an empty name for one that `%R~*` covers.
            data.fill(client, "hashes", [word for word in data.TEXTS if word])
        sharded.let_replicas_follow(cluster)
        yield cluster


@pytest.mark.parametrize("read_from", ["primary", "replica"])
@pytest.mark.parametrize("table", TABLES)
def test_a_user_with_the_least_rights_reads_a_cluster_over_tls(
    secure: Cluster, table: str, read_from: str
) -> None:
    rules = acl_rules([table], ["*"], redis="7.0", mode="cluster", read_from=read_from)
    for node in secure.nodes:
        add_someone(node, rules)
    options = secure.options(username="someone", mode="auto", read_from=read_from)
    rows = table_rows(options, table)
    if table == "server_info":
        assert len({row["node"] for row in rows}) == 3
    else:
        expected = sharded.rows(secure, table)
        # A replica lays its keys out anew.
        for row in [*rows, *expected] if read_from == "replica" else []:
            row.pop("memory_bytes", None)
        assert_same_rows(table, rows, expected)


def test_what_a_moving_slot_takes_is_asked_for_by_name(one_cluster: Cluster) -> None:
    one_cluster.flush()
    with one_cluster.client() as client:
        for number in range(20):
            client.set(f"{{here}}:{number}", "v")
    rules = [
        rule
        for rule in acl_rules(["strings"], ["*"], redis="7.0", mode="cluster")
        if rule != "+asking"
    ]
    for node in one_cluster.nodes:
        add_someone(node, rules)
    options = one_cluster.options(username="someone", password=canary.PASSWORD)
    limits = LakeflowConnect(options).inspect()["limits"]
    assert "The user may not send ASKING: a read fails where slots move" in str(limits)
    slot = one_cluster.slot_of("{here}")
    source = one_cluster.primary_of(slot)
    target = next(node for node in one_cluster.primaries() if node is not source)
    one_cluster.open_slot(slot, target, keys=10)
    try:
        with pytest.raises(PermissionDeniedError, match="'asking'"):
            list(LakeflowConnect(options).read_table("strings")[0])
    finally:
        one_cluster.close_slot(slot)


@pytest.mark.parametrize("read", ["primary", "replica"])
def test_rights_are_tried_at_the_nodes_that_are_read(one_cluster: Cluster, read: str) -> None:
    one_cluster.flush()
    rules = acl_rules(["hashes"], ["*"], redis="7.0", mode="cluster", read_from="replica")
    for node in one_cluster.nodes:
        add_someone(node, rules)
    others = one_cluster.primaries() if read == "replica" else one_cluster.replicas()
    for node in others:
        add_someone(node, [rule for rule in rules if rule != "+hgetall"])
    for read_from in ("primary", "replica"):
        options = one_cluster.options(
            username="someone", password=canary.PASSWORD, read_from=read_from
        )
        facts = LakeflowConnect(options).inspect()["tables"]["hashes"]
        assert facts["refused"] == ([] if read_from == read else ["HGETALL"])


def test_keys_in_other_databases_of_a_cluster_are_warned_of() -> None:
    with Cluster(VALKEY_9_1, 1, 0, "--cluster-databases", "4") as cluster:
        (node,) = cluster.nodes
        for db in (0, 2):
            with node.local_client(db) as client:
                client.set(f"in {db}", "v")
        connector = LakeflowConnect(cluster.options())
        assert "other databases (2)" in str(connector.inspect()["limits"])
        records, _ = connector.read_table("strings")
        with pytest.warns(LakeflowRedisWarning, match=r"other databases \(2\)"):
            assert [row["key_name"] for row in records] == ["in 0"]
        with pytest.raises(ConfigurationError, match="only database 0"):
            LakeflowConnect(cluster.options(db="2"))
        with pytest.raises(ConfigurationError, match="`host` and `port`"):
            LakeflowConnect({"unix_socket_path": str(node.unix_socket)}).read_table("keys")


def add_someone(server: Server, rules: list[str]) -> None:
    """Make a user with these rights."""
    with server.local_client() as client:
        add_user(client, "someone", *rules)
        assert b"someone" in Raw(client)("ACL", "USERS")
