"""The example of a declarative pipeline runs, and runs on."""

from collections import Counter
from pathlib import Path

import pytest

from tests import canary
from tests.pipelines import Project
from tests.servers import Server


@pytest.mark.timeout(1100)  # Spark starts twice.
def test_each_run_appends_what_came_since_and_reads_hashes_anew(
    one_locked_server: Server, tmp_path: Path
) -> None:
    password, address = canary.QUOTED_PASSWORD, one_locked_server.address
    project = Project(tmp_path, f"redis://:{password}@{address}/0")
    with one_locked_server.client() as client:
        client.flushdb()
        for number in range(1, 31):
            client.xadd(f"orders:{number % 3}", {"item": "chair"}, f"{number}-0")
        client.hset("user:1", mapping={"name": "Ada", "city": "London"})
        client.hset("user:2", mapping={"name": "Tove"})
        output = project.run()

        entries = [(row["key_name"], row["entry_id"]) for row in project.table("stream_entries")]
        expected = [(f"orders:{number % 3}", f"{number}-0") for number in range(1, 31)]
        assert Counter(entries) == Counter(expected)
        assert fields(project) == {
            ("user:1", "name", "Ada"),
            ("user:1", "city", "London"),
            ("user:2", "name", "Tove"),
        }
        assert activity(project) == {f"orders:{n}": (10, 28 + (n - 1) % 3) for n in range(3)}

        client.xadd("orders:0", {"item": "table"}, "100-0")
        client.xadd("orders:new", {"item": "lamp"}, "1-0")
        client.delete("user:2")
        client.hset("user:1", "city", "Paris")
        output += project.run()

    entries = [(row["key_name"], row["entry_id"]) for row in project.table("stream_entries")]
    expected += [("orders:0", "100-0"), ("orders:new", "1-0")]
    assert Counter(entries) == Counter(expected)
    assert fields(project) == {("user:1", "name", "Ada"), ("user:1", "city", "Paris")}
    found = activity(project)
    assert found["orders:0"] == (11, 100)
    assert found["orders:new"] == (1, 1)
    # Checkpoints, event logs and the metastore among them.
    canary.assert_unseen(output)
    assert any(path.parent.name == "offsets" for path in project.files())
    mark = canary.MARK.encode()
    assert [path for path in project.files() if mark in path.read_bytes()] == []


def fields(project: Project) -> set[tuple[str, str, str]]:
    """The hashes in the lake."""
    rows = project.table("hash_fields")
    return {(row["key_name"], row["field"], row["value"]) for row in rows}


def activity(project: Project) -> dict[str, tuple[int, int]]:
    """Entries and the last one's time, by stream."""
    rows = project.table("activity")
    return {row["key_name"]: (row["entries"], row["last_timestamp_ms"]) for row in rows}
