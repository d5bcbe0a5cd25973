"""What the project wants of its own figures. Reported, never asserted: machines differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benches.contestants import CONTESTANTS, KEY_TABLES, OURS
from benches.limits import MB, PEAK_MB, Limit
from benches.measure import Failure, Outcome, Result
from benches.reading import ALL_AT_ONCE

Results = Mapping[tuple[str, str], Result]
"""By table and contestant."""


@dataclass(frozen=True, slots=True)
class Target:
    """One figure with its limit, for every table that has it."""

    text: str
    figure: Callable[[Results, str], float]
    """Reckons it for a table; what was not measured is a KeyError."""
    limit: Limit
    other: str = OURS
    """The contestant that it is compared with, where it is not only of ours."""
    tables: Sequence[str] | None = None
    """The tables that it is for; None for all that both can read."""

    def is_for(self, table: str) -> bool:
        """Whether the table has this figure."""
        if self.tables is not None:
            return table in self.tables
        return table in CONTESTANTS[self.other].tables

    def verdict(self, results: Results, table: str) -> str:
        """Met or missed; says so where it was not measured."""
        if not self.is_for(table):
            return ""
        try:
            return self.limit.verdict(self.figure(results, table))
        except KeyError:
            return "not measured"


def faster_than(other: str, times: float) -> Target:
    """At least so many times faster than another contestant."""
    return Target(
        f"at least {times:g} × faster than {other}",
        lambda results, table: (
            results[table, other].wall_seconds / results[table, OURS].wall_seconds
        ),
        Limit(times, at_least=True),
        other,
    )


def over_single_reads(results: Results, table: str) -> float:
    """How long all tables in one pass take, of what they take one by one."""
    singles = (results[one, OURS].wall_seconds for one in KEY_TABLES)
    return results[table, OURS].wall_seconds / sum(singles)


TARGETS = (
    Target(
        "wall time at most 1.10 × the server's CPU time",
        lambda results, table: results[table, OURS].wall_over_server,
        Limit(1.10),
    ),
    Target(
        "wall time at most 1.10 × the floor's",
        lambda results, table: (
            results[table, OURS].wall_seconds / results[table, "floor"].wall_seconds
        ),
        Limit(1.10),
        "floor",
    ),
    faster_than("one command per key", 25),
    faster_than("pipelined by hand", 4),
    faster_than("polars-redis", 2),
    Target(
        f"peak memory at most {PEAK_MB} MB over importing alone",
        lambda results, table: results[table, OURS].peak_bytes / MB,
        Limit(PEAK_MB),
    ),
    Target(
        "all tables in one pass in at most 0.6 × the time of one by one",
        over_single_reads,
        Limit(0.6),
        tables=(ALL_AT_ONCE,),
    ),
)


def verdicts(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """A row per target and a column per table, under a row of headings."""
    tables = list(dict.fromkeys(outcome.table for outcome in outcomes))
    results = {
        (outcome.table, outcome.contestant.name): outcome
        for outcome in outcomes
        if not isinstance(outcome, Failure)
    }
    return [
        ("target", *tables),
        *(
            (target.text, *(target.verdict(results, table) for table in tables))
            for target in TARGETS
        ),
    ]
