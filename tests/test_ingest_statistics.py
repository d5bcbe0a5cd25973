"""Readers that skip files by their statistics skip none with rows that they look for."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import redis
from deltalake import DeltaTable, QueryBuilder
from hypothesis import given
from hypothesis import strategies as st
from lakeflow_redis.ingest import ingest
from lakeflow_redis.ingest.statistics import statistics_of

from tests import data
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES

MODES = pytest.mark.parametrize("mode", ["string", "binary"])


def found(there: DeltaTable, column: str, value: Any) -> dict[str, int]:
    """How many rows different readers find."""
    where = f"\"{column}\" = '{value}'" if isinstance(value, str) else f'"{column}" = {value}'
    rows = {
        "pyarrow": there.to_pyarrow_dataset().to_table(filter=ds.field(column) == value).num_rows,
        "polars": pl.scan_delta(there).filter(pl.col(column) == value).collect().height,
    }
    if not isinstance(value, bytes) and "'" not in str(value):
        query = QueryBuilder().register("t", there).execute(f"SELECT * FROM t WHERE {where}")
        rows["deltalake"] = pa.table(query).num_rows
    return rows


@pytest.mark.parametrize("table", CONTENT_TABLES)
@MODES
def test_rows_are_found_by_names_and_numbers(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, table: str, mode: str
) -> None:
    """A name that is too long for statistics is in only one of two tables."""
    words = [word for word in data.TEXTS if len(word) < 100]
    for name in words:
        data.add_one(one_client, table, name)
    one_client.expire(words[0], 1_000_000)
    ingest(one_connect(value_type=mode), tmp_path / "short", [table])
    data.add_one(one_client, table, data.TEXTS[-1])
    ingest(one_connect(value_type=mode), tmp_path / "long", [table])
    for lake, names in (("short", words), ("long", [*words, data.TEXTS[-1]])):
        there = DeltaTable(tmp_path / lake / table)
        for name in names:
            value = name if mode == "binary" else name.decode()
            counts = found(there, "key_name", value)
            assert set(counts.values()) == {1}, (counts, name)
        missing = b"missing" if mode == "binary" else "missing"
        assert set(found(there, "key_name", missing).values()) == {0}
        dataset = there.to_pyarrow_dataset()
        assert dataset.count_rows(filter=ds.field("ttl_seconds").is_null()) == len(names) - 1
        assert dataset.count_rows(filter=ds.field("ttl_seconds") > 1) == 1


def test_rows_are_found_by_their_score(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    scores = {name: score for name, score in data.SCORES.items() if abs(score) < 1e300}
    one_client.zadd("finite", scores)
    ingest(one_connect(), tmp_path / "finite", ["sorted_sets"])
    one_client.zadd("infinite", data.SCORES)
    ingest(one_connect(), tmp_path / "infinite", ["sorted_sets"])
    for lake, times in (("finite", 1), ("infinite", 2)):
        dataset = DeltaTable(tmp_path / lake / "sorted_sets").to_pyarrow_dataset()
        for score in {*scores.values()}:
            rows = sum(other == score for other in scores.values())
            assert dataset.count_rows(filter=ds.field("score") == score) == rows * times
    assert dataset.count_rows(filter=ds.field("score") == float("inf")) == 1


@given(
    st.lists(st.none() | st.text() | st.text("a\ud7ff\ue000\U0010ffff", min_size=30), min_size=1)
)
def test_bounds_are_not_within(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str | None]
) -> None:
    """In the order of bytes, as readers compare."""
    path = tmp_path_factory.mktemp("bounds") / "file"
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), path)
    said = json.loads(statistics_of(path))
    assert said["numRecords"] == len(texts)
    assert said["nullCount"]["text"] == texts.count(None)
    values = [text.encode() for text in texts if text is not None]
    if values and "minValues" in said:
        assert said["minValues"]["text"].encode() <= min(values)
        assert said["maxValues"]["text"].encode() >= max(values)
        assert len(said["maxValues"]["text"]) <= 32
    else:
        assert not values or set("\U0010ffff") >= set(max(values).decode()[:32])
