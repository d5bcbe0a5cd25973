"""What the README says is true: its table of options, and its Python, which is run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from lakeflow_redis._core import option_specs

from tests.readme import README, between_markers, options_table
from tests.servers import Server

SPARK = "pyspark"
"""What blocks name that need a Spark of their own."""

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[int, str]]:
    """The README's Python, block by block, each with the line on which it begins."""
    text = README.read_text()
    return [(text.count("\n", 0, found.start(1)), found.group(1)) for found in BLOCK.finditer(text)]


def test_the_table_of_options_is_that_of_the_code() -> None:
    found = between_markers(README.read_text())
    assert found == options_table(option_specs()), "run `python -m tests.readme --write`"


def test_the_python_runs_from_top_to_bottom(
    one_server: Server,
    one_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """One namespace for all blocks; they find their server by `{{ REDIS_URL }}`."""
    fill(one_client)
    monkeypatch.setenv("REDIS_URL", f"redis://{one_server.host}:{one_server.port}/0")
    monkeypatch.chdir(tmp_path)
    found = [(line, source) for line, source in blocks() if SPARK not in source]
    assert found, "the README has no Python to run"
    assert any("{{ REDIS_URL }}" in source for _, source in found)
    namespace: dict[str, object] = {"__name__": "readme"}
    for line, source in found:
        # Lines are counted as in the README, so that a traceback points into it.
        code = compile("\n" * line + source, str(README), "exec")
        exec(code, namespace)  # noqa: S102 - it is our own README.


def test_the_python_for_spark_runs(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    """In a process of its own: Spark's have the environment that there was when they began."""
    fill(one_client)
    source = "\n".join(source for _, source in blocks() if SPARK in source)
    assert source
    environment = {
        "REDIS_URL": f"redis://{one_server.host}:{one_server.port}/0",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": one_server.host,
    }
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert "User 1" in done.stdout
    assert list((tmp_path / "entries").glob("*.parquet"))


def fill(client: redis.Redis) -> None:
    """A little of everything that an example may want to read."""
    for number in range(1, 4):
        client.hset(f"user:{number}", mapping={"name": f"User {number}", "city": "Graz"})
        client.set(f"cache:{number}", f"page {number}", ex=3600)
        client.xadd("events", {"type": "click", "user": str(number)})
        client.xadd("orders", {"item": "chair", "price": "99.90"})
    client.rpush("queue", "first", "second")
    client.sadd("tags", "red", "blue")
    client.zadd("leaderboard", {"alice": 10, "bob": 7.5})
