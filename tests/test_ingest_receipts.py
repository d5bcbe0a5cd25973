"""The table of runs: what each column says, against what is known, and that it bears many runs."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from deltalake import DeltaTable, write_deltalake
from lakeflow_redis import LakeflowConnect, LakeflowRedisError, __version__
from lakeflow_redis.ingest import (
    Lake,
    LakeError,
    TableResult,
    TableSpec,
    ingest,
    ingest_each,
    read_runs,
    runs,
    store_of,
)
from lakeflow_redis.ingest.landing import RunId
from lakeflow_redis.ingest.server_facts import facts

from tests import canary, lake
from tests.by_database import emptied
from tests.clusters import Cluster
from tests.conftest import Connect
from tests.failing import DEADLINES
from tests.large import LITTLE, add_large
from tests.oracle import Row
from tests.servers import HOST, REDIS_7_0, Server, free_port, version_of
from tests.streams import add
from tests.users import add_user, as_user


def receipts(folder: Path, last: int = 1000) -> list[Row]:
    """The rows of the last runs, newest first."""
    found: list[Row] = read_runs(store_of(Lake(folder)), last).to_pylist()
    return found


def only(folder: Path) -> Row:
    """The only row."""
    (row,) = receipts(folder)
    return row


# What the columns say


def test_a_table_that_landed(connect: Connect, client: redis.Redis, tmp_path: Path) -> None:
    client.mset({f"key:{number}": "value" for number in range(10)})
    client.set("other", "value")
    began = datetime.now(UTC)
    spec = TableSpec("strings", "some", options={"key_pattern": "key:*"})
    (result,) = ingest(connect(), tmp_path, [spec])
    row = only(tmp_path)
    assert list(row) == runs.SCHEMA.names
    assert began <= row["started_at"] <= datetime.now(UTC)
    assert 0 < row["seconds"] < (datetime.now(UTC) - began).total_seconds()
    assert row["server_cpu_seconds"] > 0
    assert row["bytes"] > 10 * len("value")
    told = {
        "table": "strings",
        "name": "some",
        "mode": "replace",
        "status": "landed",
        "error": None,
        "start_offset": None,
        "end_offset": json.dumps(result.end),
        "offset_version": None,
        "rows": 10,
        "rows_inserted": None,
        "rows_updated": None,
        "rows_deleted": None,
        "rows_rejected": 0,
        "keys_scanned": 10,
        "keys_gone": 0,
        "keys_changed_type": 0,
        "keys_denied": 0,
        "keys_paged": 0,
        "keys_inconsistent": 0,
        "duplicates_dropped": 0,
        "rows_skipped": 0,
        "values_replaced": 0,
        "retries": 0,
        "gaps": "[]",
        "version": 0,
        "lakeflow_redis_version": __version__,
    }
    assert {name: row[name] for name in told} == told


def test_the_version_is_the_servers_own(
    server: Server, connect: Connect, client: redis.Redis, tmp_path: Path
) -> None:
    ingest(connect(), tmp_path, ["strings"])
    assert only(tmp_path)["server_version"] == version_of(server.flavour.binary())


def test_tables_of_one_run_share_its_id_and_of_one_read_its_cpu_time(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    add(one_client, "a", "1-0")
    for _ in range(2):
        ingest(one_connect(), tmp_path, ["hashes", "sets", "streams"])
    rows = receipts(tmp_path)
    assert [row["name"] for row in rows] == ["hashes", "sets", "streams"] * 2
    assert len({row["run_id"] for row in rows}) == len({row["started_at"] for row in rows}) == 2
    for first in (0, 3):
        hashes, sets, streams = rows[first : first + 3]
        assert hashes["run_id"] == sets["run_id"] == streams["run_id"]
        assert hashes["server_cpu_seconds"] == sets["server_cpu_seconds"] > 0
        assert hashes["seconds"] <= sets["seconds"] <= streams["seconds"]


def test_a_stream_says_from_where_to_where(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    results = []
    for number in range(2):
        add(one_client, "a", f"{number + 1}-0")
        results += ingest(one_connect(), tmp_path, ["streams"])
    results += ingest(one_connect(), tmp_path, ["streams"])
    third, second, first = receipts(tmp_path)
    assert [row["status"] for row in (first, second, third)] == ["landed", "landed", "unchanged"]
    assert [row["offset_version"] for row in (first, second, third)] == [0, 1, 1]
    assert [row["version"] for row in (first, second, third)] == [0, 1, 1]
    assert [row["rows"] for row in (first, second, third)] == [1, 1, 0]
    assert first["start_offset"] is None
    assert json.loads(second["start_offset"]) == results[0].end
    assert first["end_offset"] == second["start_offset"]
    assert second["end_offset"] == third["start_offset"] == third["end_offset"]


@pytest.mark.parametrize("mode", ["merge", "history"])
def test_changes_are_counted(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, mode: Any
) -> None:
    spec = TableSpec("strings", mode=mode)
    one_client.mset({"goes": "1", "stays": "2", "changes": "3"})
    ingest(one_connect(), tmp_path, [spec])
    one_client.delete("goes")
    one_client.mset({"changes": "4", "comes": "5", "comes too": "6"})
    ingest(one_connect(), tmp_path, [spec])
    ingest(one_connect(), tmp_path, [spec])
    counts = [
        tuple(row[f"rows_{what}"] for what in ("inserted", "updated", "deleted"))
        for row in receipts(tmp_path)
    ]
    assert counts == [(0, 0, 0), (2, 1, 1), (3, 0, 0)]
    assert [row["status"] for row in receipts(tmp_path)] == ["unchanged", "landed", "landed"]
    assert [row["mode"] for row in receipts(tmp_path)] == [mode] * 3


def test_what_was_left_out_is_counted(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("h", mapping={b"good": b"v", b"\xff": b"\xff"})
    add_large(one_client, "hashes", "large")
    ingest(one_connect(invalid_utf8="skip", **LITTLE), tmp_path / "skip", ["hashes"])
    row = only(tmp_path / "skip")
    assert (row["rows_skipped"], row["values_replaced"], row["keys_paged"]) == (1, 0, 1)
    ingest(one_connect(invalid_utf8="replace"), tmp_path / "replace", ["hashes"])
    row = only(tmp_path / "replace")
    assert (row["rows_skipped"], row["values_replaced"], row["keys_paged"]) == (0, 2, 0)


def test_keys_that_may_not_be_read_are_counted(acl_server: Server, tmp_path: Path) -> None:
    with emptied(acl_server, (0,)) as clients:
        clients[0].mset({"app:1": "v", "app:2": "v", "other": "v"})
        add_user(clients[0], "lakeflow-receipts", "+@all", "~app:*")
        connector = as_user(acl_server, "lakeflow-receipts", on_denied="skip")
        ingest(connector, tmp_path, ["strings"])
    row = only(tmp_path)
    assert (row["rows"], row["keys_scanned"], row["keys_denied"]) == (2, 3, 1)


def test_entries_that_are_lost_are_listed(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    add(one_client, "a", "1-0", "2-0")
    ingest(one_connect(), tmp_path, ["streams"])
    add(one_client, "a", "3-0", "4-0", "5-0")
    one_client.xtrim("a", maxlen=1, approximate=False)
    (failed,) = ingest_each(one_connect(), tmp_path, ["streams"])
    ingest(one_connect(fail_on_data_loss="false"), tmp_path, ["streams"])
    accepted, refused, _ = receipts(tmp_path)
    assert (refused["status"], refused["error"]) == ("failed", f"DataLossError: {failed.error}")
    assert refused["start_offset"] == accepted["start_offset"] is not None
    assert refused["end_offset"] is refused["gaps"] is None
    assert json.loads(accepted["gaps"]) == [
        {"db": 0, "key_name": "a", "why": "trimmed", "after": "2-0", "entries": 2}
    ]
    assert accepted["rows"] == 1


# What failed


def assert_says_nothing_of_the_read(row: Row) -> None:
    """Fail unless all that a read would have said is null."""
    counts = {"keys_scanned", "bytes", "keys_gone", "duplicates_dropped", "gaps", "warnings"}
    nulls = {"end_offset", "version", "server_cpu_seconds", "server_version"} | counts
    assert {name for name in nulls if row[name] is not None} == set()
    assert row["rows"] == row["rows_rejected"] == 0


def test_tables_whose_read_failed(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.set("s", b"\xff")
    add(one_client, "a", "1-0")
    results = list(ingest_each(one_connect(), tmp_path, ["strings", "hashes", "streams"]))
    rows = {row["name"]: row for row in receipts(tmp_path)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "strings": "failed",
        "hashes": "failed",
        "streams": "landed",
    }
    for name in ("strings", "hashes"):
        assert rows[name]["error"] == f"DecodeError: {results[0].error}"
        assert_says_nothing_of_the_read(rows[name])
        assert rows[name]["seconds"] > 0


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    connector = LakeflowConnect({"host": HOST, "port": str(free_port())})
    for result in ingest_each(connector, tmp_path, ["strings", "streams"]):
        assert result.error is not None
    rows = receipts(tmp_path)
    assert [row["status"] for row in rows] == ["failed"] * 2
    for row in rows:
        assert row["error"].startswith("RedisConnectionError: ")
        assert_says_nothing_of_the_read(row)


def test_a_commit_that_failed_says_what_was_read(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.mset({"a": "1", "b": "2"})

    def run_another(*_: object) -> None:
        ingest(one_connect(), tmp_path, ["strings"])

    with pytest.raises(LakeError):
        ingest(one_connect(), tmp_path, ["strings"], on_progress=run_another)
    failed = next(row for row in receipts(tmp_path) if row["status"] == "failed")
    assert failed["error"].startswith("LakeError: ")
    assert (failed["rows"], failed["keys_scanned"], failed["version"]) == (0, 2, None)
    assert failed["end_offset"] is not None


def test_where_receipts_fail_the_error_says_what_became_of_the_tables(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.set("a", "1")
    # A log without any table.
    log = tmp_path / runs.TABLE / "_delta_log" / f"{0:020}.json"
    log.parent.mkdir(parents=True)
    log.write_text("{}")
    with pytest.raises(LakeError, match=r"_lakeflow_runs failed.* of the tables, strings: landed"):
        ingest(one_connect(), tmp_path, ["strings"])
    assert lake.version(tmp_path, "strings") == 0


def test_what_was_not_asked_for_has_no_receipt(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    results = ingest_each(one_connect(), tmp_path, ["strings", "hashes"])
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert [row["name"] for row in receipts(tmp_path)] == ["strings"]


def wrong(server: Server) -> Iterator[dict[str, str]]:
    """Options that fail, with a secret in each."""
    place = {"host": server.host, "port": str(server.port)}
    yield place | {"password": canary.WRONG_PASSWORD}
    yield {"url": f"redis://:{canary.WRONG_PASSWORD}@{server.address}/0"}
    yield {"url": f"redis://:{canary.QUOTED_PASSWORD}@{HOST}:{free_port()}/0"}
    yield server.options(db="9999")


def test_no_secret_is_in_a_receipt(one_locked_server: Server, tmp_path: Path) -> None:
    for options in wrong(one_locked_server):
        for result in ingest_each(LakeflowConnect(DEADLINES | options), tmp_path, ["strings"]):
            assert isinstance(result.error, LakeflowRedisError)
            canary.assert_unseen(result, result.error)
    rows = receipts(tmp_path)
    assert [row["status"] for row in rows] == ["failed"] * 4
    canary.assert_unseen(rows)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert canary.MARK.encode() not in path.read_bytes()


# Servers


def test_the_cpu_time_is_the_servers(
    one_server: Server, one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.rpush("l", *range(200_000))

    def used() -> float:
        cpu = one_client.info("cpu")
        return float(cpu["used_cpu_sys"] + cpu["used_cpu_user"])

    before = used()
    ingest(one_connect(), tmp_path, ["lists"])
    assert 0 < only(tmp_path)["server_cpu_seconds"] <= used() - before


def test_of_a_cluster_all_nodes_count(cluster: Cluster, tmp_path: Path) -> None:
    cluster.flush()
    connector = LakeflowConnect(cluster.options())
    found = facts(connector)
    ids = {primary.call("INFO", "server").decode() for primary in cluster.primaries()}
    assert len(found.cpu_seconds) == len(ids) == 3
    assert all(any(run_id in text for text in ids) for run_id in found.cpu_seconds)
    ingest(connector, tmp_path, ["strings"])
    row = only(tmp_path)
    assert row["server_version"] == version_of(cluster.flavour.binary())
    assert row["server_cpu_seconds"] > 0


def test_a_server_that_began_anew_meanwhile_has_no_cpu_time_to_tell() -> None:
    with Server(REDIS_7_0) as server:
        connector = LakeflowConnect(server.options())
        before = facts(connector)
        assert (before.cpu_until(facts(connector)) or 0) > 0
        server.restart()
        # So that it has used more than the one before, and would seem to be the same.
        with server.client() as client:
            while sum(facts(connector).cpu_seconds.values()) <= sum(before.cpu_seconds.values()):
                client.rpush("l", *range(10_000))
        assert before.cpu_until(facts(connector)) is None


@pytest.mark.parametrize(
    "options",
    [{"columns": "key_name"}, {"value_type": "binary"}, {"invalid_utf8": "null"}, {"db": "*"}],
)
def test_options_for_reading_tables_do_not_touch_what_the_server_says(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, options: dict[str, str]
) -> None:
    one_client.set("a", "1")
    ingest(one_connect(**options), tmp_path, ["strings"])
    assert only(tmp_path)["server_version"].startswith("7.")


def test_a_server_that_goes_after_the_read_is_no_reason_not_to_land(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Server(REDIS_7_0) as server:
        with server.client() as client:
            client.set("a", "1")
        connector = LakeflowConnect(server.options(**DEADLINES))
        (result,) = ingest(connector, tmp_path, ["strings"], on_progress=lambda *_: server.kill())
    assert result.committed
    assert "the receipt will lack" in caplog.text
    row = only(tmp_path)
    assert (row["status"], row["rows"]) == ("landed", 1)
    assert row["server_version"] is row["server_cpu_seconds"] is None


# Many runs


def test_the_last_runs_come_first_and_no_more_than_asked_for(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    assert receipts(tmp_path) == []
    for name in ("a", "b", "c"):
        specs = [TableSpec("strings", f"{name}{number}") for number in (2, 1)]
        ingest(one_connect(), tmp_path, specs)
    names = ["c1", "c2", "b1", "b2", "a1", "a2"]
    for last in (0, 1, 2, 3, 100):
        assert [row["name"] for row in receipts(tmp_path, last)] == names[: 2 * last]
    assert read_runs(store_of(Lake(tmp_path)), 2).schema == runs.SCHEMA


def test_an_offset_that_is_too_long_is_left_out(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    add(one_client, "short", "1-0")
    ingest(one_connect(), tmp_path, ["streams"])
    assert only(tmp_path)["end_offset"] is not None
    for number in range(700):
        add(one_client, f"{number:0100}", "1-0")
    (result,) = ingest(one_connect(), tmp_path, ["streams"])
    assert len(json.dumps(result.end)) > runs.OFFSET_CHARACTERS
    row, _ = receipts(tmp_path)
    assert row["end_offset"] is None
    assert (row["start_offset"] is None, row["rows"]) == (False, 700)
    (again,) = ingest(one_connect(), tmp_path, ["streams"])
    assert not again.committed, "the offset log has it"


def fake(number: int) -> TableResult:
    """What a run might have come to."""
    values = dict.fromkeys(TableResult.__dataclass_fields__)
    told = {"table": "strings", "name": f"n{number}", "mode": "replace", "receipt": {}}
    figures = {"rows": number, "rejected": 0, "seconds": 1.0, "committed": True}
    return TableResult(**(values | told | figures))  # type: ignore[arg-type] # Nulls.


def test_many_runs_become_few_files(tmp_path: Path) -> None:
    store = store_of(Lake(tmp_path))
    most = 0
    for number in range(120):
        run = RunId(f"run {number}", datetime.now(UTC))
        runs.append_runs(store, run, [fake(number), fake(-number)])
        most = max(most, len(DeltaTable(tmp_path / runs.TABLE).file_uris()))
    assert most == runs.COMPACTED_AT - 1
    assert len(DeltaTable(tmp_path / runs.TABLE).file_uris()) == 21
    rows = receipts(tmp_path)
    assert Counter(row["rows"] for row in rows) == Counter(
        [*range(120), *(-number for number in range(120))]
    )
    assert [row["run_id"] for row in rows[:4:2]] == ["run 119", "run 118"]


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from lakeflow_redis.ingest import Lake, runs, store_of
from lakeflow_redis.ingest.landing import RunId
from tests.test_ingest_receipts import fake
folder, name, count = sys.argv[1:]
runs.COMPACTED_AT = 5
for number in range(int(count)):
    runs.append_runs(store_of(Lake(folder)), RunId(name, datetime.now(UTC)), [fake(number)])
"""


def test_processes_that_write_at_once_lose_and_repeat_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, f"run {each}", "20"]) for each in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    rows = receipts(tmp_path)
    assert Counter((row["run_id"], row["rows"]) for row in rows) == Counter(
        (f"run {each}", number) for each in range(3) for number in range(20)
    )


def test_a_table_of_an_earlier_version_gets_what_it_lacks(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    ingest(one_connect(), tmp_path / "new", ["strings"])
    old = DeltaTable(tmp_path / "new" / runs.TABLE).to_pyarrow_table()
    write_deltalake(tmp_path / "old" / runs.TABLE, old.drop_columns(["server_version", "gaps"]))
    (row,) = receipts(tmp_path / "old")
    assert row["server_version"] is row["gaps"] is None
    time.sleep(0.001)
    ingest(one_connect(), tmp_path / "old", ["strings"])
    newer, older = receipts(tmp_path / "old")
    assert (newer["server_version"], newer["gaps"]) == (old["server_version"][0].as_py(), "[]")
    assert (older["server_version"], older["gaps"]) == (None, None)
