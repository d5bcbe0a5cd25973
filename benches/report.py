"""Puts the contestants' results into one table, for a terminal and for `benches/RESULTS.md`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.console import Console
from rich.table import Table

from benches import plot, results
from benches.contestants import CONTESTANTS, OURS
from benches.data import FAMILIES, SIZES
from benches.installed import versions
from benches.limits import MB
from benches.measure import Failure, Outcome, Result
from benches.targets import verdicts

HEADINGS = (
    "table",
    "contestant",
    "rows",
    "rows/s",
    "wall s",
    "server CPU s",
    "wall ÷ CPU",
    "peak MB",
    "× ours",
    "runs, s",
)
TEXT_COLUMNS = ("table", "contestant", "runs, s", "target")
WIDTH_OF_FILES = 160
"""Columns of text where the output is no terminal: enough for the table."""

HOW_MEASURED = (
    (
        "Each run is a process of its own, contestants by turns; the best run counts, and the last "
        "column has them all."
    ),
    "Server CPU is that of the server's main thread, by INFO, during the best run.",
    (
        "Peak memory is the largest of all runs, over what the process had with its modules "
        "imported; in parentheses, that of the whole process."
    ),
    "× ours is its wall time over that of ours.",
)


@dataclass(frozen=True, slots=True)
class Report:
    """All outcomes of one go, and what they were measured on."""

    size: str
    server_version: str
    outcomes: Sequence[Outcome]

    def title(self) -> str:
        """Say what was read."""
        return f"Size {self.size}: " + ", ".join(
            family.describe(SIZES[self.size]) for family in FAMILIES
        )

    def machine(self) -> str:
        """Say when, where and with what versions it was measured."""
        found: dict[str, str | None] = {}
        for outcome in self.outcomes:
            found |= versions(outcome.contestant.interpreter, outcome.contestant.modules)
        modules = (f"{module} {version}" for module, version in sorted(found.items()) if version)
        return (
            f"{results.machine()}; Redis {self.server_version} over the loopback; "
            f"{', '.join(modules)}"
        )

    def rows(self) -> list[tuple[str, ...]]:
        """Lay out the table under `HEADINGS`."""
        ours = {
            one.table: one
            for one in self.outcomes
            if isinstance(one, Result) and one.contestant.name == OURS
        }
        return [line(outcome, ours.get(outcome.table)) for outcome in self.outcomes]

    def notes(self) -> list[str]:
        """Say how to read the table."""
        measured = {outcome.contestant.name: outcome.contestant for outcome in self.outcomes}
        absent = [name for name in CONTESTANTS if name not in measured]
        sampled = {
            one.contestant.name: one.contestant.sample
            for one in self.outcomes
            if isinstance(one, Result) and one.scale > 1
        }
        failed = [one for one in self.outcomes if isinstance(one, Failure)]
        return [
            *(f"{name}: {one.description}." for name, one in measured.items()),
            *(f"{name}: not asked for." for name in absent),
            *(f"{one.table}, {one.contestant.name}: {one.reason}." for one in failed),
            *(
                f"≈: {name} read {keys:,} keys; the rest is reckoned."
                for name, keys in sampled.items()
            ),
            *HOW_MEASURED,
        ]

    def print(self) -> None:
        """Show it on the terminal."""
        console = Console()
        if not console.is_terminal:
            console.width = WIDTH_OF_FILES
        console.print(grid((HEADINGS, *self.rows()), self.title()))
        for text in (*self.notes(), self.machine()):
            console.print(text, highlight=False)
        console.print(grid(verdicts(self.outcomes), "Targets"))

    def write(self) -> None:
        """Write it to `benches/RESULTS.md`, with its plot."""
        plot.write(self.outcomes, f"size {self.size}")
        figures = results.table((HEADINGS, *self.rows()), TEXT_COLUMNS)
        picture = f"![Rows per second]({plot.PICTURE.name})"
        notes = results.bullets(self.notes())
        results.write(
            "Figures", f"{self.machine()}.\n\n{self.title()}.\n\n{figures}\n\n{picture}\n\n{notes}"
        )
        targets = verdicts(self.outcomes)
        results.write("Targets", results.table(targets, targets[0]))


def grid(rows: Sequence[Sequence[str]], title: str) -> Table:
    """Lay out rows for a terminal, with a rule where the first column changes in `HEADINGS`."""
    headings, *lines = rows
    by_table = tuple(headings) == HEADINGS
    grid = Table(title=title, show_lines=not by_table)
    for heading in headings:
        grid.add_column(heading, justify="left" if heading in TEXT_COLUMNS else "right")
    for row, following in pairwise((*lines, None)):
        assert row is not None
        ends = by_table and following is not None and following[0] != row[0]
        grid.add_row(*row, style="bold" if row[1] == OURS else None, end_section=ends)
    return grid


def line(outcome: Outcome, ours: Result | None) -> tuple[str, ...]:
    """Lay out one outcome under `HEADINGS`."""
    about = [outcome.table, outcome.contestant.name]
    if isinstance(outcome, Failure):
        return (*about, "not measured", *[""] * (len(HEADINGS) - 3))
    reckoned = "≈ " if outcome.scale > 1 else ""
    return (
        *about,
        f"{outcome.rows:,}",
        f"{outcome.rows_per_second:,.0f}",
        f"{reckoned}{outcome.wall_seconds:.2f}",
        f"{reckoned}{outcome.server_seconds:.2f}",
        f"{outcome.wall_over_server:.2f}",
        f"{outcome.peak_bytes / MB:.0f} ({outcome.process_bytes / MB:.0f})",
        f"{outcome.wall_seconds / ours.wall_seconds:.2f}" if ours else "",
        " ".join(f"{sample.wall_seconds:.2f}" for sample in outcome.samples),
    )
