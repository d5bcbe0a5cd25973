"""The examples in README.md and docs/ do what they say: all are run, and most print something."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import redis
from lakeflow_redis.demo import sample

from tests.certificates import Certificates
from tests.clusters import Cluster
from tests.documents import DOCS, PAGES, README, ROOT, Block, blocks, name
from tests.examples import check, run
from tests.sentinels import Sentinels
from tests.servers import Server

SPARK = "pyspark"
"""What a page names that needs a Spark of its own."""

RUN = [
    page for page in PAGES if any(b.language == "python" and not b.not_run for b in blocks(page))
]
IN_SPARK = [page for page in RUN if any(SPARK in block.source for block in blocks(page))]
"""These run in processes of their own: Spark's have the environment that there was when they began."""


def of(*pages: Path) -> pytest.MarkDecorator:
    """Parametrize a test by pages."""
    return pytest.mark.parametrize("page", pages, ids=name)


@pytest.fixture
def address(one_server: Server, one_client: redis.Redis) -> dict[str, str]:
    """The environment that examples expect, and a server with data behind it."""
    url = f"redis://{one_server.host}:{one_server.port}"
    one_client.flushall()  # Some read all databases.
    fill(one_client)
    return {"REDIS_URL": url, "LAKEFLOW_REDIS_URL": url}


def enter(folder: Path, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to a folder, with an environment."""
    monkeypatch.chdir(folder)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)


TUTORIAL = DOCS / "tutorial.md"
TLS = DOCS / "how-to/server.md"
CLUSTER = DOCS / "how-to/cluster.md"
SENTINEL = DOCS / "how-to/sentinel.md"
SPECIAL = {TUTORIAL, TLS, CLUSTER, SENTINEL, *IN_SPARK}


@of(*(page for page in RUN if page not in SPECIAL))
def test_a_page_runs(
    page: Path, address: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, address, monkeypatch)
    run(page)


def test_the_tutorial_runs_on_the_demos_data(
    one_server: Server,
    one_client: redis.Redis,
    address: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one_client.flushdb()
    sample.fill(one_client)
    enter(tmp_path, address, monkeypatch)
    run(TUTORIAL)
    assert (tmp_path / "lake/streams").is_dir()


def test_the_page_on_tls_runs_against_a_server_that_speaks_it(
    tls_server: Server,
    certificates: Certificates,
    address: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    encrypted = {
        "REDIS_TLS_HOST": tls_server.host,
        "REDIS_TLS_PORT": str(tls_server.port),
        "REDIS_CA": str(certificates.ca),
    }
    enter(tmp_path, address | encrypted, monkeypatch)
    run(TLS)
    assert capsys.readouterr().out.count("success") == 2


def test_the_page_on_clusters_runs_against_one(
    one_cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one_cluster.flush()
    with one_cluster.client() as client:
        for number in range(20):
            client.hset(f"user:{number}", "name", f"User {number}")
    nodes = ",".join(node.address for node in one_cluster.primaries())
    enter(tmp_path, {"REDIS_NODES": nodes}, monkeypatch)
    run(CLUSTER)
    assert "20 rows of all nodes" in capsys.readouterr().out


def test_the_page_on_sentinels_runs_under_some(
    sentinels: Sentinels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sentinels.flush()
    with sentinels.client() as client:
        fill(client)
    options = sentinels.options()
    assert options["sentinel_master"] == "mymaster", "as the page says"
    enter(tmp_path, {"REDIS_SENTINELS": options["nodes"]}, monkeypatch)
    run(SENTINEL)
    assert "6 rows of the primary" in capsys.readouterr().out


@of(*IN_SPARK)
def test_a_page_of_spark_runs(page: Path, address: dict[str, str], tmp_path: Path) -> None:
    environment = address | {
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.examples", str(page)],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    if page == DOCS / "how-to/spark.md":
        assert "User 1" in done.stdout
        assert list((tmp_path / "entries").glob("*.parquet"))


def test_there_is_something_to_run() -> None:
    """So that a change of how blocks are written does not pass for none at all."""
    assert {README, TUTORIAL, TLS, CLUSTER, SENTINEL, DOCS / "how-to/spark.md"} <= set(RUN)
    assert {README, DOCS / "how-to/spark.md"} == set(IN_SPARK)


def test_python_that_is_not_run_is_rare_and_says_why() -> None:
    idle = [(name(b.page), b.not_run) for page in PAGES for b in blocks(page) if b.not_run]
    assert [page for page, _ in idle] == ["docs/how-to/lakeflow.md"], idle


@pytest.mark.parametrize(
    ("says", "prints", "holds"),
    [
        ("3 rows\n", "3 rows\n", True),
        ("3 rows\n", "4 rows\n", False),
        ("3 rows\n", "3 rows\nand more\n", False),
        ("3 … rows\n…\n", "3 short rows\na\nb\n", True),
        ("a.c\n", "abc\n", False),
    ],
)
def test_what_is_printed_is_compared(says: str, prints: str, *, holds: bool) -> None:
    block = Block(README, 0, "text", says, None, follows=True)
    if holds:
        check(block, prints)
    else:
        with pytest.raises(AssertionError, match="was printed"):
            check(block, prints)


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
