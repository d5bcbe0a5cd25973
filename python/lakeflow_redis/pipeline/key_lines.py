"""On which line of a TOML text each key stands, which `tomllib` does not tell.

It goes through text that `tomllib` has taken already, and so need not say what is wrong with it. Of
values it knows where they end, and looks into arrays and inline tables; what they mean is `tomllib`'s.
"""

import re
import tomllib
from collections.abc import Iterator

Path = tuple[str | int, ...]
"""The keys that lead to a value, and its place where it stands in an array."""

BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
"""What may stand between tokens, comments too. Where no line may break, there is none to skip."""

KEY_PART = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'""")

TEXT = re.compile(
    # Up to two quotes may stand before the closing three, and belong to the text.
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)

PLAIN = re.compile(r"[^,\]}#\r\n]*")
"""A number, a boolean or a moment, which may hold a space."""


def key_lines(text: str) -> dict[Path, int]:
    """The line, from 1 on, on which each key is named first.

    Args:
        text: TOML that `tomllib` takes.

    Returns:
        Lines by path, such as `("tables", 0, "name")`. Elements of arrays have one too, and so have
        tables that only a dotted key or a header of another table names.

    Raises:
        ValueError: it is no TOML.
    """
    return _Walk(text).lines()


class _Walk:
    """One way through a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._elements: dict[Path, int] = {}
        """How many elements each array of tables has by now."""

    def lines(self) -> dict[Path, int]:
        table: Path = ()
        while self._skip_blank():
            if self._takes("[["):
                table = self._header(self._keys("]]"))
            elif self._takes("["):
                table = self._resolved(self._keys("]"))
            else:
                self._pair(table)
        return self._lines

    def _header(self, keys: list[str]) -> Path:
        """The path of the element that a header such as `[[tables]]` begins."""
        array = (*self._resolved(keys[:-1]), keys[-1])
        self._note(array)
        number = self._elements.get(array, 0)
        self._elements[array] = number + 1
        self._note((*array, number))
        return (*array, number)

    def _resolved(self, keys: list[str]) -> Path:
        """The path that keys mean in a header: of an array of tables, its last element."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            self._note(path)
            if path in self._elements:
                path = (*path, self._elements[path] - 1)
        return path

    def _pair(self, table: Path) -> None:
        """Go over `key = value`."""
        path = table
        for key in self._keys("="):
            path = (*path, key)
            self._note(path)
        self._value(path)

    def _keys(self, end: str) -> list[str]:
        """Go over a key, dotted or not, and what ends it. All of it is on one line."""
        keys: list[str] = []
        self._skip_blank()
        while not self._takes(end):
            part = self._match(KEY_PART)
            if not part:
                raise ValueError(f"no key at character {self._at}")
            keys.append(_spelled(part))
            self._skip_blank()
            self._takes(".")
            self._skip_blank()
        return keys

    def _value(self, path: Path) -> None:
        self._skip_blank()
        if self._takes("["):
            for number in self._parts("]"):
                self._note((*path, number))
                self._value((*path, number))
        elif self._takes("{"):
            for _ in self._parts("}"):
                self._pair(path)
        elif not self._match(TEXT):
            self._match(PLAIN)

    def _parts(self, end: str) -> Iterator[int]:
        """Stop at the beginning of each part of an array or inline table, up to its end."""
        number = 0
        while self._skip_blank() and not self._takes(end):
            yield number
            number += 1
            self._skip_blank()
            self._takes(",")

    def _note(self, path: Path) -> None:
        if path not in self._lines:
            self._lines[path] = self._text.count("\n", 0, self._at) + 1

    def _skip_blank(self) -> bool:
        """Whether anything is left behind it."""
        self._match(BLANK)
        return self._at < len(self._text)

    def _takes(self, token: str) -> bool:
        taken = self._text.startswith(token, self._at)
        self._at += len(token) if taken else 0
        return taken

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found.group()


def _spelled(part: str) -> str:
    """What a part of a key says, whose quotes and escapes `tomllib` knows best."""
    if part[:1] not in {'"', "'"}:
        return part
    (key,) = tomllib.loads(f"{part} = 0")
    return key
