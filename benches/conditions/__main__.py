"""`python -m benches.conditions`: see the package's docstring, and `--help`."""

import argparse
import sys

from benches import results
from benches.conditions.cluster import CLUSTER
from benches.conditions.distance import DISTANCE
from benches.conditions.finding import HEADINGS, Condition
from benches.conditions.gil import GIL
from benches.conditions.health import HEALTH
from benches.conditions.landing import LANDING
from benches.conditions.memory import MEMORY
from benches.conditions.spark import SPARK
from benches.conditions.unnoticed import UNNOTICED
from benches.data import SIZES

CONDITIONS = {
    one.name: one for one in (MEMORY, HEALTH, DISTANCE, CLUSTER, UNNOTICED, GIL, SPARK, LANDING)
}
NAMED_SIZES = ("small", "medium")
"""At `large`, ten times the data would not fit a machine."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benches.conditions", description="Measure ours under other conditions."
    )
    parser.add_argument(
        "conditions",
        nargs="*",
        metavar="CONDITION",
        help="default: all, which are: " + " ".join(CONDITIONS),
    )
    parser.add_argument(
        "--size", choices=NAMED_SIZES, default="medium", help="how much data (default: %(default)s)"
    )
    parser.add_argument(
        "--write",
        action=argparse.BooleanOptionalAction,
        help=f"write benches/{results.RESULTS.name} (default: at size medium)",
    )
    chosen = parser.parse_args()
    if unknown := set(chosen.conditions) - set(CONDITIONS):
        parser.error(f"unknown: {' '.join(sorted(unknown))}; there are: {' '.join(CONDITIONS)}")
    if chosen.write is None:
        chosen.write = chosen.size == "medium"
    return chosen


def examine(condition: Condition, size: str, *, write: bool) -> None:
    """Measure one condition, a line at a time."""
    print(f"{condition.part}. {condition.how}", flush=True)
    rows = [HEADINGS]
    for finding in condition.findings(SIZES[size]):
        rows.append(finding.cells)
        print("  " + "; ".join(filter(None, finding.cells)), flush=True)
    if write:
        table = results.table(rows, HEADINGS)
        results.write(
            condition.part, f"{results.machine()}; size {size}.\n\n{table}\n\n{condition.how}"
        )


def main() -> int:
    """Measure what was chosen; returns the process' exit status."""
    chosen = arguments()
    for name in chosen.conditions or CONDITIONS:
        examine(CONDITIONS[name], chosen.size, write=chosen.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
