"""The Databricks notebook runs on open-source Spark, but for the cells that only Databricks can run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import canary
from tests.databricks_source import MAGIC, SOURCE, cells
from tests.servers import Server


@pytest.mark.timeout(600)  # Most of the time Spark compiles, which others may hold up.
def test_runs_shows_pictures_and_tidies_up(one_locked_server: Server, tmp_path: Path) -> None:
    password, address = canary.QUOTED_PASSWORD, one_locked_server.address
    with one_locked_server.client() as client:
        client.flushdb()
        client.set("somebody", "else")
        done = subprocess.run(
            [sys.executable, "-m", "tests.spark_notebook", str(tmp_path)],
            env=os.environ | {"REDIS_URL": f"redis://:{password}@{address}/0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-10_000:]
        assert list(client.scan_iter()) == [b"somebody"]
    told = json.loads((tmp_path / "told.json").read_text())
    assert all(shown["rows"] > 0 for shown in told["displayed"])
    assert len(told["displayed"]) == SOURCE.read_text().count("\ndisplay(")
    assert told["pictures"]
    # Neither its table nor its checkpoint.
    assert told["tables"] == []
    assert [path for path in (tmp_path / "volume").rglob("*") if path.is_file()] == []
    canary.assert_unseen(done.stdout)


def test_only_cells_that_need_databricks_are_left_out() -> None:
    """And text; a magic command that is neither would be run as the comment that it looks like."""
    found = [cell for cell in cells(SOURCE.read_text()) if not cell.is_text]
    left_out = [cell.text for cell in found if cell.for_databricks_only]
    assert left_out
    assert all(any(word in text for word in ("dbutils", "Volumes")) for text in left_out)
    assert [cell.text for cell in found if MAGIC in cell.text and cell.text not in left_out] == []
