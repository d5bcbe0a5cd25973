"""The tour works, leaves a lake, and touches no other."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests import lake
from tests.contract import TABLES


def run(to: Path) -> "subprocess.CompletedProcess[str]":
    """Run the demo."""
    command = [sys.executable, "-m", "lakeflow_redis.demo", "--to", str(to)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_demo_lands_all_tables_and_then_only_what_is_new(tmp_path: Path) -> None:
    to = tmp_path / "demo-lake"
    for _ in range(2):  # The second one replaces the lake of the first.
        done = run(to)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert all(lake.rows(to, table) for table in TABLES)
        assert lake.version(to, "streams") == 1
        assert len(lake.entries(to)) == 5
        assert "name=streams mode=append status=landed rows=2 " in done.stdout
        assert "furniture:1" in done.stdout


def test_the_demo_replaces_no_other_folder(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    done = run(tmp_path)
    assert done.returncode == 1
    assert "was not made by this demo" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_server_with_sample_data_stays_until_it_is_stopped(
    stop: signal.Signals, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "lakeflow_redis.demo", "--serve"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        name, _, url = demo.stdout.readline().strip().partition("=")
        assert name == "export LAKEFLOW_REDIS_URL"
        with redis.Redis.from_url(url) as client:
            assert client.hget("furniture:1", "name") == b"table"
            demo.send_signal(stop)
            assert demo.wait() == 0
            with pytest.raises(redis.ConnectionError):
                client.ping()
    assert list(tmp_path.iterdir()) == [], "no lake is made"
