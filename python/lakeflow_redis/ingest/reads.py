"""Which tables are read in one go, and what comes out of it for each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lakeflow_redis._core import LakeflowConnect, TableBatches
from lakeflow_redis.ingest.decoding import Decoder
from lakeflow_redis.ingest.landing import Landing
from lakeflow_redis.ingest.model import TableSpec
from lakeflow_redis.ingest.rejects import Rejects

BYTES = {"value_type": "binary"}
"""Options for a read in which nothing is undecodable."""

KEY = "key_name"
"""The column that tables of keys have. One that leaves it out goes alone, which costs no more than time."""


@dataclass(frozen=True, slots=True)
class Job:
    """One table of a run."""

    spec: TableSpec
    landing: Landing
    rejects: Rejects | None
    """Where rows go that are no text, or None where `invalid_utf8` says what becomes of them."""

    @property
    def options(self) -> Mapping[str, str]:
        """Options for reading it."""
        return self.spec.options if self.rejects is None else {**self.spec.options, **BYTES}


def shared(jobs: Sequence[Job]) -> list[list[Job]]:
    """Put together the tables that one scan of the keys can serve: those with the same options.

    What needs no such scan goes alone, for what may be wrong with it is not to hold up the others: a table that is read
    on, which is planned by a scan of its own, and one that is not of keys.
    """
    groups: list[list[Job]] = []
    for job in jobs:
        for group in groups:
            if _fits(job, group):
                group.append(job)
                break
        else:
            groups.append([job])
    return groups


def _fits(job: Job, group: Sequence[Job]) -> bool:
    return (
        all(KEY in each.landing.place.schema.names for each in (job, group[0]))
        and "append" not in {job.landing.mode, group[0].landing.mode}
        and dict(job.options) == dict(group[0].options)
        and job.spec.table not in {other.spec.table for other in group}
    )


class Read:
    """One read of several tables, which goes on as its batches are asked for.

    Args:
        connector: what to read.
        jobs: the tables, all with the same options.

    Raises:
        LakeflowRedisError: the read cannot begin.
    """

    def __init__(self, connector: LakeflowConnect, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        """The tables."""
        self._jobs = {job.spec.table: job for job in jobs}
        starts = {table: job.landing.start for table, job in self._jobs.items()}
        options = jobs[0].options
        self._batches: TableBatches
        self._batches, self._ends = connector.read_tables([*starts], starts, options)
        self._decoders = {
            table: Decoder(
                pa.schema(connector.get_table_schema(table, job.spec.options)),
                pa.schema(self._batches.schemas[table]),
            )
            for table, job in self._jobs.items()
            if job.rejects is not None
        }

    def __iter__(self) -> Iterator[tuple[Job, pa.RecordBatch]]:
        """The rows of all tables, batch by batch; those that are no text go to the rejects."""
        for table, batch in self._batches:
            job = self._jobs[table]
            if job.rejects is None:
                yield job, batch
                continue
            rows, rejected = self._decoders[table].decode(batch)
            if rejected is not None:
                job.rejects.add(rejected)
            yield job, rows

    def end_of(self, job: Job) -> dict[str, Any]:
        """The offset after a table's rows."""
        return self._ends[job.spec.table]

    def receipt_of(self, job: Job) -> dict[str, Any]:
        """What has happened so far with a table; see `Records.receipt`."""
        return self._batches.receipts[job.spec.table]
