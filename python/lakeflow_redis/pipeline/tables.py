"""The tables of a pipeline file."""

from collections.abc import Mapping
from typing import Any, get_args

from lakeflow_redis._core import LakeflowConnect
from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.ingest.model import FileFormat, Mode, TableSpec
from lakeflow_redis.ingest.ways import check_name, way
from lakeflow_redis.pipeline.document import Document
from lakeflow_redis.pipeline.key_lines import Path
from lakeflow_redis.pipeline.options import OF_TABLES, SPECS, Checks, IngestionKind, texts
from lakeflow_redis.pipeline.problems import nearest

OWN_KEYS = ("table", "name", "mode")
"""What a table says besides options. No option of scope `table` is called so."""


def read_tables(
    document: Document, checks: Checks, form: FileFormat
) -> tuple[TableSpec, ...] | None:
    """The tables, in the order of the file, or None where it names none; notes what is wrong.

    Args:
        document: the file.
        checks: the core's word on options.
        form: the format in which they are to land.
    """
    specs = [
        _read_table(document, checks, form, path, given)
        for path, given in document.entries("tables")
    ]
    _check_names(document, specs)
    return tuple(spec for spec in specs if spec is not None) or None


def _read_table(
    document: Document, checks: Checks, form: FileFormat, path: Path, given: Mapping[str, Any]
) -> TableSpec | None:
    known = [*OWN_KEYS, *(name for name in SPECS if name in OF_TABLES)]
    for key in given:
        if key in SPECS and key not in known:
            document.wrong((*path, key), "it is for the connection as a whole; put it there")
    own = {key: value for key, value in given.items() if key in known or key not in SPECS}
    document.check_keys(path, own, known)
    options = texts(document, path, {key: own[key] for key in own if key in OF_TABLES})
    table = document.get(path, given, "table", str)
    tables = LakeflowConnect.list_tables()
    if "table" not in given:
        document.wrong(path, f"it lacks `table`, one of {', '.join(tables)}")
    elif table is not None and table not in tables:
        document.wrong((*path, "table"), f"there is no table {table!r}{nearest(table, tables)}")
        table = None
    name = document.get(path, given, "name", str)
    if name is not None:
        _check_name(document, (*path, "name"), name)
    mode: Mode | None = document.choice(path, given, "mode", get_args(Mode))
    if table is None:
        return None
    for option in options:
        if table not in (SPECS[option]["tables"] or tables):
            document.warn((*path, option), f"it means nothing for the table {table}")
    kind = checks.check_table(path, table, options)
    spec = TableSpec(table, name, mode, options)
    if kind is not None:
        _check_mode(document, path, spec, form, kind)
    return spec


def _check_mode(
    document: Document, path: Path, spec: TableSpec, form: FileFormat, kind: IngestionKind
) -> None:
    """Note why a table cannot land in its mode."""
    try:
        way(form, spec, kind.ingestion_type)
    except ConfigurationError as error:
        document.wrong((*path, "mode"), str(error))
        return
    if spec.mode in {"merge", "history"} and not kind.has_key:
        document.wrong(
            (*path, "mode"),
            f"{spec.mode} tells rows apart by their primary key; `columns` leaves out a part of it",
        )


def _check_name(document: Document, path: Path, name: str) -> None:
    try:
        check_name(name)
    except ConfigurationError as error:
        document.wrong(path, str(error))


def _check_names(document: Document, specs: list[TableSpec | None]) -> None:
    """Note tables that would land in the same folder, also where case makes no difference."""
    first: dict[str, int] = {}
    for number, spec in enumerate(specs):
        if spec is None:
            continue
        name = spec.name or spec.table
        other = first.setdefault(name.casefold(), number)
        if other != number:
            key = ("tables", number, "name" if spec.name else "table")
            line = document.line(("tables", other))
            document.wrong(
                key, f"the table on line {line} lands as {name!r} too; give one a `name`"
            )
