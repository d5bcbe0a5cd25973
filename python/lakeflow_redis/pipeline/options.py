"""The connector's options in a pipeline file: made into text, and checked by the core."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from lakeflow_redis._core import LakeflowConnect, option_specs
from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.pipeline.document import Document
from lakeflow_redis.pipeline.key_lines import Path
from lakeflow_redis.pipeline.references import has_reference

if TYPE_CHECKING:  # The stub's own, for types only.
    from lakeflow_redis.shapes import Metadata, OptionSpec

SPECS: dict[str, "OptionSpec"] = {spec["name"]: spec for spec in option_specs()}
"""Every option, by its name."""

OF_TABLES = {name for name, spec in SPECS.items() if spec["scope"] == "table"}
"""Options that may be given for one table."""


def texts(document: Document, path: Path, table: Mapping[str, Any]) -> dict[str, str]:
    """The options in a table of the file, as text; what is none of their values is noted.

    Args:
        document: the file.
        path: where the table stands.
        table: what it holds besides options is left out.

    Returns:
        Those that have a text, in the order of the file.
    """
    found: dict[str, str] = {}
    for name in (name for name in table if name in SPECS):
        text = _text(table[name])
        if text is None or (isinstance(table[name], bool) and SPECS[name]["type"] != "boolean"):
            kind = (
                "list or a table" if isinstance(table[name], (list, dict)) else "value of this type"
            )
            document.wrong((*path, name), f"it takes no {kind}; write it as a text in quotes")
        else:
            found[name] = text
    return found


def _text(value: object) -> str | None:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case datetime() | date():
            return value.isoformat()
        case _:
            return None


class IngestionKind(NamedTuple):
    """How a table is ingested."""

    ingestion_type: str
    """`snapshot` or `append`."""
    has_key: bool
    """Whether the columns that are read tell its rows apart."""


class Checks:
    """What the core says of a file's options, without a server and without the environment.

    Args:
        document: the file, in which problems are noted.
        path: where the options of the connection stand.
        connection: they, of which what is wrong is noted at once.
    """

    def __init__(self, document: Document, path: Path, connection: Mapping[str, str]) -> None:
        self._document = document
        sound = self._without_faults(path, _filled_in(connection), LakeflowConnect)
        of_tables = {name: value for name, value in sound.items() if name in OF_TABLES}
        self._stand_ins = [
            LakeflowConnect(of_tables | {"host": "stand-in", "mode": mode, "db": db})
            for mode, db in _possible(connection, sound)
        ]

    def check_table(
        self, path: Path, table: str, options: Mapping[str, str]
    ) -> IngestionKind | None:
        """Note what is wrong with the options for reading a table.

        Returns:
            What the core says of it, or None where not even that can be said.
        """
        found: list[Metadata] = []

        def check(left: dict[str, str]) -> None:
            # Which columns there are may depend on what only the environment or the server tells.
            # Then it is enough that there is a way in which they are all there.
            errors = []
            for connector in self._stand_ins:
                try:
                    found.append(connector.read_table_metadata(table, left))
                except ConfigurationError as error:
                    errors.append(error)
                else:
                    return
            raise errors[0]

        self._without_faults(path, _without_references(options), check)
        if not found:
            return None
        return IngestionKind(found[-1]["ingestion_type"], bool(found[-1]["primary_keys"]))

    def _without_faults(
        self, path: Path, options: dict[str, str], check: Callable[[dict[str, str]], object]
    ) -> dict[str, str]:
        """Note each thing that the core has to say, one after the other; gives what is left.

        It stops at the first, which says what options it is about; the next is found without
        these.
        """
        left = dict(options)
        while True:
            try:
                check(left)
            except ConfigurationError as error:
                text, named = str(error), error.options
            else:
                return left
            about = [name for name in named if name in left]
            wrong = self._document.wrong_keys(path)
            # Where something is left out already, that may be all that is wrong now.
            if not wrong or (about and wrong.isdisjoint(named)):
                self._document.wrong((*path, *about[:1]), text)
            if not about:
                return {name: value for name, value in left.items() if name in OF_TABLES}
            for name in about:
                left.pop(name, None)


def _possible(connection: Mapping[str, str], sound: Mapping[str, str]) -> list[tuple[str, str]]:
    """What the server may be part of, and which databases may be read, as far as is known here.

    It decides on the columns `node` and `db`.
    """
    if "url" in connection or has_reference(connection.get("db", "")):
        databases = ["0", "*"]
    else:
        databases = [sound.get("db", "0")]
    alone = [("standalone", db) for db in databases]
    match connection.get("mode", "auto"):
        case "cluster":
            return [("cluster", "0")]
        case "standalone" | "sentinel":
            return alone
        case _:
            return [*alone, ("cluster", "0")]


def _filled_in(connection: Mapping[str, str]) -> dict[str, str]:
    """A connection with something in the place of references, so that the core checks the rest.

    Where the address is one, it can check single options only, and does.
    """
    given = {
        name: value
        for name, value in connection.items()
        if not (name in OF_TABLES and has_reference(value))
    }
    if has_reference(given.get("url", "")):
        return given
    return {
        name: _some_value(SPECS[name]) if has_reference(value) else value
        for name, value in given.items()
    }


def _some_value(spec: "OptionSpec") -> str:
    return spec["default"] or next(iter(spec["choices"]), "1")


def _without_references(options: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if not has_reference(value)}
