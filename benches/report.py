"""Puts results into one table, for a terminal and for `benches/RESULTS.md`."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benches.contestants import OURS
from benches.data import FAMILIES
from benches.measure import Result
from benches.targets import MB, TARGETS

RESULTS = Path(__file__).with_name("RESULTS.md")

HEADINGS = (
    "table",
    "contestant",
    "rows",
    "wall s",
    "rows/s",
    "server CPU s",
    "wall ÷ CPU",
    "peak MB",
    "× ours",
    "runs, s",
)
WIDTH_OF_FILES = 140
"""Columns of text where the output is no terminal: enough for the table."""

HOW_MEASURED = (
    "Each run is a process of its own; the best one counts, and the last column has them all.",
    "Server CPU is that of the server's main thread, by INFO, during the best run.",
    (
        "Peak memory is the largest of all runs, over that of importing the same modules alone; "
        "in parentheses, that of the whole process."
    ),
)
TEXT_COLUMNS = ("table", "contestant", "runs, s")


@dataclass(frozen=True, slots=True)
class Report:
    """All results of one go, and what they were measured on."""

    size: str
    server_version: str
    results: Sequence[Result]

    def title(self) -> str:
        """Say what was read."""
        return f"Size {self.size}: " + ", ".join(family.describe(self.size) for family in FAMILIES)

    def machine(self) -> list[str]:
        """Say when, where and with what versions it was measured."""
        modules = sorted(
            {module for result in self.results for module in result.contestant.modules}
        )
        versions = ", ".join(f"{module} {version(module)}" for module in modules)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
        return [
            f"{datetime.now(UTC):%Y-%m-%d}; {cpu_model()}, {os.cpu_count()} cores, {memory:.0f} GB",
            (
                f"Redis {self.server_version} over the loopback; {platform.system()}, "
                f"Python {platform.python_version()}, {versions}"
            ),
        ]

    def rows(self) -> list[tuple[str, ...]]:
        """Lay out the table under `HEADINGS`."""
        ours = {result.table: result for result in self.results if result.contestant.name == OURS}
        return [line(result, ours.get(result.table)) for result in self.results]

    def verdicts(self) -> list[str]:
        """Judge each target whose table was measured."""
        tables = {
            table: {result.contestant.name: result for result in group}
            for table, group in groupby(self.results, key=lambda result: result.table)
        }
        return [
            target.verdict(tables[target.table]) for target in TARGETS if target.table in tables
        ]

    def notes(self) -> list[str]:
        """Say how to read the table."""
        contestants = {result.contestant.name: result.contestant for result in self.results}
        sampled = {r.contestant.name: r.contestant.sample for r in self.results if r.scale > 1}
        return [
            *(f"{name}: {one.description}." for name, one in contestants.items()),
            *(
                f"≈: {name} read {keys:,} keys; the rest is reckoned."
                for name, keys in sampled.items()
            ),
            *HOW_MEASURED,
        ]

    def print(self) -> None:
        """Show it on the terminal."""
        table = Table(title=self.title())
        for heading in HEADINGS:
            table.add_column(heading, justify="left" if heading in TEXT_COLUMNS else "right")
        previous = ""
        for row in self.rows():
            if previous not in ("", row[0]):
                table.add_section()
            previous = row[0]
            table.add_row(*row, style="bold" if row[1] == OURS else None)
        console = Console()
        if not console.is_terminal:
            console.width = WIDTH_OF_FILES
        console.print(table)
        for text in (*self.notes(), *self.machine(), *self.verdicts()):
            console.print(text, highlight=False)

    def markdown(self) -> str:
        """Write it down."""
        rule = (":--" if heading in TEXT_COLUMNS else "--:" for heading in HEADINGS)
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in (HEADINGS, rule, *self.rows()))
        return (
            "# Benchmark\n\nWritten by `python -m benches --write`.\n\n"
            f"{bullets(self.machine())}\n\n## Figures\n\n{self.title()}.\n\n{table}\n\n"
            f"{bullets(self.notes())}\n\n## Targets\n\n{bullets(self.verdicts())}\n"
        )

    def write(self) -> None:
        """Write it to `benches/RESULTS.md`."""
        RESULTS.write_text(self.markdown(), encoding="utf-8")


def bullets(texts: Sequence[str]) -> str:
    """Format a Markdown list."""
    return "\n".join(f"- {text}" for text in texts)


def line(result: Result, ours: Result | None) -> tuple[str, ...]:
    """Lay out one result under `HEADINGS`."""
    about = "≈ " if result.scale > 1 else ""
    return (
        result.table,
        result.contestant.name,
        f"{result.rows:,}",
        f"{about}{result.wall_seconds:.2f}",
        f"{result.rows_per_second:,.0f}",
        f"{about}{result.server_seconds:.2f}",
        f"{result.wall_over_server:.2f}",
        f"{result.peak_bytes / MB:.0f} ({result.process_bytes / MB:.0f})",
        f"{result.wall_seconds / ours.wall_seconds:.1f}" if ours else "",
        " ".join(f"{sample.wall_seconds:.2f}" for sample in result.samples),
    )


def cpu_model() -> str:
    """Return the processor's name as the kernel gives it."""
    for text in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = text.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or "an unnamed processor"
