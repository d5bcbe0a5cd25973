"""`ingest` again and again, until it is told to end."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import data, lake
from tests.servers import Server
from tests.streams import add
from tests.test_cli import COMMAND, at, environment, has_connected
from tests.waiting import until

LONG = "600s"
"""Between runs for which no test waits."""


class Running:
    """An `ingest --json` that goes on until it is told to end."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def report(self) -> dict[str, Any]:
        """Wait for what it says of the next run."""
        assert self.process.stdout is not None
        report: dict[str, Any] = json.loads(self.process.stdout.readline())
        return report

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def ends(self) -> tuple[int, list[dict[str, Any]], str]:
        """Wait for its end; gives the exit code, the reports that are left, and stderr."""
        stdout, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, [json.loads(n) for n in stdout.splitlines()], stderr


@contextmanager
def running(*arguments: object) -> Iterator[Running]:
    """Start one."""
    with subprocess.Popen(
        [*COMMAND, "ingest", "--json", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(),
    ) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


def test_it_runs_again_after_a_run_that_failed(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("h", "f", b"\xff")
    common = [*at(one_server), "--to", tmp_path, "--tables", "hashes"]
    with running(*common, "--every", "0.2s") as process:
        assert process.report()["status"] == "failed"
        one_client.hset("h", "f", "v")
        while process.report()["status"] == "failed":
            pass
        process.signal(signal.SIGTERM)
        code, _, stderr = process.ends()
    assert (code, stderr) == (0, "")
    assert [row["value"] for row in lake.rows(tmp_path, "hashes")] == ["v"]


def test_it_goes_on_when_the_server_answers_again(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    common = [*at(one_server), "--to", tmp_path, "--tables", "server_info", "--every", "0.2s"]
    with ExitStack() as stack:
        with one_server.stopped():
            process = stack.enter_context(running(*common, "--socket-timeout", "0.3"))
            # What its columns are is asked of the server: there is no result at all.
            report = process.report()
            assert (report["status"], report["tables"]) == ("failed", [])
            assert "socket_timeout" in report["error"]
        while process.report()["status"] == "failed":
            pass
        process.signal(signal.SIGTERM)
        code, _, _ = process.ends()
    assert code == 0


def test_what_a_cap_left_behind_is_read_at_once(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    add(one_client, "s", *(f"{number}-0" for number in range(1, 26)))
    one_client.hset("h", "f", "v")
    common = [*at(one_server), "--to", tmp_path, "--tables", "hashes,streams"]
    with running(*common, "--max-records-per-batch", "10", "--every", LONG) as process:
        found = [
            [(table["name"], table["rows"]) for table in process.report()["tables"]]
            for _ in range(3)
        ]
        process.signal(signal.SIGTERM)
        code, rest, _ = process.ends()
    assert found == [[("hashes", 1), ("streams", 10)], [("streams", 10)], [("streams", 5)]]
    assert (code, rest) == (0, [])
    assert len(lake.entries(tmp_path)) == 25


@pytest.mark.parametrize("every", [[], ["--every", LONG]])
def test_sigterm_lets_the_run_at_hand_commit(
    one_server: Server, one_client: redis.Redis, tmp_path: Path, every: list[str]
) -> None:
    data.fill_many(one_client, 1000)
    common = [*at(one_server), "--to", tmp_path, "--tables", "strings"]
    with ExitStack() as stack:
        with one_server.stopped():
            process = stack.enter_context(running(*common, *every))
            until("it connects", lambda: has_connected(process.process.pid))
            process.signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                process.process.wait(0.5)
        code, (report,), stderr = process.ends()
    assert (code, report["status"], stderr) == (0, "done", "")
    assert len(lake.rows(tmp_path, "strings")) == 1000


@pytest.mark.parametrize(
    ("signals", "code", "words"),
    [
        ([signal.SIGTERM, signal.SIGTERM], 143, "terminated\n"),
        ([signal.SIGINT], 130, "interrupted\n"),
        ([signal.SIGTERM, signal.SIGINT], 130, "interrupted\n"),
    ],
)
def test_what_is_broken_off_commits_nothing(
    one_server: Server,
    one_client: redis.Redis,
    tmp_path: Path,
    signals: list[signal.Signals],
    code: int,
    words: str,
) -> None:
    data.fill_many(one_client, 1000)
    common = [*at(one_server), "--to", tmp_path / "lake", "--tables", "strings", "--every", LONG]
    with one_server.stopped(), running(*common) as process:
        until("it connects", lambda: has_connected(process.process.pid))
        for number in signals[:-1]:
            process.signal(number)
            # Two of a kind that come at once are one to a process.
            with pytest.raises(subprocess.TimeoutExpired):
                process.process.wait(0.5)
        process.signal(signals[-1])
        found, rest, stderr = process.ends()
    assert (found, stderr) == (code, words), rest
    assert [report["status"] for report in rest] == ["interrupted"]
    assert lake.data_files(tmp_path / "lake", "strings") == set()
    assert not (tmp_path / "lake" / "strings" / "_delta_log").exists()
