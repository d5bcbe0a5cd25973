"""A pipeline file says what is wrong with it: all of it at once, each with its line and key."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest
from lakeflow_redis import ConfigurationError, LakeflowConnect
from lakeflow_redis._core import option_specs
from lakeflow_redis.ingest.model import Lake, TableSpec
from lakeflow_redis.pipeline import Pipeline, PipelineError, load, parse_interval
from lakeflow_redis.pipeline.tables import OWN_KEYS

from tests import canary

WHOLE = """\
[connection]
url = "{{ REDIS_URL }}"
socket_timeout = 2.5
max_in_flight_bytes = 1_000_000

[lake]
to = "lakes/one"
format = "delta"
[lake.storage_options]
AWS_ENDPOINT_URL = "http://{{ HOST }}:9000"
AWS_ALLOW_HTTP = true

[ingest]
quarantine = true
every = "5m"

[[tables]]
table = "hashes"
name = "users"
mode = "merge"
key_pattern = "user:*"

[[tables]]
table = "streams"
max_records_per_batch = 1000
fail_on_data_loss = false
start_timestamp = 2026-01-31T12:00:00Z
"""

MINIMAL = '[connection]\nhost = "localhost"\n[lake]\nto = "lake"\n'


def written(folder: Path, text: str) -> Path:
    """A pipeline file."""
    path = folder / "pipeline.toml"
    path.write_text(text)
    return path


def wrongs(folder: Path, text: str, **how: Mapping[str, str]) -> list[tuple[int | None, str, str]]:
    """What is wrong with a file: lines, keys and texts."""
    path = written(folder, text)
    with pytest.raises(PipelineError) as caught:
        load(path, **how)
    assert all(problem.file == str(path) for problem in caught.value.problems)
    return [(problem.line, problem.key, problem.text) for problem in caught.value.problems]


def test_a_file_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    pipeline = load(path)
    assert pipeline == Pipeline(
        connection={
            "url": "{{ REDIS_URL }}",
            "socket_timeout": "2.5",
            "max_in_flight_bytes": "1000000",
        },
        lake=Lake(
            "lakes/one",
            "delta",
            {"AWS_ENDPOINT_URL": "http://{{ HOST }}:9000", "AWS_ALLOW_HTTP": "true"},
        ),
        tables=(
            TableSpec("hashes", "users", "merge", {"key_pattern": "user:*"}),
            TableSpec(
                "streams",
                None,
                None,
                {
                    "max_records_per_batch": "1000",
                    "fail_on_data_loss": "false",
                    "start_timestamp": "2026-01-31T12:00:00+00:00",
                },
            ),
        ),
        quarantine=True,
        every=300.0,
        folder=tmp_path,
    )


def test_the_least_is_a_server_and_a_lake(tmp_path: Path) -> None:
    pipeline = load(written(tmp_path, MINIMAL))
    assert pipeline.tables is None
    assert not pipeline.evolve
    assert not pipeline.quarantine
    assert pipeline.every is None


@pytest.mark.parametrize("to", ["gs://bucket/lake", "s3://", "a%20lake"])
def test_where_no_lake_can_be_is_told_with_its_line(tmp_path: Path, to: str) -> None:
    path = written(tmp_path, MINIMAL.replace('"lake"', f'"{to}"') + 'fromat = "delta"\n')
    with pytest.raises(PipelineError) as raised:
        load(path)
    first, second = str(raised.value).splitlines()
    assert first.startswith(f"{path}:4: [lake] to: ")
    assert second.startswith(f"{path}:5: [lake] fromat: ")


def test_the_connector_is_made_of_the_connection(tmp_path: Path) -> None:
    pipeline = load(written(tmp_path, MINIMAL.replace("[lake]", 'columns = "field"\n[lake]')))
    assert pipeline.connector().get_table_schema("hashes").names == ["field"]


def test_a_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert load(path).connection == {"host": "localhost"}


# Where the lake is


@pytest.mark.parametrize(
    ("to", "place"),
    [
        ("lake", "{folder}/lake"),
        ("../lake", "{folder}/../lake"),
        ("/srv/lake", "/srv/lake"),
        ("s3://bucket/lake", "s3://bucket/lake"),
        ("{{ PLACE }}/lake", "/mnt/lake"),
        ("s3://{{ BUCKET }}/lake", "s3://data/lake"),
        ("{{ RELATIVE }}", "{folder}/here"),
    ],
)
def test_a_folder_is_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, place: str
) -> None:
    pipeline = load(written(tmp_path, MINIMAL.replace('"lake"', f'"{to}"')))
    monkeypatch.chdir("/")
    environment = {"PLACE": "/mnt", "BUCKET": "data", "RELATIVE": "here"}
    assert str(pipeline.resolved_lake(environment).to) == place.format(folder=tmp_path)


def test_storage_options_are_looked_up_when_it_runs(tmp_path: Path) -> None:
    pipeline = load(written(tmp_path, WHOLE))
    lake = pipeline.resolved_lake({"HOST": "minio"})
    assert lake.storage_options["AWS_ENDPOINT_URL"] == "http://minio:9000"
    with pytest.raises(ConfigurationError, match=r"AWS_ENDPOINT_URL.*'HOST'"):
        pipeline.resolved_lake({})


# What is wrong, and where


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("", None, "[lake]", "lacks `to`"),
        (f"{MINIMAL}format = 'parket'", 5, "[lake] format", "did you mean `parquet`"),
        (f"{MINIMAL}format = 1", 5, "[lake] format", "must be a text in quotes"),
        (f"{MINIMAL}too = 'x'", 5, "[lake] too", "did you mean `to`"),
        (MINIMAL.replace('"lake"', '""'), 4, "[lake] to", "empty"),
        (MINIMAL.replace('"lake"', '"~/lake"'), 4, "[lake] to", "{{ HOME }}"),
        (f"{MINIMAL}storage_options = 1", 5, "[lake] storage_options", "must be a table"),
        (f"{MINIMAL}storage_options.A.B = 1", 5, "[lake.storage_options] A", "text in quotes"),
        (f"{MINIMAL}[ingst]", 5, "[ingst]", "did you mean `ingest`"),
        (f"lake = 1\n{MINIMAL[:31]}", 1, "lake", "must be a table, such as [lake]"),
        (f"{MINIMAL}[ingest]\nevolve = 'yes'", 6, "[ingest] evolve", "must be true or false"),
        (f"{MINIMAL}[ingest]\nevery = '5 min'", 6, "[ingest] every", "such as 90s, 5m"),
        (f"{MINIMAL}[ingest]\nevery = 5", 6, "[ingest] every", "text in quotes"),
        (f"{MINIMAL}[ingest]\nevolved = true", 6, "[ingest] evolved", "did you mean `evolve`"),
        (f"prot = 1\n{MINIMAL}", 1, "prot", "no such section"),
        (f"[connection]\nprot = 1\n{MINIMAL[13:]}", 2, "[connection] prot", "mean `port`"),
        (f"[connection]\nport = 'x'\n{MINIMAL[13:]}", 2, "[connection] port", "whole number"),
        (f"[connection]\nport = true\n{MINIMAL[13:]}", 2, "[connection] port", "this type"),
        (f"[connection]\nport = [1]\n{MINIMAL[13:]}", 2, "[connection] port", "no list"),
        (f"[connection]\nurl = 'redis://a'\n{MINIMAL[13:]}", 2, "[connection] url", "`host`"),
        (f"[connection]\ncolumns = 'a,a'\n{MINIMAL[13:]}", 2, "[connection] columns", "equal"),
        ('[connection]\ndb = 1\n[lake]\nto = "lake"', 1, "[connection]", "no server is named"),
        ('[connection.host]\nx = 1\n[lake]\nto = "lake"', 1, "[connection] host", "no list"),
        (f"{MINIMAL}[tables]", 5, "[tables]", "[[tables]]"),
        (f"{MINIMAL}[[tables]]", 5, "[[tables]]", "lacks `table`"),
        (f"{MINIMAL}[[tables]]\ntable = 'hash'", 6, "[[tables]] table", "mean `hashes`"),
        (f"{MINIMAL}[[tables]]\ntable = 1", 6, "[[tables]] table", "text in quotes"),
        (f"{MINIMAL}[[tables]]\ntable = 'keys'\nmode = 'merg'", 7, "[[tables]] mode", "`merge`"),
        (f"{MINIMAL}[[tables]]\ntable = 'keys'\nport = 1", 7, "[[tables]] port", "connection"),
        (f"{MINIMAL}[[tables]]\ntable = 'keys'\nnmae = 'a'", 7, "[[tables]] nmae", "`name`"),
        (
            f"{MINIMAL}[[tables]]\ntable = 'keys'\nname = 'a/b'",
            7,
            "[[tables]] name",
            "letters, digits",
        ),
        (f"{MINIMAL}[[tables]]\ntable = 'keys'\nname = '_a'", 7, "[[tables]] name", "`_`"),
        (
            f"{MINIMAL}[[tables]]\ntable = 'keys'\nname = ''",
            7,
            "[[tables]] name",
            "letters, digits",
        ),
        (f"{MINIMAL}[[tables]]\ntable = 'keys'\ncolumns = 'value'", 7, "[[tables]] columns", "no"),
        (f"{MINIMAL}[[tables]]\ntable = 'keys'\noptions = {{}}", 7, "[[tables]] options", "no"),
        (
            f"{MINIMAL}[[tables]]\ntable = 'keys'\nkey_pattern = 'a'\nsync_rules = '[]'",
            8,
            "[[tables]] sync_rules",
            "no rule",
        ),
    ],
)
def test_what_is_wrong_is_told_with_line_and_key(
    tmp_path: Path, text: str, line: int | None, key: str, words: str
) -> None:
    found = wrongs(tmp_path, text)
    assert [each[:2] for each in found if words in each[2]] == [(line, key)], found
    assert len(found) == (2 if text == "" else 1), found


@pytest.mark.parametrize(
    ("table", "mode", "form", "misfit"),
    [
        ("streams", "append", "parquet", None),
        ("streams", "replace", "delta", "leave out the mode"),
        ("streams", "merge", "delta", "leave out the mode"),
        ("hashes", "append", "delta", "choose replace, merge or history"),
        ("hashes", "history", "delta", None),
        ("hashes", "replace", "parquet", None),
        ("hashes", "merge", "parquet", "Delta"),
        ("hashes", "history", "parquet", "Delta"),
        ("server_info", "merge", "delta", None),
    ],
)
def test_a_mode_must_fit_table_and_format(
    tmp_path: Path, table: str, mode: str, form: str, misfit: str | None
) -> None:
    text = f"{MINIMAL}format = '{form}'\n[[tables]]\ntable = '{table}'\nmode = '{mode}'"
    if misfit is None:
        load(written(tmp_path, text))
        return
    ((line, key, words),) = wrongs(tmp_path, text)
    assert (line, key) == (8, "[[tables]] mode")
    assert misfit in words


def test_merging_needs_the_primary_key(tmp_path: Path) -> None:
    text = f"{MINIMAL}[[tables]]\ntable = 'hashes'\nmode = 'merge'\ncolumns = 'key_name,value'"
    ((line, _, words),) = wrongs(tmp_path, text)
    assert line == 7
    assert "`columns`" in words


def test_two_tables_need_two_names(tmp_path: Path) -> None:
    tables = "".join(
        f"[[tables]]\ntable = '{table}'\n{name}\n"
        for table, name in (
            *(("hashes", ""), ("sets", "name = 'Users'"), ("lists", "name = 'users'")),
            *(("hashes", ""), ("strings", "name = 'hashes'"), ("hashes", "name = 'other'")),
        )
    )
    found = wrongs(tmp_path, MINIMAL + tables)
    assert [each[:2] for each in found] == [
        (13, "[[tables]] name"),
        (15, "[[tables]] table"),
        (19, "[[tables]] name"),
    ]
    assert "line 8" in found[0][2]
    assert "line 5" in found[1][2]


def test_a_name_fits_into_a_file_system(tmp_path: Path) -> None:
    text = f"{MINIMAL}[[tables]]\ntable = 'hashes'\nname = '{'é' * 101}'"
    ((line, key, words),) = wrongs(tmp_path, text)
    assert (line, key) == (7, "[[tables]] name")
    assert "at most 200 bytes" in words


def test_an_empty_list_of_tables_is_not_all_of_them(tmp_path: Path) -> None:
    ((_, key, words),) = wrongs(tmp_path, f"tables = []\n{MINIMAL}")
    assert (key, "is empty" in words) == ("tables", True)


def test_a_lake_whose_variable_is_empty_is_nowhere(tmp_path: Path) -> None:
    text = MINIMAL.replace('"lake"', '"{{ LAKE }}"')
    with pytest.raises(ConfigurationError, match="place is empty"):
        load(written(tmp_path, text)).resolved_lake({"LAKE": ""})


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = """\
[connection]
host = "localhost"
port = 99999
socket_timeout = -1
ssl_certfile = "a"
prot = 1
[lake]
format = "csv"
[[tables]]
table = "hash"
[[tables]]
table = "hashes"
columns = "a"
batch_size = "many"
invalid_utf8 = "drop"
[[tables]]
table = "sets"
mode = "append"
"""
    found = wrongs(tmp_path, text)
    assert [(line, key) for line, key, _ in found] == [
        (3, "[connection] port"),
        (4, "[connection] socket_timeout"),
        (5, "[connection] ssl_certfile"),
        (6, "[connection] prot"),
        (7, "[lake]"),
        (8, "[lake] format"),
        (10, "[[tables]] table"),
        (13, "[[tables]] columns"),
        (14, "[[tables]] batch_size"),
        (15, "[[tables]] invalid_utf8"),
        (18, "[[tables]] mode"),
    ]


def test_the_text_of_the_error_has_a_line_for_each(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL.replace("localhost", "redis://x").replace("to", "too"))
    with pytest.raises(PipelineError) as caught:
        load(path)
    host, lacks, too = str(caught.value).splitlines()
    assert host.startswith(f"{path}:2: [connection] host: option `host` holds a URL")
    assert lacks.startswith(f"{path}:3: [lake]: it lacks `to`")
    assert too.startswith(f"{path}:4: [lake] too: there is no such key; did you mean `to`?")
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.problems == caught.value.problems


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a = ", "it is no TOML"),
        (b"[a]\n[a]", "line 2"),
        (b"[connection]\npassword = 'canary 9x1k7q", "it is no TOML"),
        (b"[connection]\npassword = 'canary 9x1k7q'\npassword = '9x1k7q'", "it is no TOML"),
        (b"[connection]\npassword = 'canary 9x1k7q\xff'", ":2: it is not UTF-8"),
    ],
)
def test_what_is_no_toml_is_told_without_what_it_says(
    tmp_path: Path, text: bytes, words: str
) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_bytes(text)
    with pytest.raises(PipelineError, match=words) as caught:
        load(path)
    canary.assert_unseen(caught.value)


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.toml")


# References


def test_a_variable_that_is_not_set_is_told_if_that_is_asked_for(tmp_path: Path) -> None:
    text = WHOLE.replace('to = "lakes', 'to = "{{A}}/{{ B }}').replace('"user:*"', '"{{ C }}"')
    load(written(tmp_path, text))
    load(written(tmp_path, text), environment=dict.fromkeys(("REDIS_URL", "HOST", *"ABC"), "x"))
    found = wrongs(tmp_path, text, environment={"B": ""})
    assert [(line, key) for line, key, _ in found] == [
        (2, "[connection] url"),
        (7, "[lake] to"),
        (10, "[lake.storage_options] AWS_ENDPOINT_URL"),
        (21, "[[tables]] key_pattern"),
    ]
    assert [words.split("'")[1] for _, _, words in found] == ["REDIS_URL", "A", "HOST", "C"]


def test_what_is_in_clear_is_checked_beside_references(tmp_path: Path) -> None:
    text = """\
