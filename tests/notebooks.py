"""The notebooks: where they are, what the tags of their cells mean, and running one."""

from copy import deepcopy
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))

SAMPLE_DATA = "sample-data"
"""On cells that write to Redis: who reads their own keys leaves these out."""

PARAMETERS = "parameters"
"""On the cell that sets KEY_PATTERN, in notebooks that run without their sample data as well."""

DATABRICKS_ONLY = "databricks-only"
"""On cells that nothing but Databricks can run: `%pip`, `dbutils`, Volumes."""

TAGS = {SAMPLE_DATA, PARAMETERS, DATABRICKS_ONLY}

CELL_SECONDS = 120
"""Until a cell that hangs fails."""


def read(path: Path) -> NotebookNode:
    """The notebook in a file.

    Raises:
        nbformat.ValidationError: it is no valid notebook; two cells have the same id, for example.
    """
    notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return notebook


def tags(cell: NotebookNode) -> set[str]:
    """The tags of a cell."""
    return set(cell.metadata.get("tags", []))


def all_tags(notebook: NotebookNode) -> set[str]:
    """The tags that any of its cells has."""
    return {tag for cell in notebook.cells for tag in tags(cell)}


def without_sample_data(notebook: NotebookNode) -> NotebookNode:
    """The notebook as somebody has it who reads all keys of their own Redis, as its text says."""
    changed = deepcopy(notebook)
    changed.cells = [cell for cell in notebook.cells if SAMPLE_DATA not in tags(cell)]
    (place,) = [n for n, cell in enumerate(changed.cells) if PARAMETERS in tags(cell)]
    chosen: NotebookNode = nbformat.v4.new_code_cell('KEY_PATTERN = "*"')  # type: ignore[no-untyped-call]
    changed.cells.insert(place + 1, chosen)
    return changed


def pictures(notebook: NotebookNode, folder: Path) -> int:
    """Run a notebook from top to bottom in a folder.

    Returns:
        How many pictures it shows.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised.
    """
    NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        startup_timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)
