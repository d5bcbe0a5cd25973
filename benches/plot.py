"""The plot beside the table: rows per second, by table and contestant."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benches.contestants import CONTESTANTS, OURS
from benches.measure import Failure, Outcome

PICTURE = Path(__file__).with_name("RESULTS.svg")

COLOURS = ("#0072b2", "#999999", "#e69f00", "#009e73", "#cc79a7", "#56b4e9")
"""Okabe and Ito's, which those who see fewer colours can tell apart too."""
BAR = 0.16
"""A bar's height, where tables are 1 apart."""


def write(outcomes: Sequence[Outcome], size: str) -> None:
    """Draw it, to the same bytes for the same figures."""
    import matplotlib as mpl  # noqa: PLC0415 - only a run that writes needs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    results = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    tables = list(dict.fromkeys(result.table for result in results))
    names = [name for name in CONTESTANTS if any(one.contestant.name == name for one in results)]
    style: Any = {"svg.hashsalt": "lakeflow-redis", "svg.fonttype": "none", "font.size": 9}
    with mpl.rc_context(style):
        figure = Figure(figsize=(8, 1 + 0.9 * len(tables)), layout="constrained")
        axes = figure.add_subplot()
        for at, name in enumerate(names):
            of_name = [one for one in results if one.contestant.name == name]
            middle = at - (len(names) - 1) / 2
            bars = axes.barh(
                [tables.index(one.table) + middle * BAR for one in of_name],
                [one.rows_per_second for one in of_name],
                height=BAR * 0.9,
                color=COLOURS[list(CONTESTANTS).index(name) % len(COLOURS)],
                label=name,
            )
            pace = [f" {one.rows_per_second:,.0f}" for one in of_name]
            axes.bar_label(bars, pace, fontsize=7, fontweight="bold" if name == OURS else "normal")
        axes.set_xscale("log")
        axes.margins(x=0.12)
        axes.set_yticks(range(len(tables)), tables)
        axes.invert_yaxis()
        axes.set_xlabel(f"rows per second, {size}; each step is ten times the one before")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper center", ncols=len(names), frameon=False)
        figure.savefig(PICTURE, metadata={"Date": None, "Creator": None})
    # What matplotlib writes ends lines with blanks, which a diff would mark.
    lines = PICTURE.read_text(encoding="utf-8").splitlines()
    PICTURE.write_text("\n".join(text.rstrip() for text in lines) + "\n", encoding="utf-8")
