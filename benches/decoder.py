"""Takes the decoder's pace from what `cargo bench --bench decoder` left, into RESULTS.md."""

import json
import os
import sys
from pathlib import Path

from benches import results
from benches.limits import Limit

TARGETS = {"values of 100 bytes": Limit(1.0, at_least=True)}
"""GB/s."""


def figures(criterion: Path) -> list[tuple[str, str, str]]:
    """A row per benchmark under a row of headings: what it decodes, GB/s, and the verdict."""
    rows = [("replies", "GB/s", "at least 1 GB/s")]
    for folder in sorted((criterion / "decoder").glob("*/new")):
        benchmark = json.loads((folder / "benchmark.json").read_text())
        estimates = json.loads((folder / "estimates.json").read_text())
        nanoseconds = estimates["median"]["point_estimate"]
        # Bytes per nanosecond are GB per second.
        pace = benchmark["throughput"]["Bytes"] / nanoseconds
        name = benchmark["function_id"]
        verdict = TARGETS[name].verdict(pace) if name in TARGETS else ""
        rows.append((name, f"{pace:.2f}", verdict))
    return rows


def main() -> int:
    """Write the part; returns the process' exit status."""
    criterion = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "criterion"
    rows = figures(criterion)
    if len(rows) == 1:
        sys.stderr.write(f"nothing in {criterion}: run `cargo bench --bench decoder` first\n")
        return 2
    text = results.table(rows, ("replies",))
    print(text)
    note = "The median that Criterion found, over replies that are in memory."
    results.write("The decoder alone", f"{results.machine()}.\n\n{text}\n\n{note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