[connection]
host = "{{ HOST }}"
port = "{{ PORT }}"
password = "{{ PASSWORD }}"
password_file = "/run/secret"
socket_timeout = "x"
[lake]
to = "lake"
[[tables]]
table = "hashes"
fields = "{{ FIELDS }}"
columns = "a"
"""
    found = wrongs(tmp_path, text)
    assert [(line, key) for line, key, _ in found] == [
        (4, "[connection] password"),
        (6, "[connection] socket_timeout"),
        (12, "[[tables]] columns"),
    ]


@pytest.mark.parametrize(
    ("connection", "table", "column", "there"),
    [
        ("host = 'a'", "hashes", "db", False),
        ("host = 'a'\ndb = '*'", "hashes", "db", True),
        ("host = 'a'\ndb = '0,1'", "hashes", "db", True),
        ("host = 'a'\ndb = '{{ DB }}'", "hashes", "db", True),
        ("url = '{{ URL }}'", "hashes", "db", True),
        ("url = '{{ URL }}'\nmode = 'cluster'", "hashes", "db", False),
        ("host = 'a'", "server_info", "node", True),
        ("host = 'a'\nmode = 'standalone'", "server_info", "node", False),
        ("host = 'a'\nmode = 'cluster'", "server_info", "node", True),
    ],
)
def test_a_column_is_wrong_only_if_it_cannot_be_there(
    tmp_path: Path, connection: str, table: str, column: str, there: bool
) -> None:
    text = f"""\
