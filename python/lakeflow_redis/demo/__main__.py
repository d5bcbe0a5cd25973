"""Land sample data, look at it, add to it, and land what is new."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import pyarrow as pa
import redis
from deltalake import DeltaTable

from lakeflow_redis import LakeflowConnect
from lakeflow_redis.cli.formats import TextTable
from lakeflow_redis.demo import sample
from lakeflow_redis.demo.server import NoServerError, server, url_of

SHOWN_ROWS = 5

MARK = ".lakeflow-redis-demo"
"""A file that says of a lake that the demo made it, and may replace it."""

STOPS = {signal.SIGINT, signal.SIGTERM}
"""What ends `--serve`."""


@click.command
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-lake"),
    show_default=True,
    help="The lake to make; one that an earlier demo made is replaced.",
)
@click.option(
    "--serve",
    is_flag=True,
    help="Only start the server with the sample data, and keep it until Ctrl-C.",
)
def demo(to: Path, *, serve: bool) -> None:
    """Show on sample data how Redis is landed in a lake."""
    if not serve:
        _make_lake(to)
    try:
        with server() as client:
            if serve:
                _serve(client)
            else:
                _tour(client, to)
    except NoServerError as error:
        raise click.ClickException(str(error)) from error


def _serve(client: redis.Redis) -> None:
    sample.fill(client)
    # Waited for, and not left to end this process: the server would outlive it.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    click.echo("A server with sample data, until Ctrl-C. In another terminal:\n", err=True)
    click.echo(f"export LAKEFLOW_REDIS_URL={url_of(client)}")
    sys.stdout.flush()
    signal.sigwait(STOPS)


def _tour(client: redis.Redis, lake: Path) -> None:
    url = url_of(client)
    _say(f"A server at {url}, filled with sample data")
    sample.fill(client)

    _say("All eight tables land in the lake, each as a Delta table")
    _run("ingest", "--url", url, "--to", str(lake))
    for table in LakeflowConnect({"url": url}).list_tables():
        _say(f"A look at {lake / table}")
        _look(DeltaTable(lake / table).to_pyarrow_table().slice(0, SHOWN_ROWS))

    _say("Two more people log in, and only their events are appended")
    sample.add_events(client, "login", "edsger", "barbara")
    _run("ingest", "--url", url, "--to", str(lake), "--tables", "streams")
    _look(DeltaTable(lake / "streams").to_pyarrow_table().sort_by("entry_id"))
    click.echo(f"\nThe lake stays in {lake}; the server is gone.")


def _make_lake(lake: Path) -> None:
    mark = lake / MARK
    if mark.exists():
        shutil.rmtree(lake)
    elif lake.exists() and any(lake.iterdir()):
        raise click.ClickException(f"{lake} was not made by this demo; give another folder by --to")
    lake.mkdir(parents=True, exist_ok=True)
    mark.touch()


def _run(*arguments: str) -> None:
    """Run the real command, as a user would."""
    click.secho(f"$ lakeflow-redis {shlex.join(arguments)}", bold=True)
    # Without the caller's own options, which could point at another server.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("LAKEFLOW_REDIS_")
    }
    command = [sys.executable, "-m", "lakeflow_redis", *arguments]
    done = subprocess.run(command, env=environment, check=False)
    if done.returncode:
        raise click.exceptions.Exit(done.returncode)


def _look(rows: pa.Table) -> None:
    with closing(TextTable(sys.stdout.buffer, rows.schema)) as table:
        for batch in rows.to_batches():
            table.write(batch)


def _say(text: str) -> None:
    click.secho(f"\n{text}", fg="green", bold=True)


if __name__ == "__main__":
    demo()
