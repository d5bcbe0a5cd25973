"""Lakes in an object store: as in a folder, and what else can go wrong there is said in a line."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
import redis
from deltalake import DeltaTable
from lakeflow_redis import ConfigurationError, LakeflowConnect
from lakeflow_redis.ingest import (
    Lake,
    LakeError,
    TableSpec,
    ingest,
    ingest_each,
    read_runs,
    remote_store,
    store_of,
)
from lakeflow_redis.ingest.model import FileFormat

from tests import canary, data
from tests.compare import assert_same_rows
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES, TABLES
from tests.killed import MOMENTS, REJECT_MOMENTS, REMOTE_PARQUET_MOMENTS, run_killed
from tests.object_store import BUCKET, CREDENTIALS, ObjectStore
from tests.oracle import Row
from tests.parquet import parquet_rows
from tests.peers import silent
from tests.servers import HOST, Server, free_port
from tests.streams import Entry, add
from tests.unheard import unheard

FORMATS = pytest.mark.parametrize("form", ["delta", "parquet"])


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    """An object store for all tests, each of which has a prefix of its own."""
    with ObjectStore() as store:
        yield store


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A prefix of the test's own, with characters that URLs spell otherwise."""
    return f"of {id(request.node)}/a+b"


def delta(lake: Lake, table: str) -> DeltaTable:
    """A Delta table in a lake."""
    return DeltaTable(f"{lake.to}/{table}", storage_options=dict(lake.storage_options))


def rows(store: ObjectStore, lake: Lake, table: str, tmp_path: Path) -> list[Row]:
    """The rows of a table, by readers that are not ours."""
    if lake.format == "delta":
        found: list[Row] = delta(lake, table).to_pyarrow_table().to_pylist()
        return found
    folder = tmp_path / table
    folder.mkdir(exist_ok=True)
    key = f"{lake.to}/{table}".removeprefix(f"s3://{BUCKET}/")
    for name, content in store.objects(key).items():
        (folder / name).write_bytes(content)
    return parquet_rows(folder)


def entries(store: ObjectStore, lake: Lake, tmp_path: Path) -> list[Entry]:
    """The key and id of every stream entry that landed, in order, repeated ones too."""
    landed = rows(store, lake, "streams", tmp_path)
    return sorted((row["key_name"], row["entry_id"]) for row in landed)


# As in a folder


@FORMATS
def test_all_tables_land(
    one_connect: Connect,
    one_client: redis.Redis,
    store: ObjectStore,
    prefix: str,
    tmp_path: Path,
    form: FileFormat,
) -> None:
    for table in CONTENT_TABLES:
        data.fill(one_client, table, data.TEXTS[:20])
        one_client.flushdb()
        data.add_one(one_client, table, f"of {table}")
    lake = store.lake(prefix, form)
    for version in range(2):
        results = ingest(one_connect(), lake)
        assert {result.table for result in results} == set(TABLES)
        assert {result.version for result in results if result.mode == "replace"} == {version}
    for table in [*CONTENT_TABLES, "keys"]:
        expected = list(one_connect().read_table(table)[0])
        assert_same_rows(table, rows(store, lake, table, tmp_path), expected)


@FORMATS
def test_streams_are_appended_to(
    one_connect: Connect,
    one_client: redis.Redis,
    store: ObjectStore,
    prefix: str,
    tmp_path: Path,
    form: FileFormat,
) -> None:
    lake = store.lake(prefix, form)
    wanted = add(one_client, "a", "1-0", "2-0")
    (first,) = ingest(one_connect(), lake, ["streams"])
    wanted += add(one_client, "a", "3-0") + add(one_client, "b", "1-0")
    (second,) = ingest(one_connect(), lake, ["streams"])
    (third,) = ingest(one_connect(), lake, ["streams"])
    assert [each.rows for each in (first, second, third)] == [2, 2, 0]
    assert [each.version for each in (first, second, third)] == [0, 1, 1]
    assert not third.committed
    assert entries(store, lake, tmp_path) == sorted(wanted)


