"""By `merge` a table becomes what a fresh read gives, and only files with rows that differ are written."""

import random
from pathlib import Path

import pytest
import redis
from lakeflow_redis import ConfigurationError, LakeflowConnect
from lakeflow_redis.ingest import Changes, TableResult, TableSpec, ingest, positions
from lakeflow_redis.ingest.delta_merge import DeltaMerge

from tests import changing, data, lake, oracle, snapshots
from tests.by_database import emptied
from tests.clusters import Cluster
from tests.conftest import Connect
from tests.oracle import Row
from tests.servers import Server
from tests.snapshots import KEY_TABLES, Version

MODES = pytest.mark.parametrize("mode", ["string", "binary"])
ROUNDS = 8

Clients = dict[int, redis.Redis]


@pytest.fixture(params=["as they are", "small"])
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and batches as they are, or so small that there are many of them."""
    if request.param == "small":
        monkeypatch.setattr(DeltaMerge, "target_bytes", 1)
        monkeypatch.setattr(positions, "BATCH_ROWS", 7)


def merge(
    connector: LakeflowConnect, to: Path, *tables: str, evolve: bool = False
) -> list[TableResult]:
    """Land tables."""
    return ingest(
        connector, to, [TableSpec(table, mode="merge") for table in tables], evolve=evolve
    )


def merge_one(connector: LakeflowConnect, to: Path, table: str) -> Changes | None:
    """Land a table; gives what was different, and sees that nothing is committed where that is nothing."""
    before = lake.version(to, table) if (to / table).exists() else -1
    (result,) = merge(connector, to, table)
    assert result.committed == (result.changes != Changes() or before == -1)
    assert lake.version(to, table) == before + result.committed == result.version
    return result.changes


def assert_landed(to: Path, table: str, clients: Clients, mode: str = "string") -> None:
    """Fail unless a table in the lake holds what the databases hold."""
    wanted = snapshots.expected(clients, table, binary=mode == "binary")
    snapshots.assert_same(table, lake.rows(to, table), wanted)


# Random changes


def check_rounds(connector: LakeflowConnect, clients: Clients, to: Path, mode: str) -> None:
    """Change all databases again and again, and see that all tables follow."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    words = changing.BYTES if mode == "binary" else changing.TEXTS
    changings = [changing.Changing(client, rng, words) for client in clients.values()]
    for each in changings:
        each.change(200)
    merge(connector, to, *KEY_TABLES)
    for number in range(ROUNDS):
        before = {table: Version.last(to, table) for table in KEY_TABLES}
        for each in changings:
            # Now and then nothing but new keys, or nothing at all.
            each.add(rng.choice([0, 5]))
            each.change(0 if number % 3 == 2 else rng.choice([3, 60]))
        for result in merge(connector, to, *KEY_TABLES):
            after = Version.last(to, result.table)
            assert_landed(to, result.table, clients, mode)
            snapshots.assert_only_what_differs_was_written(
                result.table, before[result.table], after, result.changes
            )


@MODES
def test_tables_follow_random_changes(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, sizes: None, mode: str
) -> None:
    check_rounds(one_connect(value_type=mode), {0: one_client}, tmp_path, mode)


@MODES
def test_tables_of_several_databases_follow_random_changes(
    one_server: Server, tmp_path: Path, mode: str
) -> None:
    with emptied(one_server, (0, 1, 3)) as clients:
        connector = LakeflowConnect(one_server.options(value_type=mode, db="0,1,3"))
        check_rounds(connector, clients, tmp_path, mode)


# What counts as a change, and what is kept apart


@pytest.mark.parametrize("table", [*changing.TABLES, "keys"])
@MODES
def test_names_and_values_that_look_the_same_are_kept_apart(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, table: str, mode: str
) -> None:
    words = [*changing.LIKENESSES, *(changing.DIGESTS if mode == "binary" else ())]
    content = "strings" if table == "keys" else table
    connector = one_connect(value_type=mode)
    for name in words:
        for word in words:
            data.add_one(one_client, content, name, word)
    merge_one(connector, tmp_path, table)
    assert_landed(tmp_path, table, {0: one_client}, mode)
    for name in words[::2]:
        one_client.delete(name)
        data.add_one(one_client, content, name, b"another")
    merge_one(connector, tmp_path, table)
    assert_landed(tmp_path, table, {0: one_client}, mode)
    one_client.delete(*words[1::2])
    merge_one(connector, tmp_path, table)
    assert_landed(tmp_path, table, {0: one_client}, mode)


