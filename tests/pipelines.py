"""Running a Spark Declarative Pipelines project in a folder of its own, and reading its tables."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from tests.servers import HOST

EXAMPLE = Path(__file__).parent.parent / "examples" / "pipeline"

COMPLETED = "Run is COMPLETED."

CONF = {
    "spark.ui.enabled": "false",
    "spark.eventLog.enabled": "true",
    "spark.eventLog.compress": "false",
    # What it listens on is nobody else's business.
    "spark.driver.bindAddress": HOST,
    "spark.driver.host": HOST,
    "spark.connect.grpc.binding.address": HOST,
}
"""Besides what the example's own command says; as properties of Java, for of many that are given
by `--conf` Spark 4.3.0 keeps the last ten."""

RUN_SECONDS = 500.0
"""A run takes a minute, mostly to start Spark, and several where other tests take the processors."""


@dataclass(frozen=True)
class Project:
    """A copy of the example, with all that its runs leave behind beside it.

    Args:
        folder: an empty one.
        url: what the example finds as `REDIS_URL`.
    """

    folder: Path
    url: str

    def run(self) -> str:
        """Run the pipeline.

        Returns:
            What it printed.

        Raises:
            AssertionError: it did not come to its end.
        """
        spec = self._spec()
        events = self.folder / "events"
        events.mkdir(exist_ok=True)
        conf = CONF | {"spark.eventLog.dir": events.as_uri()}
        program = Path(sys.executable).with_name("spark-pipelines")
        catalog = "spark.sql.catalogImplementation=hive"
        done = subprocess.run(
            [program, "run", "--conf", catalog, "--remote", "local[2]", "--spec", spec],
            cwd=self.folder,
            env=os.environ
            | {
                "REDIS_URL": self.url,
                "JAVA_TOOL_OPTIONS": " ".join(
                    [os.environ["JAVA_TOOL_OPTIONS"], *(f"-D{name}={conf[name]}" for name in conf)]
                ),
                "PYSPARK_PYTHON": sys.executable,
                # For a free port instead of 15002.
                "SPARK_TESTING": "1",
                "PYTHONPATH": os.pathsep.join(sys.path),
                "SPARK_LOCAL_IP": HOST,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        output: str = done.stdout
        # Spark 4.3.0 fails afterwards for any Python data source (SPARK-59135).
        assert COMPLETED in output, output[-10_000:]
        return output

    def table(self, name: str) -> list[dict[str, Any]]:
        """The rows of one of its tables."""
        files = sorted((self.folder / "spark-warehouse" / name).glob("*.parquet"))
        rows: list[dict[str, Any]] = pa.Table.to_pylist(ds.dataset(files).to_table())
        return rows

    def files(self) -> list[Path]:
        """All files in the folder."""
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def _spec(self) -> Path:
        project = self.folder / "project"
        shutil.copytree(EXAMPLE, project, dirs_exist_ok=True)
        spec = project / "spark-pipeline.yml"
        storage = f"storage: {(self.folder / 'storage').as_uri()}"
        text, places = re.subn(r"^storage: \S+", storage, spec.read_text(), flags=re.MULTILINE)
        assert places == 1
        spec.write_text(text)
        return spec
