"""About how much a run would read, from a sample of the keys and of what is in some of them."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lakeflow_redis._core import KeySelection, LakeflowConnect
from lakeflow_redis.ingest.model import TableSpec
from lakeflow_redis.pipeline.options import SPECS
from lakeflow_redis.pipeline.probe import CAP, Probe
from lakeflow_redis.pipeline.references import resolve
from lakeflow_redis.pipeline.survey import MOST_KEYS, TABLE_OF_TYPE, Key, Sample, sample

SURE_BELOW = 3.0
"""Where none of n keys matches, fewer than 3/n of all do, with 95 % confidence (the rule of three)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What would be read for one table."""

    table: str
    name: str
    pattern: str
    """Which keys, as the options say it."""
    keys: int | None
    """Keys that match; None for a table that is not made of keys."""
    rows: int | None
    """Rows; of `streams`, those since the last run. None where nothing tells."""
    memory_bytes: int | None
    """What the keys take in the server's memory; None where nothing tells."""
    is_counted: bool
    """Whether `keys` is a count, and not an estimate."""
    is_least: bool
    """Whether `rows` is only how many there are at least."""
    fewer_than: int | None
    """Where no key of the sample matches: how many may, at most; else None."""
    start: Mapping[str, Any] | None
    """The offset from which it would be read."""


@dataclass(frozen=True, slots=True)
class Estimates:
    """What a run would read."""

    total_keys: int
    """Keys in the databases that would be read, as the servers count them."""
    sampled_keys: int
    """How many of them were looked at."""
    is_whole: bool
    """Whether there are no others that the user may read."""
    tables: tuple[Estimate, ...]


def estimate(
    connector: LakeflowConnect,
    tables: Iterable[TableSpec],
    options: Mapping[str, str] | None = None,
    starts: Mapping[str, Mapping[str, Any] | None] | None = None,
    most: int = MOST_KEYS,
) -> Estimates:
    """Look at a server, and say about how much there is to read. Reads some keys; writes nothing.

    Args:
        connector: what would be read.
        tables: the tables.
        options: the connector's options, of which one says how many entries a run reads at most.
        starts: where the last run ended, by the tables' names in the lake; one that is left out is
            as None, from the beginning.
        most: about how many keys to look at.

    Raises:
        LakeflowRedisError: the server cannot be read.
    """
    options = options or {}
    reads = [
        _Read.of(connector, spec, options, (starts or {}).get(spec.name or spec.table))
        for spec in tables
    ]
    databases = {db for read in reads for db in read.selection.databases or ()}
    found = sample(connector, most, databases)
    return Estimates(
        found.total,
        len(found.keys),
        found.is_whole,
        tuple(_of_table(connector, read, found) for read in reads),
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """What a run would do for one table."""

    spec: TableSpec
    selection: KeySelection
    has_rules: bool
    """Whether rules name the databases, and not what the connector reads."""
    start: Mapping[str, Any] | None
    most: int | None
    """Entries of `streams` that it reads at most."""

    @classmethod
    def of(
        cls,
        connector: LakeflowConnect,
        spec: TableSpec,
        options: Mapping[str, str],
        start: Mapping[str, Any] | None,
    ) -> "_Read":
        most = spec.options.get(CAP, options.get(CAP))
        selection = connector.key_selection(spec.options)
        return cls(
            spec,
            selection,
            selection.databases is not None,
            start,
            None if most is None else int(resolve(most, os.environ)),
        )

    @property
    def is_of_keys(self) -> bool:
        """Whether the table is made of keys at all."""
        return self.spec.table in (SPECS["key_pattern"]["tables"] or ())

    def takes(self, key: Key, sample: Sample) -> bool:
        """Whether a key of a sample would be read."""
        if self.spec.table not in {"keys", TABLE_OF_TYPE.get(key.type)}:
            return False
        # The sample may be of more databases than the connector reads.
        is_read = self.has_rules or key.db in sample.read
        return is_read and self.selection.takes(key.db, key.name, key.type)


def _of_table(connector: LakeflowConnect, read: _Read, found: Sample) -> Estimate:
    spec = read.spec
    if not read.is_of_keys:
        return _without_keys(spec)
    matching = [key for key in found.keys if read.takes(key, found)]
    keys = round(sum(key.stands_for for key in matching))
    probe = Probe(connector, spec, read.start, matching)
    none_of_some = found.keys and not matching and not found.is_whole
    return Estimate(
        table=spec.table,
        name=spec.name or spec.table,
        pattern=read.selection.text,
        keys=keys,
        rows=probe.rows(keys, read.most),
        memory_bytes=probe.memory_bytes(keys),
        is_counted=found.is_whole,
        is_least=probe.is_cut,
        fewer_than=round(SURE_BELOW * found.total / len(found.keys)) if none_of_some else None,
        start=read.start,
    )


def _without_keys(spec: TableSpec) -> Estimate:
    return Estimate(
        table=spec.table,
        name=spec.name or spec.table,
        pattern="",
        keys=None,
        rows=None,
        memory_bytes=None,
        is_counted=True,
        is_least=False,
        fewer_than=None,
        start=None,
    )