@pytest.mark.parametrize(
    ("form", "moment"),
    [
        *(("delta", moment) for moment in MOMENTS),
        *(("parquet", moment) for moment in REMOTE_PARQUET_MOMENTS),
    ],
)
def test_a_run_that_is_killed_loses_and_repeats_nothing(
    one_server: Server,
    one_connect: Connect,
    one_client: redis.Redis,
    store: ObjectStore,
    prefix: str,
    tmp_path: Path,
    form: FileFormat,
    moment: str,
) -> None:
    lake = store.lake(prefix, form)
    settings = {"format": form, "storage_options": lake.storage_options}
    wanted = add(one_client, "a", "1-0", "2-0") + add(one_client, "b", "7-0")
    run_killed(moment, one_server.options(), lake.to, **settings)
    ingest(one_connect(), lake, ["streams"])
    wanted += add(one_client, "a", "3-0")
    run_killed(moment, one_server.options(), lake.to, **settings)
    wanted += add(one_client, "a", "4-0") + add(one_client, "c", "1-0")
    for _ in range(2):
        ingest(one_connect(), lake, ["streams"])
        assert entries(store, lake, tmp_path) == sorted(wanted)


@FORMATS
@pytest.mark.parametrize("landed_before", [True, False], ids=["later run", "first run"])
def test_of_two_runs_at_once_one_stops_and_nothing_lands_twice(
    one_connect: Connect,
    one_client: redis.Redis,
    store: ObjectStore,
    prefix: str,
    tmp_path: Path,
    form: FileFormat,
    landed_before: bool,
) -> None:
    lake = store.lake(prefix, form)
    wanted = add(one_client, "a", "1-0")
    if landed_before:
        ingest(one_connect(), lake, ["streams"])
        wanted += add(one_client, "a", "2-0")

    def run_another(*_: object) -> None:
        wanted.extend(add(one_client, "a", "3-0"))
        ingest(one_connect(), lake, ["streams"])

    with pytest.raises(LakeError, match="another run"):
        ingest(one_connect(), lake, ["streams"], on_progress=run_another)
    assert entries(store, lake, tmp_path) == sorted(wanted)
    wanted += add(one_client, "a", "4-0")
    ingest(one_connect(), lake, ["streams"])
    assert entries(store, lake, tmp_path) == sorted(wanted)


@pytest.mark.parametrize("landed_before", [True, False], ids=["later run", "first run"])
def test_a_new_file_that_is_too_large_for_one_request_is_staged_first(
    one_connect: Connect,
    one_client: redis.Redis,
    store: ObjectStore,
    prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    landed_before: bool,
) -> None:
    monkeypatch.setattr(remote_store, "ONE_REQUEST_BYTES", 1)
    lake = store.lake(prefix, "parquet")
    wanted = add(one_client, "a", "1-0")
    if landed_before:
        ingest(one_connect(), lake, ["streams"])
        wanted += add(one_client, "a", "2-0")

    def run_another(*_: object) -> None:
        wanted.extend(add(one_client, "a", "3-0"))
        ingest(one_connect(), lake, ["streams"])

    with pytest.raises(LakeError, match="another run"):
        ingest(one_connect(), lake, ["streams"], on_progress=run_another)
    assert entries(store, lake, tmp_path) == sorted(wanted)
    assert not [key for key in store.objects(f"{prefix}/streams") if "staged" in key]


@pytest.mark.parametrize("landed_before", [True, False], ids=["later run", "first run"])
@pytest.mark.parametrize(("form", "ending"), [("parquet", ".parquet"), ("delta", ".json")])
def test_what_has_landed_unheard_has_landed(
    one_connect: Connect,
    one_client: redis.Redis,
    store: ObjectStore,
    prefix: str,
    tmp_path: Path,
    form: FileFormat,
    ending: str,
    landed_before: bool,
) -> None:
    lake = store.lake(prefix, form)
    wanted = add(one_client, "a", "1-0")
    if landed_before:
        ingest(one_connect(), lake, ["streams"])
        wanted += add(one_client, "a", "2-0")
    name = f"{int(landed_before):020}{ending}"
    with unheard(urlsplit(store.endpoint).port or 0, name) as endpoint:
        (result,) = ingest(
            one_connect(), store.lake(prefix, form, {"AWS_ENDPOINT_URL": endpoint}), ["streams"]
        )
    assert result.committed
    assert entries(store, lake, tmp_path) == wanted
    assert not ingest(one_connect(), lake, ["streams"])[0].committed


