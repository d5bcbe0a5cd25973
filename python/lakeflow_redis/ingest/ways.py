"""The ways in which a table can land, chosen in one place."""

import re
from typing import get_args

import pyarrow as pa

from lakeflow_redis._core import LakeflowConnect
from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.ingest.delta_landings import DeltaAppend, DeltaReplace
from lakeflow_redis.ingest.delta_merge import DeltaHistory, DeltaMerge
from lakeflow_redis.ingest.landing import Landing, Place, RunId
from lakeflow_redis.ingest.model import FileFormat, Mode, TableSpec
from lakeflow_redis.ingest.parquet import ParquetAppend, ParquetReplace
from lakeflow_redis.ingest.store import Store

WAYS: dict[tuple[FileFormat, Mode], type[Landing]] = {
    ("delta", "append"): DeltaAppend,
    ("delta", "replace"): DeltaReplace,
    ("delta", "merge"): DeltaMerge,
    ("delta", "history"): DeltaHistory,
    ("parquet", "append"): ParquetAppend,
    ("parquet", "replace"): ParquetReplace,
}

OWN_FOLDER = "_lakeflow"
"""Beside the tables' folders; Delta readers and Spark ignore names that begin with `_`."""

NAME = re.compile(r"[^\W_][\w.-]*")
"""A folder's name that no reader hides and no URL has to spell otherwise."""

LONGEST_NAME = 200
"""Most file systems have 255 bytes."""


def landing(  # noqa: PLR0913 - what a place is made of.
    connector: LakeflowConnect,
    lake: Store,
    file_format: FileFormat,
    spec: TableSpec,
    run: RunId,
    *,
    evolve: bool,
) -> Landing:
    """Look at a table's place in the lake.

    Raises:
        ConfigurationError: the table, an option, its name or its mode is not valid, or the place
            holds something else or other columns. Nothing has been written.
        LakeError: what is there cannot be read.
    """
    metadata = connector.read_table_metadata(spec.table, spec.options)
    name = spec.name or spec.table
    check_name(name)
    place = Place(
        name=name,
        store=lake.within(name),
        own=lake.within(OWN_FOLDER).within(name),
        schema=pa.schema(connector.get_table_schema(spec.table, spec.options)),
        primary_keys=tuple(metadata["primary_keys"]),
        evolve=evolve,
        run=run,
    )
    return way(file_format, spec, metadata["ingestion_type"])(place)


def check_name(name: str) -> None:
    """See whether a table can be called so in a lake.

    Raises:
        ConfigurationError: it cannot.
    """
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be a table's name in a lake: letters, digits, and `_`, `-` or `.` within"
        )
    if len(name.encode()) > LONGEST_NAME:
        raise ConfigurationError(
            f"a table's name in a lake has at most {LONGEST_NAME} bytes, and {name[:20]!r}… has more"
        )


def way(file_format: FileFormat, spec: TableSpec, ingestion_type: str) -> type[Landing]:
    """The way in which a table lands.

    Raises:
        ConfigurationError: there is none such, or it does not fit the table or the format.
    """
    return _way(file_format, _mode(spec, ingestion_type))


def _mode(spec: TableSpec, ingestion_type: str) -> Mode:
    if spec.mode is None:
        return "append" if ingestion_type == "append" else "replace"
    if spec.mode not in get_args(Mode):
        raise ConfigurationError(
            f"no such mode: {spec.mode!r}; there are {_listed(get_args(Mode))}"
        )
    if (spec.mode == "append") != (ingestion_type == "append"):
        raise ConfigurationError(
            f"{spec.table} cannot land by `{spec.mode}`: "
            + (
                "its entries are appended, each once; leave out the mode"
                if ingestion_type == "append"
                else "it is a snapshot, read whole each time; choose replace, merge or history"
            )
        )
    return spec.mode


def _way(file_format: FileFormat, mode: Mode) -> type[Landing]:
    if file_format not in get_args(FileFormat):
        formats = _listed(get_args(FileFormat))
        raise ConfigurationError(f"no such format: {file_format!r}; there are {formats}")
    if (file_format, mode) not in WAYS:
        raise ConfigurationError(f"`{mode}` needs Delta tables, and the format is {file_format}")
    return WAYS[file_format, mode]


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)
