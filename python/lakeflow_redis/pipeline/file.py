"""A pipeline file: what to read, and how it is to land, in TOML.

    [connection]                  # any option of the connector
    url = "{{ REDIS_URL }}"

    [lake]
    to = "./lake"                 # relative to the file's folder, or a URL
    format = "delta"
    [lake.storage_options]        # what the object store needs
    AWS_ENDPOINT_URL = "{{ ENDPOINT }}"

    [ingest]
    quarantine = true
    evolve = false
    every = "5m"

    [[tables]]                    # all tables, where none is named
    table = "hashes"
    name = "users"
    mode = "merge"
    key_pattern = "user:*"        # any option of scope `table`

Options may be texts, numbers, booleans and moments. `{{ NAME }}` stands for an environment variable,
in options and in the section `lake`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, get_args

from lakeflow_redis._core import LakeflowConnect
from lakeflow_redis.exceptions import ConfigurationError
from lakeflow_redis.ingest.model import FileFormat, Lake, Mode, TableSpec
from lakeflow_redis.ingest.stores import URL, store_of
from lakeflow_redis.pipeline import references
from lakeflow_redis.pipeline.clear_secrets import warn_of_lake, warn_of_options
from lakeflow_redis.pipeline.document import Document
from lakeflow_redis.pipeline.interval import parse_interval
from lakeflow_redis.pipeline.options import SPECS, Checks, texts
from lakeflow_redis.pipeline.problems import Problem
from lakeflow_redis.pipeline.tables import read_tables

SECTIONS = ("connection", "lake", "ingest", "tables")

LAKE_KEYS = ("to", "format", "storage_options")

INGEST_KEYS = ("quarantine", "evolve", "every")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a pipeline file says. References are as they stand there."""

    connection: Mapping[str, str] = field(repr=False)
    """The connector's options. May hold secrets, and is in no `repr`."""
    lake: Lake
    """As it was given; see `resolved_lake`."""
    tables: tuple[TableSpec, ...] | None
    """None means all tables."""
    mode: Mode | None = None
    """For snapshot tables that say none; a file has it for each of its tables only."""
    evolve: bool = False
    quarantine: bool = False
    every: float | None = None
    """Seconds from the beginning of a run to that of the next; None for a single run."""
    folder: Path = Path()
    """What the lake's folder is relative to: that of the file."""
    warnings: tuple[Problem, ...] = ()
    """What should be otherwise, such as a secret in clear."""

    def with_settings(
        self, *, evolve: bool | None, quarantine: bool | None, every: float | None, once: bool
    ) -> "Pipeline":
        """The same with what else was said; None leaves a setting as it is, and so does `once=False`."""
        return replace(
            self,
            evolve=self.evolve if evolve is None else evolve,
            quarantine=self.quarantine if quarantine is None else quarantine,
            every=None if once else every or self.every,
        )

    def connector(self) -> LakeflowConnect:
        """The connector. It looks up references by itself, each time it connects."""
        return LakeflowConnect(self.connection)

    def resolved_lake(self, environment: Mapping[str, str] = os.environ) -> Lake:
        """The lake with environment variables in the place of references.

        A folder that is not absolute is one in `folder`.

        Raises:
            ConfigurationError: a variable is not set.
        """
        return resolved(self.lake, environment, self.folder)


def resolved(
    lake: Lake, environment: Mapping[str, str] = os.environ, folder: Path = Path()
) -> Lake:
    """A lake with environment variables in the place of references.

    Args:
        lake: with references, or without.
        environment: where they are looked up.
        folder: what a path that is not absolute is relative to.

    Raises:
        ConfigurationError: a variable is not set, or the place is empty.
    """
    options = {}
    for name, value in lake.storage_options.items():
        try:
            options[name] = references.resolve(value, environment)
        except ConfigurationError as error:
            raise ConfigurationError(f"storage option {name} {error}") from None
    try:
        to = references.resolve(os.fspath(lake.to), environment)
    except ConfigurationError as error:
        raise ConfigurationError(f"the lake's place {error}") from None
    if not to:
        raise ConfigurationError('the lake\'s place is empty; "." is a folder, too')
    return Lake(to if URL.match(to) else folder / to, lake.format, options)