def test_what_a_killed_run_has_staged_is_removed_in_the_end(
    one_connect: Connect,
    one_client: redis.Redis,
    store: ObjectStore,
    prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = add(one_client, "a", "1-0")
    lake = store.lake(prefix, "parquet")
    left = f"{remote_store.STAGED}/left"
    store.client().put_object(Bucket=BUCKET, Key=f"{prefix}/streams/{left}", Body=b"left")
    ingest(one_connect(), lake, ["streams"])
    assert left in store.objects(f"{prefix}/streams"), "somebody may be at work there"
    monkeypatch.setattr(remote_store, "LEFT_AFTER", type(remote_store.LEFT_AFTER)(0))
    time.sleep(1)  # The store's clock counts seconds.
    ingest(one_connect(), lake, ["streams"])
    assert left not in store.objects(f"{prefix}/streams")
    assert entries(store, lake, tmp_path) == wanted


@pytest.mark.parametrize("mode", ["merge", "history"])
def test_changes_land(
    one_connect: Connect,
    one_client: redis.Redis,
    store: ObjectStore,
    prefix: str,
    mode: Any,
) -> None:
    lake = store.lake(prefix)
    spec = TableSpec("strings", mode=mode)
    one_client.mset({"goes": "1", "stays": "2", "changes": "3"})
    ingest(one_connect(), lake, [spec])
    one_client.delete("goes")
    one_client.mset({"changes": "4", "comes": "5"})
    (result,) = ingest(one_connect(), lake, [spec])
    assert result.changes is not None
    changes = result.changes
    assert (changes.inserted, changes.updated, changes.deleted) == (1, 1, 1)
    landed = delta(lake, "strings").to_pyarrow_table().to_pylist()
    now = {row["key_name"]: row["value"] for row in landed if not row.get("valid_to")}
    assert now == {"stays": "2", "changes": "4", "comes": "5"}
    assert len(landed) == (3 if mode == "merge" else 5)
    (again,) = ingest(one_connect(), lake, [spec])
    assert not again.committed


@FORMATS
@pytest.mark.parametrize("moment", REJECT_MOMENTS)
def test_rejects_land_once(
    one_server: Server,
    one_connect: Connect,
    one_client: redis.Redis,
    store: ObjectStore,
    prefix: str,
    tmp_path: Path,
    form: FileFormat,
    moment: str,
) -> None:
    lake = store.lake(prefix, form)
    wanted = add(one_client, "a", "1-0")
    one_client.xadd("a", {"f": b"\xff"}, "2-0")
    run_killed(
        moment,
        one_server.options(),
        lake.to,
        format=form,
        storage_options=lake.storage_options,
        quarantine=True,
    )
    one_client.xadd("a", {"f": b"\xfe"}, "3-0")
    for _ in range(2):
        ingest(one_connect(), lake, ["streams"], quarantine=True)
        rejected = delta(lake, "_lakeflow_rejects").to_pyarrow_table().to_pylist()
        assert sorted(dict(row["row"])["entry_id"] for row in rejected) == [b"2-0", b"3-0"]
        assert entries(store, lake, tmp_path) == wanted


def test_receipts_land(
    one_connect: Connect, one_client: redis.Redis, store: ObjectStore, prefix: str
) -> None:
    lake = store.lake(prefix)
    assert read_runs(store_of(lake), 10).num_rows == 0
    ingest(one_connect(), lake, ["hashes", "sets"])
    ingest(one_connect(), lake, ["streams"])
    found = read_runs(store_of(lake), 10).to_pylist()
    assert [(row["name"], row["status"]) for row in found] == [
        ("streams", "landed"),
        ("hashes", "landed"),
        ("sets", "landed"),
    ]


def test_the_environment_can_say_everything(
    one_connect: Connect,
    one_client: redis.Redis,
    store: ObjectStore,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in store.options.items():
        monkeypatch.setenv(name, value)
    # Many have one, of which a URL says better.
    monkeypatch.setenv("AWS_BUCKET", "another")
    wanted = add(one_client, "a", "1-0")
    one_client.set("s", b"\xff")
    for form in get_args(FileFormat):
        to = Lake(f"s3://{BUCKET}/{prefix}/{form}", form)
        for _ in range(2):
            ingest(one_connect(), to, ["streams", "strings"], quarantine=True)
        assert len(store.objects(f"{prefix}/{form}/streams")) >= len(wanted)
        assert read_runs(store_of(to), 10).num_rows == 4


@pytest.mark.parametrize(
    "spelled", [str, str.lower, lambda name: name.removeprefix("AWS_").lower()]
)
def test_options_may_be_spelled_in_several_ways(
    one_connect: Connect,
    one_client: redis.Redis,
    store: ObjectStore,
    prefix: str,
    spelled: Callable[[str], str],
) -> None:
    options = {spelled(name): value for name, value in store.options.items()}
    options |= {spelled("AWS_TIMEOUT"): "20s", spelled("max_retries"): "2"}
    lake = Lake(f"s3://{BUCKET}/{prefix}", storage_options=options)
    assert [result.version for result in ingest(one_connect(), lake, ["streams", "hashes"])]
    assert read_runs(store_of(lake), 10).num_rows == 2


# What can go wrong


SOON = 20.0
"""Seconds within which a store that is not there must be known; retries take some."""


def refusal(to: Lake, kind: type[Exception] = LakeError) -> str:
    """What is raised before anything is read, soon, in a line and without a secret."""
    # A server that is not there either: nobody must have asked it.
    connector = LakeflowConnect({"host": HOST, "port": str(free_port())})
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        ingest_each(connector, to, ["hashes", "streams"])
    assert time.monotonic() - began < SOON
    assert type(caught.value) is kind
    text = str(caught.value)
    assert "\n" not in text
    assert "\x1b" not in text
    secrets = [value for value in to.storage_options.values() if len(value) > 4]
    canary.assert_unseen(caught.value, to, secrets=secrets)
    return text


@FORMATS
def test_a_bucket_that_is_not_there(store: ObjectStore, form: FileFormat) -> None:
    text = refusal(Lake("s3://no-such-bucket/lake", form, store.options))
    assert "s3://no-such-bucket/lake" in text
    assert "NoSuchBucket" in text


@FORMATS
def test_wrong_credentials(form: FileFormat) -> None:
    with ObjectStore(unchecked=1) as strict:
        assert "InvalidAccessKeyId" in refusal(strict.lake("lake", form))
        options = {"AWS_ACCESS_KEY_ID": "canary-id", "AWS_SECRET_ACCESS_KEY": "canary-secret"}
        assert "InvalidAccessKeyId" in refusal(strict.lake("lake", form, options))


@FORMATS
def test_credentials_that_may_only_read(
    one_connect: Connect, one_client: redis.Redis, form: FileFormat
) -> None:
    with ObjectStore(unchecked=4) as strict:
        may_read = strict.add_user("reader", "s3:ListBucket", "s3:GetObject")
        lake = strict.lake("lake", form, may_read)
        results = ingest_each(one_connect(), lake, ["strings", "streams"])
        for error in (next(results).error, next(results).error):
            assert isinstance(error, LakeError)
            assert "AccessDenied" in str(error)
            canary.assert_unseen(error, secrets=[*may_read.values()])
        with pytest.raises(LakeError, match="_lakeflow_runs"):
            next(results)


@FORMATS
def test_no_credentials(
    store: ObjectStore, form: FileFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    # Where a machine of Amazon's would say who it is.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://{HOST}:{free_port()}")
    text = refusal(store.lake("lake", form))
    assert "AWS_ACCESS_KEY_ID" in text
    assert "Connection refused" in text


@FORMATS
def test_an_endpoint_where_nobody_listens(store: ObjectStore, form: FileFormat) -> None:
    nowhere = f"http://{HOST}:{free_port()}"
    assert "Connection refused" in refusal(store.lake("lake", form, {"AWS_ENDPOINT_URL": nowhere}))


@FORMATS
def test_an_endpoint_that_does_not_answer(store: ObjectStore, form: FileFormat) -> None:
    with silent() as port:
        silence = {"AWS_ENDPOINT_URL": f"http://{HOST}:{port}", "timeout": "1s"}
        text = refusal(store.lake("lake", form, silence | {"retry_timeout": "2s"}))
        assert "timed out" in text


def test_nothing_is_repeated_for_longer_than_half_a_minute_unless_asked_for(
    store: ObjectStore,
) -> None:
    said = store_of(store.lake("lake")).storage_options or {}
    assert said["retry_timeout"] == "30s"
    said = store_of(store.lake("lake", more={"retry_timeout": "5m"})).storage_options or {}
    assert said["retry_timeout"] == "5m"


def test_an_endpoint_that_goes_while_tables_are_read(
    one_connect: Connect, one_client: redis.Redis, prefix: str
) -> None:
    one_client.mset({"a": "1"})
    add(one_client, "s", "1-0")
    with ObjectStore() as store:
        lake = store.lake(prefix, more={"max_retries": "1"})
        heard: list[object] = []

        def stop(*_: object) -> None:
            if not heard:
                store.stop()
            heard.append(_)

        results = ingest_each(one_connect(), lake, ["strings"], on_progress=stop)
        result = next(results)
        with pytest.raises(LakeError) as caught:
            next(results)  # It has no place either to say what happened.
        for error in (result.error, caught.value):
            assert isinstance(error, LakeError)
            assert "Connection refused" in str(error)
            assert "\n" not in str(error)
            canary.assert_unseen(error, secrets=[store.endpoint])


WRONG_OPTIONS = {
    "an unknown name": {"AWS_ENDPONT": "canary-value"},
    "no number": {"max_retries": "canary-value"},
    "no time": {"retry_timeout": "canary-value"},
    "no time of the client": {"AWS_CONNECT_TIMEOUT": "canary-value"},
    "no truth": {"AWS_ALLOW_HTTP": "canary-value"},
    "no URL": {"AWS_ENDPOINT_URL": "canary-value"},
    "no URL of a proxy": {"proxy_url": "canary-value"},
    "a line break": {"AWS_ACCESS_KEY_ID": "canary-value\n", "AWS_SECRET_ACCESS_KEY": "canary"},
    "another bucket": {"AWS_BUCKET": "canary-value"},
    "no encryption": {"AWS_SERVER_SIDE_ENCRYPTION": "canary-value"},
}


@pytest.mark.parametrize("case", WRONG_OPTIONS)
def test_an_option_that_is_wrong_is_named_without_its_value(store: ObjectStore, case: str) -> None:
    wrong = WRONG_OPTIONS[case]
    text = refusal(store.lake("lake", more=wrong), ConfigurationError)
    assert next(iter(wrong)) in text


def test_an_option_that_is_given_twice_is_refused(store: ObjectStore) -> None:
    twice = store.lake("lake", more={"endpoint_url": "http://127.0.0.1:1"})
    assert "AWS_ENDPOINT_URL and endpoint_url" in refusal(twice, ConfigurationError)


def test_a_variable_of_the_environment_that_is_wrong(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"token-{canary.MARK}\n")
    assert "environment" in refusal(store.lake("lake"), ConfigurationError)


def test_an_endpoint_without_tls_must_be_allowed(store: ObjectStore) -> None:
    plain = Lake(f"s3://{BUCKET}/lake", storage_options={"AWS_ENDPOINT_URL": store.endpoint})
    assert "AWS_ALLOW_HTTP" in refusal(plain, ConfigurationError)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "s3://",
            "s3:///lake",
            "s3://canary:9x1k7q@lake/a",
            "s3://lake/a?key=9x1k7q",
            "s3://lake/a#b",
        ),
        *("s3://lake//a", "s3://lake/../a", "s3://lake/a%20b", "s3://lake/[a]", "s3://lake/a\\b"),
        *("s3://lake/a |", "s3://a b/c", "s3://lake/a\n"),
    ],
)
def test_a_url_that_would_not_mean_the_same_to_all_is_refused(store: ObjectStore, url: str) -> None:
    connector = LakeflowConnect({"host": HOST, "port": str(free_port())})
    with pytest.raises(ConfigurationError) as caught:
        ingest(connector, Lake(url, storage_options=store.options))
    canary.assert_unseen(caught.value)


def test_storage_options_are_seen_nowhere(
    one_connect: Connect, one_client: redis.Redis, store: ObjectStore, prefix: str
) -> None:
    add(one_client, "a", "1-0")
    lake = store.lake(prefix, more=CREDENTIALS)
    results = ingest(one_connect(), lake, ["streams"])
    landed = store_of(lake)
    canary.assert_unseen(lake, landed, vars(lake) if hasattr(lake, "__dict__") else "", results)
    canary.assert_unseen(read_runs(landed, 10).to_pylist(), secrets=[store.endpoint])
    written = b"".join(store.objects(prefix).values())
    assert canary.MARK.encode() not in written
    assert store.endpoint.encode() not in written


def test_storage_options_are_for_urls_only(tmp_path: Path) -> None:
    connector = LakeflowConnect({"host": HOST, "port": str(free_port())})
    with pytest.raises(ConfigurationError, match="takes no storage options") as caught:
        ingest(connector, Lake(tmp_path, storage_options=CREDENTIALS))
    canary.assert_unseen(caught.value)
