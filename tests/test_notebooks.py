"""Every notebook runs from top to bottom against a real server, and shows a picture."""

from pathlib import Path

import nbformat
import pytest
import redis
from nbclient import NotebookClient

from tests.servers import Server

NOTEBOOKS = sorted(Path(__file__).parents[1].joinpath("notebooks").glob("*.ipynb"))

CELL_SECONDS = 120
"""Until a cell that hangs fails."""


def read(path: Path) -> nbformat.NotebookNode:
    """The notebook in a file."""
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def test_there_are_notebooks() -> None:
    """So that an empty folder does not pass."""
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_shows_a_picture(
    path: Path,
    one_server: Server,
    one_client: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No cell raises, which `execute` would pass on, and at least one output is an image."""
    assert one_client.dbsize() == 0
    monkeypatch.setenv("REDIS_URL", f"redis://{one_server.host}:{one_server.port}/0")
    # The kernel's own files: where it listens, and its history.
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = read(path)
    NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_kept_without_outputs(path: Path) -> None:
    """So that a diff shows what somebody wrote, and nothing of the machine it ran on."""
    cells = read(path).cells
    assert not [cell.id for cell in cells if cell.get("outputs") or cell.get("execution_count")]
