"""What the project wants of its own figures. Reported, never asserted: machines differ."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benches.contestants import OURS
from benches.measure import Result

MB = 1_000_000

ByContestant = Mapping[str, Result]


@dataclass(frozen=True, slots=True)
class Target:
    """One figure with its limit."""

    table: str
    text: str
    figure: Callable[[ByContestant], float]
    limit: float
    at_least: bool = False
    """Whether the figure may not be under the limit, instead of not over it."""
    needs: tuple[str, ...] = (OURS,)
    """The contestants that it is reckoned from."""

    def verdict(self, results: ByContestant) -> str:
        """One line: met or missed, and by what figure."""
        if missing := [name for name in self.needs if name not in results]:
            return f"not measured: {self.table}: {self.text} (without {', '.join(missing)})"
        figure = self.figure(results)
        met = figure >= self.limit if self.at_least else figure <= self.limit
        return f"{'met' if met else 'MISSED'}: {self.table}: {self.text}: {figure:.2f}"


def times_faster_than(other: str) -> Callable[[ByContestant], float]:
    """How many times another contestant's wall time ours fits in."""
    return lambda results: results[other].wall_seconds / results[OURS].wall_seconds


TARGETS = (
    Target(
        "hashes",
        "wall time at most 1.5 × the server's CPU time",
        lambda results: results[OURS].wall_over_server,
        limit=1.5,
    ),
    Target(
        "hashes",
        "at least 15 × faster than one command per key",
        times_faster_than("one command per key"),
        limit=15,
        at_least=True,
        needs=(OURS, "one command per key"),
    ),
    Target(
        "hashes",
        "peak memory under 150 MB over importing alone",
        lambda results: results[OURS].peak_bytes / MB,
        limit=150,
    ),
)
