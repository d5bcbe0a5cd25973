"""Parquet files instead of Delta tables: the same rows, whole files only, and every entry once."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from lakeflow_redis import ConfigurationError, DecodeError
from lakeflow_redis.ingest import Lake, LakeError, TableSpec, ingest, ingest_each
from lakeflow_redis.ingest.parquet import END, RUN, VERSION

from tests import data
from tests.compare import assert_same_rows
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES, TABLES
from tests.killed import PARQUET_MOMENTS, run_killed
from tests.parquet import files, parquet_rows
from tests.servers import Server
from tests.streams import Entry, add

DATA = "data.parquet"
FIRST = f"{0:020}.parquet"


def lake(folder: Path) -> Lake:
    """A lake of Parquet files."""
    return Lake(folder, "parquet")


def entries(folder: Path) -> list[Entry]:
    """The key and id of every stream entry that landed, in order, repeated ones too."""
    return sorted((row["key_name"], row["entry_id"]) for row in parquet_rows(folder / "streams"))


def listing(folder: Path) -> dict[Path, bytes | None]:
    """All files at any depth with their content, and folders, but for the receipts."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if "_lakeflow_runs" not in path.parts
    }


# As they are read


@pytest.mark.parametrize("mode", ["string", "binary"])
@pytest.mark.parametrize("table", CONTENT_TABLES)
def test_a_table_lands_as_read_table_gives_it(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, table: str, mode: str
) -> None:
    data.fill(one_client, table, data.WORDS if mode == "binary" else data.TEXTS)
    connector = one_connect(value_type=mode)
    (result,) = ingest(connector, lake(tmp_path), [table])
    expected = list(connector.read_table(table)[0])
    assert result.rows == len(expected) > len(data.TEXTS)
    assert_same_rows(table, parquet_rows(tmp_path / table), expected)
    (file,) = files(tmp_path / table)
    schema = pq.read_schema(file).remove_metadata()
    assert schema == TABLES[table].schema(binary=mode == "binary")


