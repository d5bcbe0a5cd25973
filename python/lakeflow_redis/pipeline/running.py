"""Runs of a pipeline: each reads and lands, and is reported of whatever comes."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from lakeflow_redis._core import LakeflowConnect
from lakeflow_redis.exceptions import ConfigurationError, LakeflowRedisError
from lakeflow_redis.ingest import OnProgress, TableResult, TableSpec, ingest_each, status
from lakeflow_redis.pipeline.file import Pipeline
from lakeflow_redis.pipeline.probe import CAP
from lakeflow_redis.pipeline.references import resolve
from lakeflow_redis.pipeline.schedule import Outcome

LOGGER = logging.getLogger("lakeflow_redis.ingest")


@dataclass
class Report:
    """What a run did, up to now."""

    started_at: datetime
    seconds: float = 0.0
    results: list[TableResult] = field(default_factory=list)
    error: Exception | None = None
    """Why there is no result for some tables, or none at all; None where there is one for each."""
    is_broken_off: bool = False
    """Whether it was interrupted."""

    @property
    def failed(self) -> bool:
        """Whether anything was to land and did not."""
        return (
            self.is_broken_off
            or self.error is not None
            or any(result.error is not None for result in self.results)
        )

    @property
    def status(self) -> str:
        """`done`, `failed` or `interrupted`."""
        if self.is_broken_off:
            return "interrupted"
        return "failed" if self.failed else "done"

    def as_json(self) -> dict[str, Any]:
        """What `lakeflow-redis ingest --json` prints."""
        return {
            "started_at": self.started_at.isoformat(),
            "seconds": round(self.seconds, 3),
            "status": self.status,
            "error": _text(self.error),
            "tables": [_table_as_json(result) for result in self.results],
        }


class Runs:
    """Runs a pipeline, as often as it is called.

    Args:
        pipeline: what to do.
        report: hears of every run, also of one that is broken off.
        watching: gives, for each run, what hears of every batch that was written.

    Raises:
        ConfigurationError: an option is not valid, or an environment variable is not set.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        report: Callable[[Report], None],
        watching: Callable[[], AbstractContextManager[OnProgress | None]] = nullcontext,
    ) -> None:
        self._pipeline = pipeline
        self._report = report
        self._watching = watching
        self._connector = pipeline.connector()
        self._lake = pipeline.resolved_lake()
        tables = pipeline.tables or tuple(map(TableSpec, LakeflowConnect.list_tables()))
        self._specs = {spec.name or spec.table: spec for spec in tables}
        self._has_begun = False

    def __call__(self, only: frozenset[str] | None = None) -> Outcome:
        """Read and land once.

        Args:
            only: the names of the tables in the lake; None means all.

        Raises:
            ConfigurationError: it never began, and never will. Of a later run it is what failed.
        """
        report = Report(datetime.now(UTC))
        began = time.monotonic()
        try:
            self._run(report, only)
        except KeyboardInterrupt:
            report.is_broken_off = True
            raise
        except (LakeflowRedisError, OSError) as error:
            if isinstance(error, ConfigurationError) and not self._has_begun:
                raise
            LOGGER.error("the run failed: %s", error)  # noqa: TRY400 - it is expected.
            report.error = error
        finally:
            report.seconds = time.monotonic() - began
            # As they were asked for: tables that can be read in one go come before others.
            order = list(self._specs)
            report.results.sort(key=lambda result: order.index(result.name))
            if self._has_begun or report.error is not None or report.is_broken_off:
                self._report(report)
        return Outcome(report.failed, frozenset(filter(None, map(self._left, report.results))))

    def _run(self, report: Report, only: frozenset[str] | None) -> None:
        with self._watching() as on_progress:
            results = ingest_each(
                self._connector,
                self._lake,
                [spec for name, spec in self._specs.items() if only is None or name in only],
                on_progress=on_progress,
                mode=self._pipeline.mode,
                evolve=self._pipeline.evolve,
                quarantine=self._pipeline.quarantine,
            )
            self._has_begun = True
            for result in results:
                report.results.append(result)

    def _left(self, result: TableResult) -> str | None:
        """The name of a table of which a cap may have left entries behind."""
        if result.mode != "append" or result.error is not None:
            return None
        options = self._specs[result.name].options
        cap = options.get(CAP, self._pipeline.connection.get(CAP))
        if cap is None:
            return None
        read = result.receipt["rows"] + result.receipt["rows_skipped"]
        return result.name if read >= int(resolve(cap, os.environ)) else None


def _table_as_json(result: TableResult) -> dict[str, Any]:
    changes = result.changes
    return {
        "table": result.table,
        "name": result.name,
        "mode": result.mode,
        "status": status(result),
        "rows": result.rows,
        "rejected": result.rejected,
        "changes": None if changes is None else asdict(changes),
        "seconds": round(result.seconds, 3),
        "version": result.version,
        "committed": result.committed,
        "start": result.start,
        "end": result.end,
        "offset_version": result.offset_version,
        "server_cpu_seconds": result.server_cpu_seconds,
        "server_version": result.server_version,
        "receipt": dict(result.receipt),
        "error": _text(result.error),
    }


def _text(error: Exception | None) -> str | None:
    return None if error is None else str(error)