[lake]
to = "lake"
[[tables]]
table = "{table}"
columns = "{column}"
[connection]
{connection}
"""
    if there:
        load(written(tmp_path, text))
    else:
        assert [each[0] for each in wrongs(tmp_path, text)] == [5]


# Secrets


def test_a_secret_in_clear_is_warned_of_and_never_shown(tmp_path: Path) -> None:
    text = f"""\
[connection]
url = "redis://:{canary.QUOTED_PASSWORD}@localhost"
sentinel_password = "{canary.PASSWORD}"
[lake]
to = "s3://key:{canary.QUOTED_PASSWORD}@bucket/lake"
[lake.storage_options]
AWS_ACCESS_KEY_ID = "known"
AWS_SECRET_ACCESS_KEY = "{canary.PASSWORD}"
[lake.storage_option]
azure_storage_sas_token = "{canary.PASSWORD}"
"""
    path = written(tmp_path, text)
    with pytest.raises(PipelineError) as caught:
        load(path)
    canary.assert_unseen(caught.value)
    path = written(tmp_path, text.partition("[lake.storage_option]")[0].replace("sentinel_", ""))
    with pytest.raises(PipelineError) as caught:
        load(path)
    canary.assert_unseen(caught.value)
    text = text.replace(f"key:{canary.QUOTED_PASSWORD}@", "")
    path = written(tmp_path, "\n".join(text.splitlines()[:2] + text.splitlines()[3:8]))
    pipeline = load(path)
    assert [(warning.line, warning.key) for warning in pipeline.warnings] == [
        (2, "[connection] url"),
        (7, "[lake.storage_options] AWS_SECRET_ACCESS_KEY"),
    ]
    assert all("{{ NAME }}" in warning.text for warning in pipeline.warnings)
    canary.assert_unseen(*pipeline.warnings)
    assert canary.MARK not in repr(pipeline.connection.keys()) + repr(pipeline.lake.format)


def test_an_option_that_means_nothing_for_its_table_is_warned_of(tmp_path: Path) -> None:
    text = f"""{MINIMAL}
