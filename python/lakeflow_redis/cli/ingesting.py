"""The command `ingest`."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click

from lakeflow_redis._core import option_specs
from lakeflow_redis.cli.bars import progress
from lakeflow_redis.cli.dry_run import dry_run
from lakeflow_redis.cli.failures import FAILED
from lakeflow_redis.cli.logs import LEVELS, logging_to_stderr
from lakeflow_redis.cli.options import (
    HeadedCommand,
    on_command_line,
    variable,
    with_options,
)
from lakeflow_redis.cli.screen import printable
from lakeflow_redis.cli.summary import report_as_json, report_as_text
from lakeflow_redis.ingest import FileFormat, Lake, Mode, TableSpec
from lakeflow_redis.pipeline import Pipeline, load, parse_interval, references
from lakeflow_redis.pipeline.running import Runs
from lakeflow_redis.pipeline.schedule import Stop, repeat

CONNECTOR = {spec["name"] for spec in option_specs()}
"""Parameters that are options of the connector."""


EPILOG = """\
\b
Exit codes:
    0  all landed
    1  at least one table did not; with --every, in the last run
    2  the command, its options or the pipeline file are wrong; nothing was read
  130  broken off by Ctrl-C
  143  broken off by a second SIGTERM
The first SIGTERM lets the run at hand end, and begins no other. What is
broken off commits nothing more.

\b
With --json, a run is an object of
  started_at, seconds, status (done, failed or interrupted), error, and
  tables: a list of objects of table, name, mode, rows, rejected, seconds,
    status (landed, unchanged or failed), version, committed, offset_version,
    changes (null, or inserted, updated and deleted), start and end (offsets),
    server_cpu_seconds, server_version, receipt (of the read), error
"""


def storage_options(
    _context: click.Context, _parameter: click.Parameter, given: Sequence[str]
) -> dict[str, str]:
    """`NAME=VALUE`, as click hands it over, as a dict."""
    pairs = [each.partition("=") for each in given]
    for name, equals, _ in pairs:
        if not name or not equals:
            # Without what was given, which may be a secret.
            raise click.BadParameter("it must be NAME=VALUE")
    return {name: value for name, _, value in pairs}


with_storage_options = click.option(
    "--storage-option",
    multiple=True,
    metavar="NAME=VALUE",
    callback=storage_options,
    help="For a lake at a URL, such as AWS_ENDPOINT_URL=https://…; may be given several times. Keep "
    "secrets off the command line: write {{ NAME }} for an environment variable.",
)


@click.command(cls=HeadedCommand, epilog=EPILOG)
@click.argument("pipeline", required=False, type=click.Path(path_type=Path))
@click.option(
    "--to",
    metavar="FOLDER|URL",
    help="The lake: a folder, or s3://bucket/prefix; each table is in a folder in it.",
)
@click.option("--tables", metavar="NAME,NAME,…", help="Which tables.  [default: all]")
@click.option(
    "--write-mode",
    type=click.Choice(get_args(Mode)),
    help="What becomes of the rows that are there; streams are appended to whatever it says.  "
    "[default: replace]",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(get_args(FileFormat)),
    help="How tables are stored.  [default: delta]",
)
@with_storage_options
@click.option(
    "--evolve/--no-evolve",
    default=None,
    help="Whether tables that are there may get other columns.  [default: no]",
)
@click.option(
    "--quarantine/--no-quarantine",
    default=None,
    help="Whether rows that are no text go to a table of their own.  [default: no]",
)
@click.option("--every", metavar="5m", help="Run again and again, so often: 90s, 5m, 2h, 1d.")
@click.option("--once", is_flag=True, help="Run once, also where the file says how often.")
@click.option(
    "--dry-run", "is_dry", is_flag=True, help="Say what would be read, and write nothing."
)
@click.option("--json", "as_json", is_flag=True, help="Print each run as a JSON object on a line.")
@click.option(
    "--log-level", type=click.Choice(LEVELS), help="Show the log, from this level on, on stderr."
)
@with_options
def ingest(  # noqa: PLR0913 - click hands over every option by its name.
    options: dict[str, str],
    *,
    pipeline: Path | None,
    evolve: bool | None,
    quarantine: bool | None,
    every: str | None,
    once: bool,
    is_dry: bool,
    as_json: bool,
    log_level: str | None,
    **flags: Any,
) -> None:
    """Land tables in a lake, as Delta tables or Parquet files.

    What to read, and how, says a PIPELINE file in TOML, which `lakeflow-redis init` writes, or else the
    options. Snapshot tables are replaced, in one commit each, unless a mode says otherwise. Streams are
    appended to, from where the last run ended.
    """
    if every is not None and (once or is_dry):
        raise click.UsageError("--every is for more runs than one; leave out --once and --dry-run")
    what = _of_flags(options, flags) if pipeline is None else _of_file(pipeline, flags)
    what = what.with_settings(
        evolve=evolve,
        quarantine=quarantine,
        every=None if every is None else parse_interval(every),
        once=once,
    )
    for warning in what.warnings:
        click.echo(f"warning: {printable(str(warning))}", err=True)
    if is_dry:
        dry_run(what, as_json=as_json)
        return
    report = report_as_json if as_json else partial(report_as_text, is_logged=log_level is not None)
    with logging_to_stderr(log_level), Stop() as stop:
        failed = repeat(Runs(what, report, progress), what.every, stop)
    if failed:
        click.get_current_context().exit(FAILED)


def _of_flags(options: Mapping[str, str], flags: Mapping[str, Any]) -> Pipeline:
    if flags["to"] is None:
        raise click.UsageError("say where to, by --to, or give a pipeline file")
    tables = None
    if flags["tables"] is not None:
        names = dict.fromkeys(name.strip() for name in flags["tables"].split(","))
        tables = tuple(map(TableSpec, names))
    return Pipeline(
        connection=options,
        lake=Lake(flags["to"], flags["file_format"] or "delta", flags["storage_option"]),
        tables=tables,
        mode=flags["write_mode"],
    )


def _of_file(path: Path, flags: Mapping[str, Any]) -> Pipeline:
    if contradicting := on_command_line(CONNECTOR | flags.keys()):
        raise click.UsageError(
            f"{', '.join(contradicting)}: the pipeline file says this; give either one or the other"
        )
    if not path.is_file():
        # Not by click, which would look for it wherever a command is only taken apart.
        raise click.UsageError(f"there is no pipeline file {path}")
    pipeline = load(path, environment=os.environ)
    said = references.names(path.read_text(errors="replace"))
    named = map(variable, sorted(CONNECTOR))
    ignored = [name for name in named if name in os.environ and name not in said]
    if ignored:
        click.echo(
            f"warning: {', '.join(ignored)}: not used, since the pipeline file says all; it may "
            f"refer to it as {{{{ {ignored[0]} }}}}",
            err=True,
        )
    return pipeline
