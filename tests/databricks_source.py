"""A notebook in Databricks' own format, a Python file: `python -m tests.databricks_source --write`.

`notebooks/05_databricks.ipynb` is where it is changed, and `05_databricks.py` is made from it. Its
cells are divided by a line of their own. What is not Python, as text and `%pip`, is in comments that
begin with `# MAGIC`, and a cell's title stands in its first line.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from tests.notebooks import DATABRICKS_ONLY, FOLDER, read, tags

NOTEBOOK = FOLDER / "05_databricks.ipynb"
SOURCE = NOTEBOOK.with_suffix(".py")

FIRST_LINE = "# Databricks notebook source\n"
DIVIDER = "\n\n# COMMAND ----------\n\n"
MAGIC = "# MAGIC"
TITLE = "# DBTITLE 1,"

ONLY = "Databricks only"
"""The title of the cells that have the tag for it, so that one sees it in Databricks as well."""


@dataclass(frozen=True)
class Cell:
    """A cell of the Python file."""

    text: str
    line: int
    """The file's lines before it."""

    @property
    def for_databricks_only(self) -> bool:
        """Whether it cannot run anywhere else."""
        return self.text.startswith(f"{TITLE}{ONLY}\n")

    @property
    def is_text(self) -> bool:
        """Whether it is there to be read, and no code."""
        return self.text.startswith(f"{MAGIC} %md\n")


def source(notebook: NotebookNode) -> str:
    """The notebook as a Python file."""
    return FIRST_LINE + DIVIDER.join(_text(cell) for cell in notebook.cells) + "\n"


def cells(text: str) -> Iterator[Cell]:
    """The cells of a Python file.

    Raises:
        ValueError: it is no notebook.
    """
    if not text.startswith(FIRST_LINE):
        raise ValueError(f"a notebook of Databricks begins with {FIRST_LINE!r}")
    line = FIRST_LINE.count("\n")
    for part in text.removeprefix(FIRST_LINE).removesuffix("\n").split(DIVIDER):
        yield Cell(part, line)
        line += part.count("\n") + DIVIDER.count("\n")


def _text(cell: NotebookNode) -> str:
    text: str = cell.source
    if cell.cell_type == "markdown":
        text = f"%md\n{text}"
    # As Databricks writes it: Python below a magic command is commented out with it.
    if text.startswith("%"):
        text = "\n".join(f"{MAGIC} {line}".rstrip() for line in text.splitlines())
    return f"{TITLE}{ONLY}\n{text}" if DATABRICKS_ONLY in tags(cell) else text


def main(arguments: Sequence[str], to: Path = SOURCE) -> int:
    """Say whether the Python file is as it must be, or with `--write` make it so."""
    wanted = source(read(NOTEBOOK))
    if list(arguments) == ["--write"]:
        to.write_text(wanted)
        return 0
    if to.read_text() != wanted:
        print(f"{to} is out of date; run `python -m tests.databricks_source --write`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
