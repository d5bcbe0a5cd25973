"""README.md and the pages of docs/, and the blocks of code in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
ALSO = [
    *(ROOT / "CONTRIBUTING.md", ROOT / "RELEASING.md", ROOT / "SECURITY.md"),
    ROOT / "examples/pipeline/README.md",
]
"""Documents beside them, whose links and claims are checked, too."""

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<source>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>[^\n]+) -->\n$")
"""In the line before a block that cannot be run here: the one way to say so, with the reason."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block between fences."""

    page: Path
    line: int
    """Of the page, before the block's first line."""
    language: str
    source: str
    not_run: str | None
    """Why it is not run."""
    follows: bool
    """Whether nothing but an empty line is between it and the block before it."""


def name(page: Path) -> str:
    """A page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, from top to bottom."""
    return list(_blocks(page, page.read_text()))


def _blocks(page: Path, text: str) -> Iterator[Block]:
    end = 0
    for found in FENCE.finditer(text):
        before = NOT_RUN.search(text[: found.start()])
        yield Block(
            page=page,
            line=text.count("\n", 0, found.start("source")),
            language=found["language"],
            source=found["source"],
            not_run=before["reason"] if before else None,
            follows=end > 0 and not text[end : found.start()].strip(),
        )
        end = found.end()