[[tables]]
table = "strings"
fields = "a"
value_type = "binary"
[[tables]]
table = "hashes"
fields = "a"
end_timestamp = 2026-01-01
[[tables]]
table = "server_info"
key_pattern = "a*"
"""
    path = written(tmp_path, text)
    lines = path.read_text().splitlines()
    warnings = load(path).warnings
    assert [lines[(warning.line or 0) - 1].split()[0] for warning in warnings] == [
        *("fields", "end_timestamp", "key_pattern"),
    ]
    assert warnings[1].text == "it means nothing for the table hashes"


def test_options_are_for_tables_that_there_are() -> None:
    named = {table for spec in option_specs() for table in spec["tables"] or ()}
    assert named == set(LakeflowConnect.list_tables()) - {"server_info"}


def test_what_is_no_secret_is_not_warned_of(tmp_path: Path) -> None:
    text = """\
[connection]
url = "redis://user:{{ PASSWORD }}@localhost"
ssl_keyfile = "/etc/redis/client.key"
ssl_certfile = "/etc/redis/client.crt"
[lake]
to = "s3://bucket/lake"
[lake.storage_options]
AWS_ACCESS_KEY_ID = "known"
AWS_SECRET_ACCESS_KEY = "{{ SECRET }}"
AWS_ENDPOINT_URL = "http://localhost:9000"
AWS_SESSION_TOKEN = ""
"""
    assert load(written(tmp_path, text)).warnings == ()


def test_a_value_in_a_wrong_place_is_not_shown(tmp_path: Path) -> None:
    text = f"{MINIMAL}\nformat = ['{canary.PASSWORD}']\n[connection.pasword]\nx='{canary.PASSWORD}'"
    with pytest.raises(PipelineError) as caught:
        load(written(tmp_path, text))
    assert len(caught.value.problems) == 2
    canary.assert_unseen(caught.value)


# The format itself


def test_no_option_of_a_table_is_called_as_what_a_table_says_besides() -> None:
    of_tables = {spec["name"] for spec in option_specs() if spec["scope"] == "table"}
    assert of_tables.isdisjoint(OWN_KEYS)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), (" 2 h ", 7200), ("1d", 86400), ("0.5s", 0.5)]
)
def test_intervals_have_a_unit(text: str, seconds: float) -> None:
    assert parse_interval(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "m", "5min", "-5m", "0s", "0.0h", "1e3s", "٥m", "5m 30s", "999999999d", "nan"]
)
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="90s, 5m, 2h or 1d"):
        parse_interval(text)
