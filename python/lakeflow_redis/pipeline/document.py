"""A TOML file with what it says where, and what is found to be wrong with it."""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lakeflow_redis.pipeline.key_lines import Path as KeyPath
from lakeflow_redis.pipeline.key_lines import key_lines
from lakeflow_redis.pipeline.problems import PipelineError, Problem, nearest

T = TypeVar("T", str, bool)
C = TypeVar("C", bound=str)

TYPES = {str: "a text in quotes", bool: "true or false", dict: "a table", list: "a list"}
"""In words, by what `tomllib` makes of them."""


class Document:
    """A parsed file, in which problems are noted by the path of a key.

    Args:
        path: the file.

    Raises:
        PipelineError: it is no TOML.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._file = str(path)
        self._problems: list[Problem] = []
        self._wrong: set[KeyPath] = set()
        self._warnings: list[Problem] = []
        text = self._text(path)
        try:
            self.content: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            # Not as its cause: that may hold all of the text, with whatever secrets are in it.
            raise PipelineError([self._at(None, f"it is no TOML: {error}")]) from None
        self._lines = key_lines(text)

    def _text(self, path: Path) -> str:
        # Some editors begin a file with a byte order mark.
        content = path.read_bytes()
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
        # Behind the handler, since that error holds all of the content too.
        raise PipelineError([self._at(line, "it is not UTF-8, as TOML is")])

    def _at(self, line: int | None, text: str) -> Problem:
        return Problem(self._file, line, "", text)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What should be otherwise, in the order of lines."""
        return tuple(sorted(self._warnings, key=_order))

    def raise_problems(self) -> None:
        """Raise all that is wrong, if anything is.

        Raises:
            PipelineError: something is.
        """
        if self._problems:
            raise PipelineError(sorted(self._problems, key=_order)) from None

    def wrong(self, path: KeyPath, text: str) -> None:
        """Note what is wrong with the value of a key."""
        self._wrong.add(path)
        self._problems.append(self._problem(path, text))

    def wrong_keys(self, path: KeyPath) -> set[str | int]:
        """The keys of a table whose values were found to be wrong so far."""
        return {each[-1] for each in self._wrong if each[:-1] == path}

    def warn(self, path: KeyPath, text: str) -> None:
        """Note what should be otherwise."""
        self._warnings.append(self._problem(path, text))

    def line(self, path: KeyPath) -> int | None:
        """The line of a key; of what is missing, that of the table in which it is missing."""
        known = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in self._lines), ())
        return self._lines.get(known)

    def _problem(self, path: KeyPath, text: str) -> Problem:
        return Problem(self._file, self.line(path), self._shown(path), text)

    def _shown(self, path: KeyPath) -> str:
        """A path as it looks in the file: `[lake] to`, `[[tables]] name`."""
        *tables, key = path
        if isinstance(key, int):
            return _header(path)
        if tables:
            return f"{_header(tuple(tables))} {key}"
        return _header(path) if isinstance(self.content.get(key, {}), dict) else key

    def table(self, path: KeyPath, value: Any) -> dict[str, Any]:
        """A value that must be a table; an empty one where it is not."""
        if isinstance(value, dict):
            return value
        self.wrong(path, f"{_is(value)} and must be a table, such as {_header(path)}")
        return {}

    def section(self, name: str) -> dict[str, Any]:
        """A table at the top; empty where there is none."""
        return self.table((name,), self.content.get(name, {}))

    def entries(self, name: str) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
        """The tables of an array of tables at the top, and their paths."""
        value = self.content.get(name, [])
        if not isinstance(value, list):
            self.wrong((name,), f"{_is(value)}; begin each table by [[{name}]], in two brackets")
            return
        if name in self.content and not value:
            self.wrong((name,), "it is empty; leave it out where nothing is to be named")
        for number, each in enumerate(value):
            yield (name, number), self.table((name, number), each)

    def get(self, path: KeyPath, table: Mapping[str, Any], key: str, kind: type[T]) -> T | None:
        """A value of a table, if it is there and of its type."""
        value = table.get(key)
        if value is None or isinstance(value, kind):
            return value
        self.wrong((*path, key), f"{_is(value)} and must be {TYPES[kind]}")
        return None

    def choice(
        self, path: KeyPath, table: Mapping[str, Any], key: str, choices: Collection[C]
    ) -> C | None:
        """A value of a table that must be one of several texts."""
        value = self.get(path, table, key, str)
        if value is None:
            return None
        for choice in choices:
            if choice == value:
                return choice
        all_of_them = "`, `".join(choices)
        self.wrong((*path, key), f"{value!r} is none of `{all_of_them}`{nearest(value, choices)}")
        return None

    def check_keys(
        self, path: KeyPath, table: Mapping[str, Any], known: Collection[str], what: str = "key"
    ) -> None:
        """Note all keys that mean nothing."""
        for key in table:
            if key not in known:
                self.wrong((*path, key), f"there is no such {what}{nearest(key, known)}")


def _order(problem: Problem) -> int:
    return problem.line or 0


def _is(value: object) -> str:
    """What a value is, without showing it: it may be a secret in a wrong place."""
    return f"it is {TYPES.get(type(value), 'of another type')}"


def _header(path: KeyPath) -> str:
    names = ".".join(str(each) for each in path if isinstance(each, str))
    return f"[[{names}]]" if any(isinstance(each, int) for each in path) else f"[{names}]"
