"""`python -m benches`: see the package's docstring, and `--help`."""

import argparse
import sys
import time

from benches.contestants import CONTESTANTS
from benches.data import FAMILIES, SIZES, load
from benches.installed import missing
from benches.measure import Failure, Outcome, measure_table
from benches.reading import ALL_AT_ONCE
from benches.report import Report
from benches.results import RESULTS
from tests.servers import REDIS_7_0, Server

TABLES = (*(family.table for family in FAMILIES), "keys", ALL_AT_ONCE)


def say(text: str) -> None:
    """Tell the one who waits what goes on."""
    sys.stderr.write(f"{text}\n")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benches", description="Measure ours beside the other ways."
    )
    parser.add_argument(
        "--size", choices=SIZES, default="medium", help="how much data (default: %(default)s)"
    )
    parser.add_argument(
        "--tables",
        nargs="+",
        choices=TABLES,
        default=TABLES,
        metavar="TABLE",
        help="default: all, which are: " + "; ".join(TABLES),
    )
    parser.add_argument(
        "--contestants",
        nargs="+",
        choices=CONTESTANTS,
        default=tuple(CONTESTANTS),
        metavar="NAME",
        help="default: all, which are: " + "; ".join(CONTESTANTS),
    )
    parser.add_argument(
        "--write",
        action=argparse.BooleanOptionalAction,
        help=f"write benches/{RESULTS.name} (default: where all is measured, at size medium)",
    )
    chosen = parser.parse_args()
    if chosen.write is None:
        whole = set(chosen.tables) == set(TABLES) and set(chosen.contestants) == set(CONTESTANTS)
        chosen.write = whole and chosen.size == "medium"
    return chosen


def main() -> int:
    """Run the benchmark; returns the process' exit status."""
    chosen = arguments()
    contestants = [CONTESTANTS[name] for name in chosen.contestants]
    absent = {
        one.name: f"{', '.join(modules)} not installed"
        for one in contestants
        if (modules := missing(one))
    }
    for name, reason in absent.items():
        say(f"{name}: {reason} for {CONTESTANTS[name].interpreter}")
    outcomes: list[Outcome] = []
    with Server(REDIS_7_0) as server:
        started = time.perf_counter()
        contents = load(server.host, server.port, SIZES[chosen.size])
        say(f"loaded {contents.keys['keys']:,} keys in {time.perf_counter() - started:.1f} s")
        url = f"redis://{server.host}:{server.port}/0"
        with server.client() as client:
            server_version = str(client.info("server")["redis_version"])
        present = [one for one in contestants if one.name not in absent]
        for table in chosen.tables:
            outcomes += measure_table(url, table, contents, present, say)
            outcomes += (
                Failure(one, table, absent[one.name])
                for one in contestants
                if one.name in absent and table in one.tables
            )
    report = Report(chosen.size, server_version, outcomes)
    report.print()
    if chosen.write:
        report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
