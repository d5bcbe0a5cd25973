"""`python -m benches`: see the package's docstring, and `--help`."""

import argparse
import sys
import time
from importlib.util import find_spec

from benches.contestants import CONTESTANTS
from benches.data import FAMILIES, SIZES, load
from benches.measure import measure_table
from benches.report import RESULTS, Report
from tests.servers import REDIS_7_0, Server

TABLES = (*(family.table for family in FAMILIES), "keys")


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
        help="default: all, which are: " + " ".join(TABLES),
    )
    parser.add_argument(
        "--contestants",
        nargs="+",
        choices=CONTESTANTS,
        default=tuple(CONTESTANTS),
        metavar="NAME",
        help="default: all, which are: " + "; ".join(CONTESTANTS),
    )
    parser.add_argument("--write", action="store_true", help=f"write benches/{RESULTS.name}")
    return parser.parse_args()


def main() -> int:
    """Run the benchmark; returns the process' exit status."""
    chosen = arguments()
    contestants = [CONTESTANTS[name] for name in chosen.contestants]
    missing = {module for one in contestants for module in one.modules if find_spec(module) is None}
    if missing:
        say(f"not installed: {', '.join(sorted(missing))}")
        return 2
    with Server(REDIS_7_0) as server:
        started = time.perf_counter()
        contents = load(server.host, server.port, chosen.size)
        say(f"loaded {contents.keys['keys']:,} keys in {time.perf_counter() - started:.1f} s")
        url = f"redis://{server.host}:{server.port}/0"
        with server.client() as client:
            server_version = str(client.info("server")["redis_version"])
        results = []
        for table in chosen.tables:
            for result in measure_table(url, table, contents, contestants):
                say(f"{table}, {result.contestant.name}: {result.wall_seconds:.2f} s")
                results.append(result)
    report = Report(chosen.size, server_version, results)
    report.print()
    if chosen.write:
        report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
