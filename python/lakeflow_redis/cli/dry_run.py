"""What `ingest --dry-run` prints."""

import json
from dataclasses import asdict

import click

from lakeflow_redis.cli.screen import show
from lakeflow_redis.ingest import TableSpec, starts_of
from lakeflow_redis.pipeline import Pipeline
from lakeflow_redis.pipeline.estimate import Estimate, Estimates, estimate

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")

STEP = 1000
"""From one of them to the next."""


def dry_run(pipeline: Pipeline, *, as_json: bool) -> None:
    """Say what a run would read, and about how much. Writes nothing."""
    connector = pipeline.connector()
    tables = pipeline.tables or tuple(map(TableSpec, connector.list_tables()))
    starts = starts_of(
        connector,
        pipeline.resolved_lake(),
        tables,
        mode=pipeline.mode,
        evolve=pipeline.evolve,
    )
    found = estimate(connector, tables, pipeline.connection, starts)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    show([_row(each) for each in found.tables])
    click.echo(_basis(found), err=True)


def _basis(found: Estimates) -> str:
    if found.is_whole:
        return (
            f"All {found.sampled_keys:,} keys that can be read were looked at, and some of each table "
            "looked into."
        )
    return (
        f"These are estimates, from {found.sampled_keys:,} of {found.total_keys:,} keys "
        f"({found.sampled_keys / found.total_keys:.1%}), of which some were looked into."
    )


def _row(each: Estimate) -> dict[str, object]:
    return {
        "table": each.table,
        "name": each.name,
        "keys": _keys(each),
        "rows": _rows(each),
        "memory": None if each.memory_bytes is None else _size(each.memory_bytes),
        "from": "beginning" if each.start is None else "last-run",
        "which": each.pattern,
    }


def _keys(each: Estimate) -> str | None:
    if each.keys is None:
        return None
    if each.fewer_than is not None:
        return f"<{each.fewer_than}"
    return f"{'' if each.is_counted else '~'}{each.keys}"


def _rows(each: Estimate) -> str | None:
    if each.rows is None or each.fewer_than is not None:
        return None
    return f"{'>=' if each.is_least else '~'}{each.rows}"


def _size(count: int) -> str:
    """Bytes to read: in the unit that leaves up to three digits before the point."""
    size = float(count)
    for unit in UNITS[:-1]:
        if size < STEP:
            return f"~{size:.0f}{unit}" if unit == "B" else f"~{size:.1f}{unit}"
        size /= STEP
    return f"~{size:.1f}{UNITS[-1]}"
