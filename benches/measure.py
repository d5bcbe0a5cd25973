"""Runs contestants in processes of their own, and reckons figures from what these measured."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from benches.child import Sample
from benches.data import Contents
from benches.reading import Contestant


class WrongRowsError(Exception):
    """A contestant did not read what is there, so its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one contestant's runs over one table came to."""

    contestant: Contestant
    table: str
    rows: int
    """Rows of the whole table."""
    scale: float
    """How many times what was read the whole table is; 1 where it was read whole."""
    samples: tuple[Sample, ...]
    imports_bytes: int
    """Peak memory of a process that only imports what the contestant needs."""

    @property
    def best(self) -> Sample:
        """The run with the least wall time."""
        return min(self.samples, key=lambda sample: sample.wall_seconds)

    @property
    def wall_seconds(self) -> float:
        """Wall time for the whole table."""
        return self.best.wall_seconds * self.scale

    @property
    def server_seconds(self) -> float:
        """CPU time of the server for the whole table, in the best run."""
        return self.best.server_seconds * self.scale

    @property
    def rows_per_second(self) -> float:
        """How fast it is."""
        return self.rows / self.wall_seconds

    @property
    def wall_over_server(self) -> float:
        """How long one waits for each second that the server works; 1 is the server's limit."""
        return self.wall_seconds / self.server_seconds

    @property
    def process_bytes(self) -> int:
        """Peak memory of the whole process, the largest of all runs."""
        return max(sample.peak_bytes for sample in self.samples)

    @property
    def peak_bytes(self) -> int:
        """Peak memory over that of importing alone."""
        return self.process_bytes - self.imports_bytes


def run_child(url: str, contestant: Contestant, *table: str) -> Sample:
    """Measure one read in a fresh process."""
    command = [sys.executable, "-m", "benches.child", url, contestant.name, *table]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Sample(**json.loads(done.stdout))


def measure_table(
    url: str, table: str, contents: Contents, contestants: list[Contestant]
) -> Iterator[Result]:
    """Measure each contestant that can read the table.

    Raises:
        WrongRowsError: one did not read all rows that are there.
    """
    for contestant in contestants:
        if table not in contestant.tables:
            continue
        imports = run_child(url, contestant)
        samples = tuple(run_child(url, contestant, table) for _ in range(contestant.runs))
        keys, rows = contents.keys[table], contents.rows[table]
        scale = keys / (samples[0].keys or keys)
        for sample in samples:
            if round(sample.rows * scale) != rows:
                message = (
                    f"{contestant.name} read {sample.rows:,} rows of {table}; {rows:,} are there"
                )
                raise WrongRowsError(message)
        yield Result(contestant, table, rows, scale, samples, imports.peak_bytes)
