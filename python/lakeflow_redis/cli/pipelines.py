"""The commands beside `ingest`: `init` writes a pipeline file, and `runs` tells of former runs."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from lakeflow_redis._core import LakeflowConnect, option_specs
from lakeflow_redis.cli.ingesting import with_storage_options
from lakeflow_redis.cli.options import HeadedCommand, on_command_line, variable, with_options
from lakeflow_redis.cli.screen import show
from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.ingest import Lake, read_runs, store_of
from lakeflow_redis.pipeline.file import resolved
from lakeflow_redis.pipeline.survey import MOST_KEYS, sample
from lakeflow_redis.pipeline.template import template

OF_CONNECTIONS = {spec["name"] for spec in option_specs() if spec["scope"] == "connection"}

INIT_OPTIONS = OF_CONNECTIONS | {"on_denied", "max_server_share"}
"""Options of `init`, which it writes into the file: of those for reading, the ones that choose no keys."""

SHOWN_RUNS = 10

SHOWN_COLUMNS = (
    *("started_at", "name", "table", "mode", "status", "rows", "rows_inserted", "rows_updated"),
    *("rows_deleted", "rows_rejected", "seconds", "version", "error"),
)
"""Columns that people want to see; `--json` gives all."""

IN_JSON = ("start_offset", "end_offset", "gaps", "warnings")
"""Columns that are JSON in the table already."""


@click.command(cls=HeadedCommand)
@click.argument("file", default="pipeline.toml", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option(
    "--sample",
    "most",
    type=click.IntRange(min=1),
    default=MOST_KEYS,
    show_default=True,
    help="About how many keys to look at.",
)
@lambda command: with_options(command, INIT_OPTIONS)
def init(options: dict[str, str], *, file: Path, force: bool, most: int) -> None:
    """Write a pipeline FILE for what is in a server.

    Looks at the names and types of some keys, and writes a table for each type and prefix (what stands
    before the first colon), with comments on what may be changed. Secrets are not written: the file
    refers to environment variables.
    """
    if file.exists() and not force:
        raise ConfigurationError(f"{file} is there already; --force replaces it")
    connector = LakeflowConnect(options)
    facts = connector.inspect()
    server = [
        f"{node['product']} {node['version']} at {node['address']}, {node['keys']:,} keys"
        for node in facts["nodes"]
    ]
    found = sample(connector, most)
    text = template(found, server, options, {name: _reference(name) for name in options})
    _write(file, text)
    click.echo(f"wrote {file}: {_looked_at(len(found.keys), found.total)}")


def _reference(name: str) -> str:
    """The variable that stands for an option in a file: the one that it came from, or a new one."""
    return f"REDIS_{name.upper()}" if on_command_line({name}) else variable(name)


def _looked_at(keys: int, total: int) -> str:
    return f"looked at {keys:,} of {total:,} keys"


def _write(file: Path, text: str) -> None:
    """Write a file that appears when it is complete."""
    partial = file.with_name(f"{file.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


@click.command
@click.argument("lake", metavar="FOLDER|URL")
@click.option(
    "--last",
    type=click.IntRange(min=1),
    default=SHOWN_RUNS,
    show_default=True,
    help="How many runs to show at most; each has a row for each table.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each as a JSON object on a line.")
@with_storage_options
def runs(lake: str, *, last: int, as_json: bool, storage_option: dict[str, str]) -> None:
    """Show the last runs that landed in a lake, the newest first.

    They are the rows of the Delta table `_lakeflow_runs` in it.
    """
    store = store_of(resolved(Lake(lake, storage_options=storage_option)))
    if not store.names():
        raise ConfigurationError(f"there is nothing at {lake}")
    rows = read_runs(store, last).to_pylist()
    if as_json:
        for row in rows:
            click.echo(json.dumps(_as_json(row)))
    elif rows:
        show([_shown(row) for row in rows])
    else:
        click.echo(f"no run has landed anything in {lake}", err=True)


def _as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: _plain(value) for name, value in row.items()}
    for name in IN_JSON:
        if found[name] is not None:
            with suppress(ValueError):
                found[name] = json.loads(found[name])
    return found


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _shown(row: Mapping[str, Any]) -> dict[str, object]:
    shown = {name: row[name] for name in SHOWN_COLUMNS}
    shown["started_at"] = row["started_at"].isoformat(timespec="seconds")
    shown["seconds"] = f"{row['seconds']:.2f}"
    return shown
