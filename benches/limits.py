"""What a figure may be at most, or must be at least."""

from dataclasses import dataclass

MB = 1_000_000
PEAK_MB = 96
"""The most that streaming may take, over what importing takes."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How large a figure may be, or must be."""

    of: float
    at_least: bool = False
    """Whether the figure may not be under the limit, instead of not over it."""

    def verdict(self, figure: float) -> str:
        """Met or missed, and by what figure."""
        met = figure >= self.of if self.at_least else figure <= self.of
        return f"{'met' if met else 'MISSED'}: {figure:.2f}"