def load(path: str | PathLike[str], *, environment: Mapping[str, str] | None = None) -> Pipeline:
    """Read a pipeline file, and check all of it that needs no server.

    Args:
        path: the file.
        environment: where `{{ NAME }}` will be looked up, so that what is missing is an error now;
            None to leave that for later.

    Raises:
        PipelineError: something is wrong; it says all that is, each with its line.
        OSError: the file cannot be read.
    """
    path = Path(path)
    document = Document(path)
    document.check_keys((), document.content, SECTIONS, "section")
    connection = _connection(document)
    lake = _lake(document, path.parent)
    given = document.section("ingest")
    document.check_keys(("ingest",), given, INGEST_KEYS)
    evolve, quarantine = (
        document.get(("ingest",), given, name, bool) or False for name in ("evolve", "quarantine")
    )
    every = _every(document, given)
    checks = Checks(document, ("connection",), connection)
    tables = read_tables(document, checks, lake.format)
    if environment is not None:
        _check_references(document, environment)
    document.raise_problems()
    return Pipeline(
        connection=connection,
        lake=lake,
        tables=tables,
        evolve=evolve,
        quarantine=quarantine,
        every=every,
        folder=path.parent,
        warnings=document.warnings,
    )


def _connection(document: Document) -> dict[str, str]:
    path = ("connection",)
    given = document.section("connection")
    document.check_keys(path, given, SPECS, "option")
    options = texts(document, path, given)
    warn_of_options(document, path, options)
    return options


def _lake(document: Document, folder: Path) -> Lake:
    path = ("lake",)
    given = document.section("lake")
    document.check_keys(path, given, LAKE_KEYS)
    to = document.get(path, given, "to", str)
    if "to" not in given and isinstance(document.content.get("lake", {}), dict):
        document.wrong(
            path, 'it lacks `to`, the lake\'s folder or URL; say it as [lake] and to = "./lake"'
        )
    elif to == "":
        document.wrong((*path, "to"), 'it is empty; "." is the folder of this file')
    elif to is not None and to.startswith("~"):
        document.wrong((*path, "to"), "`~` is no shell's here; write {{ HOME }} instead")
    form: FileFormat | None = document.choice(path, given, "format", get_args(FileFormat))
    options = _storage_options(document, given)
    warn_of_lake(document, path, to or "", options)
    lake = Lake(to or "", form or "delta", options)
    if to and not any(map(references.has_reference, (to, *options.values()))):
        try:
            store_of(resolved(lake, folder=folder))
        except ConfigurationError as error:
            document.wrong((*path, "to"), str(error))
    return lake


def _storage_options(document: Document, lake: Mapping[str, Any]) -> dict[str, str]:
    path = ("lake", "storage_options")
    given = document.table(path, lake.get("storage_options", {}))
    found = {}
    for name, value in given.items():
        if isinstance(value, (dict, list)):
            document.wrong((*path, name), "it takes no list or table; write it as a text in quotes")
        else:
            found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def _every(document: Document, ingest: Mapping[str, Any]) -> float | None:
    text = document.get(("ingest",), ingest, "every", str)
    if text is None:
        return None
    try:
        return parse_interval(text)
    except ConfigurationError as error:
        document.wrong(("ingest", "every"), str(error))
        return None


def _check_references(document: Document, environment: Mapping[str, str]) -> None:
    """Note what is not set."""

    def look(path: tuple[str | int, ...], value: object) -> None:
        match value:
            case dict():
                for name, each in value.items():
                    look((*path, name), each)
            case list():
                for number, each in enumerate(value):
                    look((*path, number), each)
            case str():
                for name in references.names(value):
                    if name not in environment:
                        document.wrong(path, references.not_set(name))

    look((), document.content)
