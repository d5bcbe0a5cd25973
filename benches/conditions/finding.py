"""What a condition came to, line by line."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from benches.limits import Limit
from benches.running import ReadFailedError

HEADINGS = ("what", "figures", "wanted", "verdict")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a condition's table."""

    what: str
    figures: str
    wanted: str = ""
    verdict: str = ""

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Lay it out under `HEADINGS`."""
        return self.what, self.figures, self.wanted, self.verdict


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a figure should be, in words and as a limit."""

    text: str
    limit: Limit

    def judge(self, what: str, figures: str, figure: float) -> Finding:
        """Say whether it is."""
        return Finding(what, figures, self.text, self.limit.verdict(figure))

    def attempt(self, what: str, measure: Callable[[], tuple[str, float]]) -> Finding:
        """Measure and judge; a read that fails has missed it."""
        try:
            return self.judge(what, *measure())
        except ReadFailedError as error:
            return Finding(what, f"failed: {error}", self.text, "MISSED")


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing to look into."""

    name: str
    """By which it is asked for."""
    part: str
    """Its heading in RESULTS.md."""
    how: str
    """How it is measured, for the report."""
    findings: Callable[[Fraction], Iterator[Finding]]
    """Measures at a scale of the data."""
