"""Reads that are divided into partitions, which go from process to process as JSON."""

import json
import multiprocessing
from collections.abc import Iterable, Mapping
from typing import Any

from lakeflow_redis import LakeflowConnect

from tests.oracle import Row

Partition = dict[str, Any]


def partitions(
    connector: LakeflowConnect,
    table: str,
    number: int = 1,
    *,
    start: Mapping[str, Any] | None = None,
    end: Mapping[str, Any] | None = None,
) -> list[Partition]:
    """A read, divided, as another process would get it."""
    options = {"num_partitions": str(number)}
    found = connector.get_partitions(table, options, start, end)
    again: list[Partition] = json.loads(json.dumps(found))
    return again


def rows_of(
    connector: LakeflowConnect, table: str, parts: Iterable[Partition], **options: str
) -> list[list[Row]]:
    """The rows of each part."""
    return [list(connector.read_partition(table, part, options)) for part in parts]


def rows(connector: LakeflowConnect, table: str, number: int) -> list[Row]:
    """The rows of all parts of a read."""
    parts = partitions(connector, table, number)
    return [row for part in rows_of(connector, table, parts) for row in part]


def rows_elsewhere(connector: LakeflowConnect, table: str, parts: Iterable[Partition]) -> list[Row]:
    """The rows of parts that another process reads, which is given the connector and no more."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        work = [(connector, table, part) for part in parts]
        return [row for found in pool.starmap(_read, work) for row in found]


def _read(connector: LakeflowConnect, table: str, part: Partition) -> list[Row]:
    return list(connector.read_partition(table, part))
