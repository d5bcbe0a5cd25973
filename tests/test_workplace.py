"""Workplaces: of processes that are no more they are removed, and of others never."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lakeflow_redis.ingest.workplace import LOCK, workplace

PREFIX = ".lakeflow-redis-"

AT_WORK = """
import sys
from pathlib import Path
from lakeflow_redis.ingest.workplace import workplace
with workplace(Path(sys.argv[1]), sys.argv[2]) as place:
    (place / "file").write_text("mine")
    print(place, flush=True)
    sys.stdin.read()
    assert (place / "file").read_text() == "mine"
"""

KILLED = """
import os, shutil, sys
from pathlib import Path
from lakeflow_redis.ingest import workplace
folder, prefix, owner, name = sys.argv[1:]
def die(*_, **__): os.kill(os.getpid(), 9)
setattr({"shutil": shutil, "Path": Path}[owner], name, die)
with workplace.workplace(Path(folder), prefix) as place:
    (place / "file").write_text("mine")
"""

BUSY = """
import sys
from pathlib import Path
from lakeflow_redis.ingest.workplace import workplace
for number in range(100):
    with workplace(Path(sys.argv[1]), sys.argv[2]) as place:
        (place / "file").write_text(str(number))
        assert (place / "file").read_text() == str(number)
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Run Python in a process of its own."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_it_is_hidden_and_gone_in_the_end(tmp_path: Path) -> None:
    with workplace(tmp_path, PREFIX) as place:
        (place / "folder").mkdir()
        (place / "folder" / "file").write_text("of ours")
        assert [path.name[: len(PREFIX)] for path in tmp_path.iterdir()] == [PREFIX] * 2
    assert list(tmp_path.iterdir()) == []


def test_it_is_gone_after_an_exception_too(tmp_path: Path) -> None:
    def be_interrupted() -> None:
        with workplace(tmp_path, PREFIX) as place:
            (place / "file").write_text("of ours")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        be_interrupted()
    assert list(tmp_path.iterdir()) == []


def test_one_of_a_process_at_work_stays(tmp_path: Path) -> None:
    with start(AT_WORK, tmp_path, PREFIX) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        for _ in range(3):
            with workplace(tmp_path, PREFIX) as ours:
                assert {ours, theirs} < set(tmp_path.iterdir())
        assert (theirs / "file").exists()
        process.communicate()
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_one_of_another_run_in_this_process_stays(tmp_path: Path) -> None:
    with workplace(tmp_path, PREFIX) as first, workplace(tmp_path, PREFIX) as second:
        assert first.exists()
        assert second.exists()


def test_one_of_a_process_that_was_killed_goes(tmp_path: Path) -> None:
    with start(AT_WORK, tmp_path, PREFIX) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        process.kill()
        process.communicate()
    assert (theirs / "file").exists()
    with workplace(tmp_path, PREFIX) as ours:
        assert set(tmp_path.iterdir()) == {ours, ours.with_name(ours.name + LOCK)}


@pytest.mark.parametrize(
    ("owner", "name"),
    [("Path", "mkdir"), ("shutil", "rmtree"), ("Path", "unlink")],
    ids=["before it is there", "before it is removed", "before its lock is removed"],
)
def test_whenever_it_was_killed_nothing_stays(tmp_path: Path, owner: str, name: str) -> None:
    with start(KILLED, tmp_path, PREFIX, owner, name) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) != []
    with workplace(tmp_path, PREFIX):
        pass
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_killed_while_it_was_being_removed_goes(tmp_path: Path) -> None:
    with start(KILLED, tmp_path, PREFIX, "Path", "unlink") as process:
        process.communicate()
    (lock,) = tmp_path.iterdir()
    lock.with_suffix("").mkdir()
    with workplace(tmp_path, PREFIX):
        pass
    assert list(tmp_path.iterdir()) == []


def test_many_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    processes = [start(BUSY, tmp_path, PREFIX) for _ in range(4)]
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0] * 4
    assert list(tmp_path.iterdir()) == []


def test_one_of_another_user_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / f"{PREFIX}left{LOCK}"
    left.touch()
    monkeypatch.setattr(os, "getuid", lambda: left.stat().st_uid + 1)
    with workplace(tmp_path, PREFIX):
        pass
    assert left.exists()


def test_what_is_no_workplace_stays(tmp_path: Path) -> None:
    others = [tmp_path / "data.parquet", tmp_path / ".hidden.lock", tmp_path / f"{PREFIX}mine"]
    for path in others:
        path.touch()
    with workplace(tmp_path, PREFIX):
        pass
    assert set(tmp_path.iterdir()) == set(others)
