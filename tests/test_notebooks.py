"""Every notebook runs from top to bottom against a real server, shows a picture, and tidies up."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import databricks_source
from tests.notebooks import (
    DATABRICKS_ONLY,
    PARAMETERS,
    PATHS,
    SAMPLE_DATA,
    TAGS,
    all_tags,
    pictures,
    read,
    tags,
    without_sample_data,
)
from tests.servers import Server

HERE = [path for path in PATHS if DATABRICKS_ONLY not in all_tags(read(path))]
"""Those that a Jupyter kernel runs. The other one wants Databricks, or what `test_spark_notebook`
stands in for it, and a Spark, of which there is one at a time."""

FOR_ANY_KEYS = [path for path in HERE if PARAMETERS in all_tags(read(path))]
"""Those that run without their sample data, too."""


def stem(path: Path) -> str:
    """What a test with a notebook is called."""
    return path.stem


@pytest.fixture
def place(one_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder to run in, with the environment that a notebook's kernel gets."""
    monkeypatch.setenv("REDIS_URL", f"redis://{one_server.host}:{one_server.port}/0")
    # The kernel's own files: where it listens, and its history.
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "kernel"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "kernel"))
    for name in ("work", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    return tmp_path / "work"


@pytest.fixture
def somebody(one_client: redis.Redis) -> redis.Redis:
    """A client on a database with keys of somebody else."""
    client = one_client
    for number in range(1, 8):
        client.hset(f"user:{number}", mapping={"name": f"User {number}", "city": "Graz"})
        client.set(f"cache:{number}", f"page {number}", ex=3_600)
        client.xadd("events", {"type": "click", "user": str(number)})
        client.xadd("lakeflow", {"fields": "of another kind"})
    client.rpush("queue", "first", "second")
    client.sadd("tags", "red", "blue")
    client.zadd("leaderboard", {"alice": 10, "bob": 7.5})
    return client


@contextmanager
def left_as_it_was(client: redis.Redis, place: Path) -> Iterator[None]:
    """Fail where keys or files are others afterwards."""
    before = everything(client)
    yield
    assert everything(client) == before
    # matplotlib and the kernel leave folders of their own, some of them empty.
    for folder in (place, place.parent / "temporary"):
        assert [path for path in folder.rglob("*") if path.is_file()] == []


def everything(client: redis.Redis) -> dict[Any, Any]:
    """All keys with their values, and whether each expires."""
    return {key: (client.dump(key), client.ttl(key) > 0) for key in client.scan_iter()}


def test_there_are_notebooks() -> None:
    """So that an empty folder does not pass."""
    assert FOR_ANY_KEYS
    assert len(HERE) == len(PATHS) - 1


@pytest.mark.parametrize("path", HERE, ids=stem)
def test_runs_shows_a_picture_and_tidies_up(path: Path, somebody: redis.Redis, place: Path) -> None:
    """No cell raises, which `execute` would pass on, and at least one output is an image."""
    with left_as_it_was(somebody, place):
        assert pictures(read(path), place) > 0


@pytest.mark.parametrize("path", FOR_ANY_KEYS, ids=stem)
def test_only_reads_where_the_sample_data_is_left_out(
    path: Path, somebody: redis.Redis, place: Path
) -> None:
    """As its text promises to those who look at what is theirs."""
    with left_as_it_was(somebody, place):
        assert pictures(without_sample_data(read(path)), place) > 0


@pytest.mark.parametrize("path", PATHS, ids=stem)
def test_is_kept_without_outputs(path: Path) -> None:
    """So that a diff shows what somebody wrote, and nothing of the machine it ran on."""
    cells = read(path).cells
    assert not [cell.id for cell in cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.parametrize("path", PATHS, ids=stem)
def test_has_only_tags_that_mean_something(path: Path) -> None:
    assert all_tags(read(path)) <= TAGS


@pytest.mark.parametrize("path", PATHS, ids=stem)
def test_cells_that_write_say_so(path: Path) -> None:
    """By a comment, which is what a reader sees, as by the tag, which is what the tests see."""
    cells = read(path).cells
    tagged = [cell.id for cell in cells if SAMPLE_DATA in tags(cell)]
    assert tagged == [cell.id for cell in cells if cell.source.startswith("# Sample data")]
    assert tagged


def test_the_databricks_notebook_is_the_same_in_both_formats() -> None:
    wanted = databricks_source.source(read(databricks_source.NOTEBOOK))
    found = databricks_source.SOURCE.read_text()
    assert found == wanted, "run `python -m tests.databricks_source --write`"


def test_the_cells_of_the_databricks_notebook_are_found_again() -> None:
    notebook = read(databricks_source.NOTEBOOK)
    text = databricks_source.source(notebook)
    lines = text.splitlines()
    found = list(databricks_source.cells(text))
    for cell, original in zip(found, notebook.cells, strict=True):
        assert lines[cell.line] == cell.text.splitlines()[0]
        assert cell.is_text == (original.cell_type == "markdown")
        assert cell.for_databricks_only == (DATABRICKS_ONLY in tags(original))
        if not cell.is_text and not cell.for_databricks_only:
            assert cell.text == original.source
