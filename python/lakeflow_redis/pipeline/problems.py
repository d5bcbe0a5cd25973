"""What is wrong with a pipeline file: where, at which key, and what to do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

from lakeflow_redis.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or that should be otherwise."""

    file: str
    """As it was given."""
    line: int | None
    """From 1 on; None where it is about the file as a whole."""
    key: str
    """Section and key, such as `[connection] port`; empty for the file as a whole."""
    text: str
    """What is wrong, and what to do. Holds no secret, but perhaps what a terminal would mistake."""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class PipelineError(ConfigurationError):
    """A pipeline file is not valid; nothing has been read or written.

    Args:
        problems: all that was found, in the order of their lines.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
        """All that was found, in the order of their lines."""

    def __reduce__(self) -> tuple[type[Self], tuple[Sequence[Problem]]]:
        """As what it is made of, so that it can be pickled."""
        return type(self), (self.problems,)


def nearest(given: str, names: Iterable[str]) -> str:
    """`; did you mean …?` for the name that is most like the one given, or nothing."""
    found = get_close_matches(given.lower(), list(names), n=1)
    return f"; did you mean `{found[0]}`?" if found else ""
