"""What `ingest` says of its runs: to people line by line, to machines as JSON."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click

from lakeflow_redis.cli.failures import FailedError
from lakeflow_redis.cli.screen import printable, show
from lakeflow_redis.ingest import TableResult, status
from lakeflow_redis.pipeline.running import Report


def report_as_json(report: Report) -> None:
    """Print a run as a JSON object on one line."""
    click.echo(json.dumps(report.as_json()))


def report_as_text(report: Report, *, is_logged: bool) -> None:
    """Print a run's tables, and on stderr what was left out and what failed.

    Args:
        report: the run.
        is_logged: whether the log says the latter.
    """
    if report.results:
        show([_row(result) for result in report.results])
    if is_logged:
        return
    for result in report.results:
        if result.receipt:
            show_warnings(result.receipt)
    for error in _errors(report):
        FailedError(error).show()


def show_warnings(receipt: Mapping[str, Any]) -> None:
    """Print on stderr what a read left out."""
    if denied := receipt["keys_denied"]:
        keys = "1 key" if denied == 1 else f"{denied:,} keys"
        click.echo(f"{receipt['table']}: left out {keys} that the user may not read", err=True)
    for warning in receipt["warnings"]:
        click.echo(f"warning: {printable(warning)}", err=True)


def _row(result: TableResult) -> dict[str, object]:
    changes = result.changes
    return {
        "table": result.table,
        "name": result.name,
        "mode": result.mode,
        "status": status(result),
        "rows": result.rows,
        "changes": None
        if changes is None
        else f"+{changes.inserted},~{changes.updated},-{changes.deleted}",
        "rejected": result.rejected,
        "seconds": f"{result.seconds:.2f}",
        "version": result.version,
    }


def _errors(report: Report) -> Iterable[Exception]:
    """What went wrong. Tables that were read in one go have one error together."""
    found = [result.error for result in report.results] + [report.error]
    return {str(error): error for error in found if error is not None}.values()