def test_each_change_of_a_value_is_noticed(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    """Also one to what it is compared by where it is long."""
    connector = one_connect(value_type="binary")
    merge_one(connector, tmp_path, "strings")
    one_client.set("s", "")
    assert merge_one(connector, tmp_path, "strings") == Changes(inserted=1)
    long = b"x" * 33
    words = [*changing.LIKENESSES[::-1], long, *changing.DIGESTS, long, data.MEGABYTE, b"", b"\0"]
    for word in words:
        one_client.set("s", word)
        assert merge_one(connector, tmp_path, "strings") == Changes(updated=1), word
        assert [row["value"] for row in lake.rows(tmp_path, "strings")] == [word]


def test_each_change_of_a_score_is_noticed(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    # So long that the server does not keep the set in a form that knows no -0.
    member = "m" * 100
    one_client.zadd("z", {member: 17})
    merge_one(one_connect(), tmp_path, "sorted_sets")
    for score in (
        0.0,
        -0.0,
        0.0,
        5e-324,
        1e-320,
        -1e-320,
        0.1 + 0.2,
        0.3,
        float("inf"),
        float("-inf"),
    ):
        # The server would keep the score that is there for one that is equal to it.
        one_client.zrem("z", member)
        one_client.zadd("z", {member: score})
        assert merge_one(one_connect(), tmp_path, "sorted_sets") == Changes(updated=1), score
        (row,) = lake.rows(tmp_path, "sorted_sets")
        assert row["score"].hex() == score.hex()


def test_that_a_key_expires_counts_and_not_when(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("h", mapping={"a": "1", "b": "2"})
    merge_one(one_connect(), tmp_path, "hashes")
    one_client.expire("h", 1_000)
    assert merge_one(one_connect(), tmp_path, "hashes") == Changes(updated=2)
    one_client.expire("h", 9_000)
    assert merge_one(one_connect(), tmp_path, "hashes") == Changes()
    assert {row["ttl_seconds"] for row in lake.rows(tmp_path, "hashes")} <= set(range(900, 1_001))
    one_client.persist("h")
    assert merge_one(one_connect(), tmp_path, "hashes") == Changes(updated=2)
    one_client.pexpire("h", 1)
    while one_client.exists("h"):
        pass
    assert merge_one(one_connect(), tmp_path, "hashes") == Changes(deleted=2)


@MODES
def test_where_nothing_changed_nothing_is_committed(
    connect: Connect, client: redis.Redis, tmp_path: Path, mode: str
) -> None:
    for table in changing.TABLES:
        for word in data.WORDS if mode == "binary" else data.TEXTS:
            data.add_one(client, table, table.encode() + word, word)
    connector = connect(value_type=mode)
    first = merge(connector, tmp_path, *KEY_TABLES)
    assert all(result.changes == Changes(inserted=result.rows) for result in first)
    before = {table: lake.data_files(tmp_path, table) for table in KEY_TABLES}
    again = merge(connector, tmp_path, *KEY_TABLES)
    for result in again:
        assert (result.changes, result.committed, result.version) == (Changes(), False, 0)
        assert result.rows > 0
        assert lake.version(tmp_path, result.table) == 0
        assert lake.data_files(tmp_path, result.table) == before[result.table]


def test_where_there_are_only_new_rows_files_stay(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    files: set[str] = set()
    for number in range(4):
        one_client.hset(f"h{number}", mapping={"f": "v", "g": "w"})
        assert merge_one(one_connect(), tmp_path, "hashes") == Changes(inserted=2)
        after = Version.last(tmp_path, "hashes").files.keys()
        assert files < after
        files = set(after)
    one_client.hset("h1", "f", "changed")
    assert merge_one(one_connect(), tmp_path, "hashes") == Changes(updated=1)
    assert len(files - Version.last(tmp_path, "hashes").files.keys()) == 1
    assert_landed(tmp_path, "hashes", {0: one_client})


def test_a_database_that_is_emptied_and_filled_again(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    assert merge_one(one_connect(), tmp_path, "sets") == Changes()
    for _ in range(2):
        one_client.sadd("s", "a", "b", "c")
        assert merge_one(one_connect(), tmp_path, "sets") == Changes(inserted=3)
        one_client.flushdb()
        assert merge_one(one_connect(), tmp_path, "sets") == Changes(deleted=3)
        assert Version.last(tmp_path, "sets").files == {}


def test_only_chosen_columns_count(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    connector = one_connect(columns="list_index,key_name,list_length")
    one_client.rpush("l", "a", "b")
    merge_one(connector, tmp_path, "lists")
    one_client.lset("l", 0, "c")
    assert merge_one(connector, tmp_path, "lists") == Changes()
    one_client.rpush("l", "d")
    assert merge_one(connector, tmp_path, "lists") == Changes(inserted=1, updated=2)
    assert sorted(map(str, lake.rows(tmp_path, "lists"))) == [
        str({"list_index": index, "key_name": "l", "list_length": 3}) for index in range(3)
    ]


def test_columns_come_and_go_where_they_may(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.mset({"a": "1", "b": "2", "c": "3"})
    narrow, wide = one_connect(columns="key_name,value_length"), one_connect()
    merge(narrow, tmp_path, "strings")
    one_client.set("d", "4")
    with pytest.raises(ConfigurationError, match="evolve"):
        merge(wide, tmp_path, "strings")
    (result,) = merge(wide, tmp_path, "strings", evolve=True)
    assert result.changes == Changes(inserted=1, updated=3)
    assert_landed(tmp_path, "strings", {0: one_client})
    before = {row["key_name"]: row for row in lake.rows(tmp_path, "strings")}
    one_client.set("a", "12")
    (result,) = merge(narrow, tmp_path, "strings", evolve=True)
    assert result.changes == Changes(updated=1)
    after = {row["key_name"]: row for row in lake.rows(tmp_path, "strings")}
    assert after.pop("a") == dict.fromkeys(before.pop("a")) | {"key_name": "a", "value_length": 2}
    assert after == before


# Other tables, other servers


def settings(rows: list[Row]) -> list[Row]:
    """What a server says of itself that stands still."""
    return [
        row for row in rows if row["property"] in {"tcp_port", "redis_mode", "executable", "role"}
    ]


def test_server_info_follows(one_connect: Connect, one_client: redis.Redis, tmp_path: Path) -> None:
    merge_one(one_connect(), tmp_path, "server_info")
    one_client.set("s", "v")
    changes = merge_one(one_connect(), tmp_path, "server_info")
    assert changes is not None
    assert changes.updated
    landed = lake.rows(tmp_path, "server_info")
    keyspace = [row["value"] for row in landed if row["section"] == "keyspace"]
    assert [value.partition(",")[0] for value in keyspace] == ["keys=1"]
    wanted = oracle.read(one_client, "server_info")
    snapshots.assert_same("server_info", settings(landed), settings(wanted))
    assert snapshots.contents("server_info", landed).keys() == {
        snapshots.key("server_info", row) for row in wanted
    }


def test_the_tables_of_a_cluster_follow(one_cluster: Cluster, tmp_path: Path) -> None:
    one_cluster.flush()
    connector = LakeflowConnect(one_cluster.options())
    with one_cluster.client() as client:
        for number in range(60):
            client.hset(f"h{number}", mapping={"f": number, "g": ""})
        merge_one(connector, tmp_path, "hashes")
        merge_one(connector, tmp_path, "server_info")
        for number in range(0, 60, 3):
            client.hset(f"h{number}", "g", "changed")
        client.delete("h1")
        client.hset("new", "f", "")
        assert merge_one(connector, tmp_path, "hashes") == Changes(
            inserted=1, updated=20, deleted=2
        )
        fresh = list(connector.read_table("hashes")[0])
        snapshots.assert_same("hashes", lake.rows(tmp_path, "hashes"), fresh)
        merge_one(connector, tmp_path, "server_info")
        ports = [
            row["value"]
            for row in lake.rows(tmp_path, "server_info")
            if row["property"] == "tcp_port"
        ]
        assert sorted(ports) == sorted(str(node.port) for node in one_cluster.primaries())


# What cannot be merged


@pytest.mark.parametrize("mode", ["merge", "history"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": "key_name,value"}, "leave out `columns`"),
        ({"columns": "value"}, "leave out `columns`"),
        ({"invalid_utf8": "null"}, "leave out `invalid_utf8=null`"),
    ],
)
def test_rows_that_cannot_be_told_apart_are_refused_before_anything_is_read(
    one_connect: Connect, tmp_path: Path, mode: str, options: dict[str, str], words: str
) -> None:
    spec = TableSpec("hashes", mode=mode, options=options)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=words):
        ingest(one_connect(), tmp_path / "lake", [spec])
    assert not (tmp_path / "lake").exists()
