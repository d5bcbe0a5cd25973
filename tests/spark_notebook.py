"""The Databricks notebook on a Spark that is not Databricks; run by `test_spark_notebook`.

`python -m tests.spark_notebook FOLDER` runs the cells of the Python file, which is what is imported
into a workspace, but for those that only Databricks can run: what these would set or bring is given.
What the others showed is in `told.json`, and their pictures beside it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # Before anything draws.

import matplotlib.pyplot as plt
from pyspark.sql import DataFrame

from tests.databricks_source import SOURCE, cells
from tests.spark import start
from tests.spark_query import QUICK


def main(folder: Path) -> None:
    """Run the notebook, and write down what it showed."""
    spark = start(folder, **QUICK)
    displayed: list[dict[str, Any]] = []
    pictures: list[str] = []

    def display(frame: DataFrame) -> None:
        """Stand in for Databricks' own, of which the notebook shows frames only."""
        shown: Any = frame.toPandas()
        print(shown)
        displayed.append({"columns": list(shown.columns), "rows": len(shown)})

    names: dict[str, Any] = {
        "__name__": "notebook",
        "display": display,
        # What the cell about Volumes would set.
        "FOLDER": str(folder / "volume"),
        "ENTRIES": "redis_entries",
    }
    for cell in cells(SOURCE.read_text()):
        if cell.for_databricks_only or cell.is_text:
            continue
        # Lines are counted as in the file, so that a traceback points into it.
        exec(compile("\n" * cell.line + cell.text, str(SOURCE), "exec"), names)  # noqa: S102 - it is our own.
        for number in plt.get_fignums():
            pictures.append(str(folder / f"picture-{len(pictures) + 1}.png"))
            plt.figure(number).savefig(pictures[-1])
        plt.close("all")
    # `catalog.listTables` fails in Spark 4.3 where no code is generated.
    left = [row.tableName for row in spark.sql("SHOW TABLES").collect() if not row.isTemporary]
    spark.stop()
    told = {"displayed": displayed, "pictures": pictures, "tables": left}
    (folder / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
