"""Lets contestants read a table by turns, and reckons figures from what these measured."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benches.data import Contents
from benches.reading import Contestant, Sample, Task
from benches.running import ReadFailedError, run_child


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
        return max(sample.process_bytes for sample in self.samples)

    @property
    def peak_bytes(self) -> int:
        """Peak memory over that of importing, the largest of all runs."""
        return max(sample.peak_bytes for sample in self.samples)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a contestant has no result for a table that it should be able to read."""

    contestant: Contestant
    table: str
    reason: str


Outcome = Result | Failure


def measure_table(
    url: str,
    table: str,
    contents: Contents,
    contestants: Sequence[Contestant],
    say: Callable[[str], None],
) -> Iterator[Outcome]:
    """Measure each contestant that can read the table, all by turns.

    By turns, because a machine has slow minutes: what they spoil, they spoil for everyone.

    Raises:
        WrongRowsError: one did not read all rows that are there.
    """
    able = [contestant for contestant in contestants if table in contestant.tables]
    samples: dict[str, list[Sample]] = {contestant.name: [] for contestant in able}
    failures: dict[str, Failure] = {}
    with TemporaryDirectory(prefix="lakeflow-") as folder:
        for turn in range(max((contestant.runs for contestant in able), default=0)):
            for one in able:
                if turn >= one.runs or one.name in failures:
                    continue
                task = Task(url, table, max_keys=one.sample)
                try:
                    if one.record is not None:
                        task = replace(task, recording=str(folder))
                        if turn == 0:
                            one.record(task, Path(folder))
                    sample = run_child(one, task)
                except ReadFailedError as error:
                    failures[one.name] = Failure(one, table, str(error))
                    continue
                say(f"{table}, {one.name}: {sample.wall_seconds:.2f} s")
                samples[one.name].append(sample)
    for one in able:
        if one.name in failures:
            yield failures[one.name]
        else:
            yield result(one, table, contents, samples[one.name])


def result(
    contestant: Contestant, table: str, contents: Contents, samples: Sequence[Sample]
) -> Result:
    """Check what was read.

    Raises:
        WrongRowsError: it is not what is there.
    """
    keys, rows = contents.keys[table], contents.rows[table]
    scale = keys / (samples[0].keys or keys)
    for sample in samples:
        if round(sample.rows * scale) != rows:
            message = f"{contestant.name} read {sample.rows:,} rows of {table}; {rows:,} are there"
            raise WrongRowsError(message)
    return Result(contestant, table, rows, scale, tuple(samples))