def test_all_tables_land_and_those_without_rows_have_their_columns(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    results = ingest(one_connect(), lake(tmp_path))
    assert {result.name for result in results} == set(TABLES)
    for result in results:
        (file,) = files(tmp_path / result.name)
        assert file.name == (FIRST if result.name == "streams" else DATA)
        assert pq.read_schema(file).remove_metadata() == TABLES[result.name].schema()
        assert pq.read_metadata(file).num_rows == result.rows
        assert (result.version, result.committed, result.offset_version) == (0, True, None)


def test_a_snapshot_is_replaced(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    for version, value in enumerate(["a", "b", "c"]):
        one_client.flushdb()
        one_client.set(value, value)
        (result,) = ingest(one_connect(), lake(tmp_path), ["strings"])
        assert (result.version, result.mode) == (version, "replace")
        assert [row["key_name"] for row in parquet_rows(tmp_path / "strings")] == [value]
        assert [file.name for file in files(tmp_path / "strings")] == [DATA]


def test_only_new_entries_are_appended_and_files_that_are_there_stay(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    wanted = add(one_client, "a", "9-1", "10-1") + add(one_client, "b", "5-0")
    ingest(one_connect(), lake(tmp_path), ["streams"])
    before = listing(tmp_path / "streams")
    wanted += add(one_client, "a", "10-2") + add(one_client, "c", "1-0")
    (result,) = ingest(one_connect(), lake(tmp_path), ["streams"])
    assert (result.rows, result.version, result.mode) == (2, 1, "append")
    after = listing(tmp_path / "streams")
    assert before.items() < after.items()
    (again,) = ingest(one_connect(), lake(tmp_path), ["streams"])
    assert (again.rows, again.version, again.committed) == (0, 1, False)
    assert listing(tmp_path / "streams") == after
    assert entries(tmp_path) == sorted(wanted)


def test_a_footer_says_which_file_it_is_and_where_to_read_on(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    connector = one_connect(max_records_per_batch="3")
    wanted = add(one_client, "a", *(f"{number}-0" for number in range(1, 8)))
    results = [ingest(connector, lake(tmp_path), ["streams"])[0] for _ in range(4)]
    assert [result.rows for result in results] == [3, 3, 1, 0]
    for version, file in enumerate(files(tmp_path / "streams")):
        said = pq.read_metadata(file).metadata
        assert int(said[VERSION]) == version == int(file.stem)
        assert json.loads(said[END]) == results[version].end == results[version + 1].start
    assert entries(tmp_path) == sorted(wanted)


def test_files_of_long_ago_may_be_removed(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    for number in range(1, 4):
        add(one_client, "a", f"{number}-0")
        ingest(one_connect(), lake(tmp_path), ["streams"])
    for file in files(tmp_path / "streams")[:-1]:
        file.unlink()
    add(one_client, "a", "4-0")
    (result,) = ingest(one_connect(), lake(tmp_path), ["streams"])
    assert (result.rows, result.version) == (1, 3)
    assert entries(tmp_path) == [("a", "3-0"), ("a", "4-0")]


# What fails leaves all as it was


@pytest.mark.parametrize("landed_before", [True, False], ids=["later run", "first run"])
@pytest.mark.parametrize("moment", PARQUET_MOMENTS)
def test_a_run_that_is_killed_loses_and_repeats_nothing(
    one_server: Server,
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    moment: str,
    landed_before: bool,
) -> None:
    wanted = add(one_client, "a", "1-0", "2-0") + add(one_client, "b", "7-0")
    if landed_before:
        ingest(one_connect(), lake(tmp_path), ["streams"])
        wanted += add(one_client, "a", "3-0")
    run_killed(moment, one_server.options(), tmp_path, format="parquet")
    assert [path for path in (tmp_path / "streams").iterdir() if path.is_dir()], "it left nothing"
    wanted += add(one_client, "a", "4-0") + add(one_client, "c", "1-0")
    for _ in range(2):
        ingest(one_connect(), lake(tmp_path), ["streams"])
        assert entries(tmp_path) == sorted(wanted)
        assert set((tmp_path / "streams").iterdir()) == set(files(tmp_path / "streams"))


def test_a_read_that_fails_leaves_the_last_file(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.rpush("l", *range(100_000))
    ingest(one_connect(), lake(tmp_path), ["lists"])
    before = listing(tmp_path)
    one_client.rpush("l", b"\xff")
    heard: list[object] = []
    with pytest.raises(DecodeError):
        ingest(one_connect(), lake(tmp_path), ["lists"], on_progress=lambda *_: heard.append(_))
    assert heard, "it failed before anything was written"
    assert listing(tmp_path) == before


# Two runs at once


@pytest.mark.parametrize("landed_before", [True, False], ids=["later run", "first run"])
def test_of_two_that_append_one_stops_and_nothing_lands_twice(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, landed_before: bool
) -> None:
    wanted = add(one_client, "a", "1-0")
    if landed_before:
        ingest(one_connect(), lake(tmp_path), ["streams"])
        wanted += add(one_client, "a", "2-0")

    def run_another(*_: object) -> None:
        wanted.extend(add(one_client, "a", "3-0"))
        ingest(one_connect(), lake(tmp_path), ["streams"])

    with pytest.raises(LakeError, match="another run"):
        ingest(one_connect(), lake(tmp_path), ["streams"], on_progress=run_another)
    assert entries(tmp_path) == sorted(wanted)
    wanted += add(one_client, "a", "4-0")
    ingest(one_connect(), lake(tmp_path), ["streams"])
    assert entries(tmp_path) == sorted(wanted)


@pytest.mark.parametrize("landed_before", [True, False], ids=["later run", "first run"])
def test_of_two_that_replace_one_stops(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, landed_before: bool
) -> None:
    one_client.mset({str(number): "old" for number in range(10)})
    if landed_before:
        ingest(one_connect(), lake(tmp_path), ["strings"])

    def run_another(*_: object) -> None:
        one_client.mset({str(number): "new" for number in range(20)})
        ingest(one_connect(), lake(tmp_path), ["strings"])

    with pytest.raises(LakeError, match="another run"):
        ingest(one_connect(), lake(tmp_path), ["strings"], on_progress=run_another)
    assert [row["value"] for row in parquet_rows(tmp_path / "strings")] == ["new"] * 20


# What is not ours


def of_others(folder: Path) -> None:
    """A file that is none of ours."""
    (folder / "notes.csv").write_text("mine")


def parquet_of_others(folder: Path) -> None:
    """A Parquet file of another's name."""
    shutil.copy(next(folder.glob("*.parquet")), folder / "part-0.parquet")


def folder_of_others(folder: Path) -> None:
    """A folder."""
    (folder / "year=2026").mkdir()


@pytest.mark.parametrize("table", ["strings", "streams"])
@pytest.mark.parametrize("make", [of_others, parquet_of_others, folder_of_others])
def test_a_folder_that_holds_something_else_is_refused(
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    table: str,
    make: Callable[[Path], None],
) -> None:
    ingest(one_connect(), lake(tmp_path), [table])
    make(tmp_path / table)
    before = listing(tmp_path)
    with pytest.raises(ConfigurationError, match="holds something else"):
        ingest_each(one_connect(), lake(tmp_path), ["keys", table])
    assert listing(tmp_path) == before


def without_our_words(file: Path) -> None:
    """As another program would have written it."""
    pq.write_table(pq.read_table(file).replace_schema_metadata(None), file)


def with_a_word_too_few(file: Path) -> None:
    """With the number, and not with the offset."""
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({VERSION: b"0", RUN: b"a run"}), file)


def with_other_words(file: Path) -> None:
    """With an offset that is none."""
    table = pq.read_table(file)
    said = {VERSION: b"0", RUN: b"a run", END: b"not {JSON"}
    pq.write_table(table.replace_schema_metadata(said), file)


def with_no_object(file: Path) -> None:
    """With an offset that is JSON, and no object."""
    table = pq.read_table(file)
    said = {VERSION: b"0", RUN: b"a run", END: b"[]"}
    pq.write_table(table.replace_schema_metadata(said), file)


def damaged(file: Path) -> None:
    """Cut off in the middle."""
    file.write_bytes(file.read_bytes()[:100])


def emptied(file: Path) -> None:
    """Of no bytes at all."""
    file.write_bytes(b"")


def of_something_else(file: Path) -> None:
    """Parquet with other columns."""
    pq.write_table(pa.table({"id": [1]}), file)


@pytest.mark.parametrize("evolve", [True, False])
@pytest.mark.parametrize("table", ["strings", "streams"])
@pytest.mark.parametrize(
    "break_it",
    [
        *(without_our_words, with_a_word_too_few, with_other_words, with_no_object),
        *(damaged, emptied, of_something_else),
    ],
)
def test_a_last_file_that_does_not_say_what_ours_say_is_refused_before_anything_is_read(
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    table: str,
    break_it: Callable[[Path], None],
    evolve: bool,
) -> None:
    data.add_one(one_client, table, "name")
    ingest(one_connect(), lake(tmp_path), [table])
    (file,) = files(tmp_path / table)
    break_it(file)
    before = listing(tmp_path)
    one_client.config_resetstat()
    with pytest.raises(LakeError, match=f"{file.name} .*land into another folder"):
        ingest(one_connect(), lake(tmp_path), [table], evolve=evolve)
    assert listing(tmp_path) == before
    assert "cmdstat_scan" not in one_client.info("commandstats"), "it was read"
    others = list(ingest_each(one_connect(), lake(tmp_path), [table, "keys"], evolve=evolve))
    assert [(each.name, each.committed) for each in others] == [(table, False), ("keys", True)]


def test_a_file_under_another_number_is_refused(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    add(one_client, "a", "1-0")
    ingest(one_connect(), lake(tmp_path), ["streams"])
    (file,) = files(tmp_path / "streams")
    file.rename(file.with_name(f"{7:020}.parquet"))
    with pytest.raises(LakeError, match="not as lakeflow-redis wrote it"):
        ingest(one_connect(), lake(tmp_path), ["streams"])


@pytest.mark.parametrize("table", ["strings", "streams"])
def test_a_table_is_of_one_format(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, table: str
) -> None:
    data.add_one(one_client, table, "name")
    ingest(one_connect(), tmp_path / "delta", [table])
    with pytest.raises(ConfigurationError, match="holds something else"):
        ingest(one_connect(), lake(tmp_path / "delta"), [table])
    ingest(one_connect(), lake(tmp_path / "parquet"), [table])
    with pytest.raises(ConfigurationError, match=r"not a Delta table \(.*parquet\)"):
        ingest(one_connect(), tmp_path / "parquet", [table])


@pytest.mark.parametrize("mode", ["merge", "history"])
def test_what_only_delta_can_do_is_refused(
    one_connect: Connect, one_client: redis.Redis, tmp_path: Path, mode: str
) -> None:
    spec = TableSpec("strings", mode=mode)  # type: ignore[arg-type] # Both are modes.
    with pytest.raises(ConfigurationError, match=f"`{mode}` needs Delta tables"):
        ingest_each(one_connect(), lake(tmp_path), [spec])
    assert listing(tmp_path) == {}
