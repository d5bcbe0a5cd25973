"""The commands of `lakeflow-redis`."""

import json
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from lakeflow_redis import LakeflowConnect, LakeflowRedisWarning, Records, __version__
from lakeflow_redis._core import acl_rules, sentinel_acl_rules
from lakeflow_redis.cli.bars import progress
from lakeflow_redis.cli.destination import destination
from lakeflow_redis.cli.failures import Failing
from lakeflow_redis.cli.formats import FORMATS, ending
from lakeflow_redis.cli.ingesting import ingest
from lakeflow_redis.cli.inspection import printed
from lakeflow_redis.cli.options import HeadedCommand, with_connector
from lakeflow_redis.cli.pipelines import init, runs
from lakeflow_redis.cli.screen import on_terminal, show
from lakeflow_redis.cli.summary import show_warnings

TABLE_ROWS = 20
"""Rows that `--format table` shows unless told otherwise: nobody looks at more."""


@click.group(
    cls=Failing,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Each option of the server and of reading, such as --key-pattern, may also come from "
    "the environment, as LAKEFLOW_REDIS_KEY_PATTERN. Exit codes: 0 done, 1 failed, 2 wrong usage "
    "or options, 130 interrupted, 143 broken off by SIGTERM.",
)
@click.version_option(__version__, message="lakeflow-redis %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Read everything in Redis as tables, and land it in a lake."""
    # They stand in the receipts too, from which they are shown in a line of our own.
    context.with_resource(warnings.catch_warnings())
    warnings.simplefilter("ignore", LakeflowRedisWarning)


for command in (ingest, init, runs):
    cli.add_command(command)


@cli.command(cls=HeadedCommand)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as a JSON object.")
@with_connector
def check(connector: LakeflowConnect, *, as_json: bool) -> None:
    """Connect, and say what is there and what the user may read of it.

    The exit code is 1 where that fails.
    """
    found = connector.inspect()
    click.echo(json.dumps(found, indent=2) if as_json else printed(found))


@cli.command
@click.option("--tables", metavar="NAME,NAME,…", help="Which tables it reads.  [default: all]")
@click.option(
    "--key-pattern",
    "patterns",
    multiple=True,
    default=["*"],
    envvar="LAKEFLOW_REDIS_KEY_PATTERN",
    metavar="GLOB",
    show_default=True,
    help="Which keys it reads; may be given several times.",
)
@click.option(
    "--redis",
    type=click.Choice(["6.2", "7.0", "7.2"]),
    default="7.0",
    show_default=True,
    help="The server's version, or the one before it. Valkey has the rules of 7.2.",
)
@click.option("--user", default="lakeflow", show_default=True, metavar="NAME")
@click.option(
    "--mode",
    type=click.Choice(["standalone", "cluster", "sentinel"]),
    default="standalone",
    envvar="LAKEFLOW_REDIS_MODE",
    show_default=True,
)
@click.option(
    "--read-from",
    type=click.Choice(["primary", "replica"]),
    default="primary",
    envvar="LAKEFLOW_REDIS_READ_FROM",
)
@click.option(
    "--db",
    default="0",
    envvar="LAKEFLOW_REDIS_DB",
    metavar="0,1,…|*",
    help="The databases it reads.  [default: 0]",
)
def acl(  # noqa: PLR0913 - click hands over every option by its name.
    *,
    tables: str | None,
    patterns: Sequence[str],
    redis: str,
    user: str,
    mode: str,
    read_from: str,
    db: str,
) -> None:
    """Print the ACL SETUSER for a user that can read tables, and do nothing else.

    It gives no password: add one as '>…', or let the user keep the one it has. Servers do not tell
    each other of their users: give it to each node, replicas too. With --mode sentinel, the second
    line is for each Sentinel.
    """
    names = LakeflowConnect.list_tables() if tables is None else _names(tables)
    if not user or not user.isprintable() or " " in user:
        raise click.BadParameter(
            "a user's name has no spaces, and is not empty", param_hint="--user"
        )
    # Checks them, and connects to nothing.
    given = {"host": "localhost", "db": db, "mode": mode, "read_from": read_from}
    LakeflowConnect(given | ({"sentinel_master": "any"} if mode == "sentinel" else {}))
    rules = acl_rules(
        names, patterns, redis=redis, mode=mode, read_from=read_from, selects=db != "0"
    )
    click.echo(_typed(["ACL", "SETUSER", user, *rules]))
    if mode == "sentinel":
        click.echo("At each Sentinel:", err=True)
        click.echo(_typed(["ACL", "SETUSER", user, *sentinel_acl_rules()]))


@cli.command
def tables() -> None:
    """List the tables; they are the same for every server."""
    # Connectors want to know a server; this one never connects.
    connector = LakeflowConnect({"host": "localhost", "mode": "standalone"})
    show([_description(connector, name) for name in connector.list_tables()])


@cli.command(cls=HeadedCommand)
@click.argument("table")
@click.option("--limit", type=click.IntRange(min=0), help="Stop after so many rows.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="table",
    show_default=True,
    help=f"`table` shows the first {TABLE_ROWS} rows unless --limit says otherwise. `json` has an "
    "object a line. In json and csv, binary columns are base64.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file, which appears once it is complete.  [default: stdout]",
)
@click.option(
    "--offset",
    metavar="JSON",
    help="Of `streams`, read on from this offset, as --show-offset gave it.",
)
@click.option(
    "--show-offset",
    is_flag=True,
    help="At the end, print the offset from which to read on, on stderr.",
)
@with_connector
def read(  # noqa: PLR0913 - click hands over every option by its name.
    connector: LakeflowConnect,
    *,
    table: str,
    limit: int | None,
    form: str,
    output: Path | None,
    offset: str | None,
    show_offset: bool,
) -> None:
    """Read a table and write its rows."""
    if form == "parquet" and output is None:
        raise click.UsageError("parquet needs --output: it is not text, and only whole files count")
    if show_offset and limit is not None:
        raise click.UsageError(
            "--limit ends a read where no offset is known; use --max-records-per-batch instead"
        )
    cut = form == "table" and limit is None and not show_offset
    records, end = connector.read_table(table, _parse_offset(offset))
    rows = 0
    # Rows and bars would run into each other on one terminal.
    quiet = output is None and on_terminal(sys.stdout)
    with (
        destination(output) as sink,
        ending(FORMATS[form](sink, pa.schema(records.schema))) as writer,
        progress(quiet=quiet, share_of=lambda _: records.receipt["share_scanned"]) as advance,
    ):
        advance(table, rows)
        for batch in _head(records, TABLE_ROWS if cut else limit):
            writer.write(batch)
            rows += batch.num_rows
            advance(table, rows)
    if cut and rows == TABLE_ROWS:
        click.echo(f"stopped after {rows} rows; --limit says how many", err=True)
    show_warnings(records.receipt)
    if show_offset:
        click.echo(json.dumps(end), err=True)


def _typed(words: Sequence[str]) -> str:
    """Words as a shell takes them and, piped in, redis-cli."""
    return " ".join(
        f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)
        for word in words
    )


def _names(tables: str) -> list[str]:
    return [name.strip() for name in tables.split(",")]


def _description(connector: LakeflowConnect, table: str) -> dict[str, object]:
    metadata = connector.read_table_metadata(table)
    return {
        "table": table,
        "ingestion_type": metadata["ingestion_type"],
        "primary_keys": ",".join(metadata["primary_keys"]),
        "cursor_field": metadata["cursor_field"] or "",
    }


def _head(records: Records, limit: int | None) -> Iterator[pa.RecordBatch]:
    """The batches up to a number of rows; what is behind them is not read."""
    if limit is None:
        yield from records.batches()
        return
    left = limit
    batches = records.batches()
    while left > 0 and (batch := next(batches, None)) is not None:
        batch = batch.slice(0, left)
        left -= batch.num_rows
        yield batch


def _parse_offset(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        offset = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--offset is not JSON: {error}") from error
    if not isinstance(offset, dict):
        raise click.UsageError("--offset must be a JSON object")
    return offset
