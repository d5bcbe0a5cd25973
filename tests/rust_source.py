"""Rust sources as structure tests look at them: code only, no comments, strings or tests."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SRC = Path(__file__).parent.parent / "src"

_TOKEN = re.compile(
    r"""
    (?P<comment> //[^\n]* | /\*.*?\*/ )
  | (?P<raw>     b?r(?P<hashes>\#*)".*?"(?P=hashes) )
  | (?P<string>  b?c?"(?:\\.|[^"\\])*" )
  | (?P<char>    b?'(?:\\(?:x..|u\{[^}]*\}|.)|[^'\\])' )
    """,
    re.VERBOSE | re.DOTALL,
)
_TESTS = re.compile(r"#\[cfg\(test\)\]\s*(?:pub(?:\(\w+\))?\s+)?(?:mod|fn|impl|use)\b")


@dataclass(frozen=True)
class Source:
    """One file."""

    path: Path
    code: str
    """Its code; what was cut out left its line breaks, so that lines count as in the file."""

    @property
    def name(self) -> str:
        """The path below `src`."""
        return self.path.relative_to(SRC).as_posix()

    @property
    def module(self) -> str:
        """The module of the crate that the file belongs to."""
        return self.path.relative_to(SRC).parts[0].removesuffix(".rs")

    def lines(self, pattern: str) -> list[str]:
        """Where a pattern occurs, as `file:line: text`."""
        return [
            f"{self.name}:{number}: {line.strip()}"
            for number, line in enumerate(self.code.splitlines(), start=1)
            if re.search(pattern, line)
        ]

    def uses(self) -> set[str]:
        """The modules of the crate that the file names."""
        inline = set(re.findall(r"\bcrate::(\w+)", self.code))
        groups = re.findall(r"\bcrate::\{", self.code)
        return inline | {name for name in self._grouped() if groups}

    def _grouped(self) -> Iterator[str]:
        for found in re.finditer(r"\bcrate::\{", self.code):
            inside = _up_to_brace(self.code, found.end())
            # What stands inside inner braces belongs to the name before them.
            flat = re.sub(r"\{[^{}]*\}", "", inside)
            yield from (part.strip().split("::")[0] for part in flat.split(",") if part.strip())


def sources() -> list[Source]:
    """All files of the crate, but for those that hold a module's tests."""
    return [
        Source(path, without_tests(without_text(path.read_text())))
        for path in sorted(SRC.rglob("*.rs"))
        if path.name != "tests.rs"
    ]


def without_text(source: str) -> str:
    """A source without comments, and with all literals of text emptied."""

    def blank(found: re.Match[str]) -> str:
        breaks = "\n" * found.group().count("\n")
        return breaks if found.group("comment") else f'""{breaks}'

    return _TOKEN.sub(blank, source)


def without_tests(code: str) -> str:
    """Code, as `without_text` left it, without what is compiled for tests only."""
    while found := _TESTS.search(code):
        end = _end_of_item(code, found.end())
        code = code[: found.start()] + "\n" * code.count("\n", found.start(), end) + code[end:]
    return code


def _end_of_item(code: str, start: int) -> int:
    opening = re.compile(r"[{;]").search(code, start)
    assert opening is not None, "an item has no end"
    if opening.group() == ";":
        return opening.end()
    return opening.end() + len(_up_to_brace(code, opening.end())) + 1


def _up_to_brace(code: str, start: int) -> str:
    """What stands before the brace that closes the one just before `start`."""
    depth = 1
    for index in range(start, len(code)):
        depth += {"{": 1, "}": -1}.get(code[index], 0)
        if depth == 0:
            return code[start:index]
    raise AssertionError("a brace is never closed")
