"""The command as its users meet it: a process with arguments, an environment, pipes and a terminal."""

import base64
import io
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import redis
from lakeflow_redis import LakeflowConnect, __version__
from lakeflow_redis._core import option_specs

from tests import canary, data, lake
from tests.compare import assert_same_rows
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES, TABLES
from tests.oracle import Raw
from tests.servers import HOST, Server, free_port
from tests.streams import add
from tests.waiting import until

COMMAND = [sys.executable, "-m", "lakeflow_redis"]

SOON = 20.0
"""Seconds until an interrupted command must have ended; it is to take one at most."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def rows(self) -> list[dict[str, str]]:
        """The lines of `name=value` that it printed."""
        lines = (line.split(" ") for line in self.stdout.splitlines())
        return [dict(pair.split("=", 1) for pair in line) for line in lines]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process' environment without options in it."""
    kept = {n: value for n, value in os.environ.items() if not n.startswith("LAKEFLOW_REDIS_")}
    return kept | dict(more or {})


def run(*arguments: object, env: Mapping[str, str] | None = None) -> Done:
    """Run the command with pipes, as a scheduler does."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env=environment(env),
        stdin=subprocess.DEVNULL,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def at(server: Server) -> list[str]:
    """The arguments that name a server."""
    return ["--host", server.host, "--port", str(server.port)]


def assert_failed(done: Done, code: int, *words: str) -> None:
    """Fail unless the command ended with a code and one line that holds these words."""
    assert done.code == code, done
    assert done.stdout == ""
    *usage, line = done.stderr.splitlines()
    assert line.startswith("Error: "), done
    assert not usage or usage[0].startswith("Usage: "), done
    for word in words:
        assert word in line


# check, tables


def test_check_names_the_server_and_its_version(server: Server) -> None:
    done = run("check", *at(server))
    assert (done.code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    (node,) = [line for line in lines if line.startswith("node ")]
    assert f"{server.address}: {server.flavour.product} {server.flavour.release}" in node
    for table in TABLES:
        assert any(line.endswith(f" {table}: readable") for line in lines)


def test_check_gives_a_script_what_it_found(one_server: Server) -> None:
    done = run("check", *at(one_server), "--json")
    assert (done.code, done.stderr) == (0, "")
    assert json.loads(done.stdout) == LakeflowConnect(one_server.options()).inspect()


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_check_fails_where_no_server_is(more: list[str]) -> None:
    port = str(free_port())
    done = run("check", "--host", HOST, "--port", port, *more)
    assert_failed(done, 1, f"{HOST}:{port}", "cannot connect")
    assert len(done.stderr.splitlines()) == 1


def test_tables_lists_all_tables_and_needs_no_server() -> None:
    done = run("tables")
    assert (done.code, done.stderr) == (0, "")
    assert [row["table"] for row in done.rows] == list(TABLES)
    for row in done.rows:
        table = TABLES[row["table"]]
        assert row["ingestion_type"] == table.ingestion_type
        assert row["primary_keys"] == ",".join(table.primary_keys)
        assert row["cursor_field"] == (table.cursor_field or "")


def test_version() -> None:
    assert run("--version").stdout == f"lakeflow-redis {__version__}\n"


# read


def fill(client: redis.Redis) -> None:
    """Put a little into every table that comes out of keys."""
    for table in CONTENT_TABLES:
        data.add_one(client, table, f"of {table}")
        data.add_one(client, table, f'"of" {table}, with é and\nnewline', "")


def read_back(form: str, path: Path, schema: pa.Schema) -> list[dict[str, object]]:
    """The rows in a file that `read` wrote."""
    match form:
        case "json":
            return [json.loads(line) for line in path.read_text().splitlines()]
        case "csv":
            parsing = pa.csv.ParseOptions(newlines_in_values=True)
            converting = pa.csv.ConvertOptions(
                column_types=schema, strings_can_be_null=True, quoted_strings_can_be_null=False
            )
            table = pa.csv.read_csv(path, parse_options=parsing, convert_options=converting)
        case "parquet":
            table = pa.parquet.read_table(path)
    rows: list[dict[str, object]] = table.to_pylist()
    return rows


@pytest.mark.parametrize("form", ["json", "csv", "parquet"])
@pytest.mark.parametrize("table", CONTENT_TABLES)
def test_read_writes_the_rows_of_a_table(
    one_server: Server,
    one_connect: Connect,
    one_client: redis.Redis,
    tmp_path: Path,
    table: str,
    form: str,
) -> None:
    fill(one_client)
    path = tmp_path / "rows"
    done = run("read", table, *at(one_server), "--format", form, "--output", path)
    assert done == Done(0, "", "")
    found = read_back(form, path, TABLES[table].schema())
    expected = list(one_connect().read_table(table)[0])
    assert len(expected) == 2
    assert_same_rows(table, found, expected)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", ["json", "csv"])
def test_text_goes_to_stdout_too(one_server: Server, one_client: redis.Redis, form: str) -> None:
    one_client.hset("h", mapping={"a": "1", "b": ""})
    done = run("read", "hashes", *at(one_server), "--format", form)
    assert (done.code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    if form == "json":
        assert [json.loads(line)["value"] for line in lines] == ["1", ""]
    else:
        assert lines[0] == '"key_name","field","value","ttl_seconds","scanned_at"'
        assert [line.rpartition(",")[0] for line in lines[1:]] == ['"h","a","1",', '"h","b","",']


def test_a_table_shows_what_there_is_and_no_terminal_escapes(
    one_server: Server, one_client: redis.Redis
) -> None:
    one_client.set("[bold]name[/bold]", "\x1b[31mred\n" + "x" * 1000)
    done = run("read", "strings", *at(one_server))
    assert (done.code, done.stderr) == (0, "")
    assert "[bold]name[/bold]" in done.stdout
    assert r"\x1b[31mred\nxxx" in done.stdout
    assert "\x1b" not in done.stdout
    assert "x…" in done.stdout
    assert "x" * 100 not in done.stdout
    assert "null" in done.stdout


@pytest.mark.parametrize("form", ["json", "csv"])
def test_binary_columns_are_base64_in_text(
    one_server: Server, one_client: redis.Redis, tmp_path: Path, form: str
) -> None:
    one_client.set(b"\xff", bytes(range(256)))
    path = tmp_path / "rows"
    run(
        "read",
        "strings",
        *at(one_server),
        "--value-type",
        "binary",
        "--format",
        form,
        "--output",
        path,
    )
    (row,) = read_back(form, path, TABLES["strings"].schema())
    assert base64.b64decode(str(row["key_name"]), validate=True) == b"\xff"
    assert base64.b64decode(str(row["value"]), validate=True) == bytes(range(256))


def test_scores_that_json_has_no_number_for_are_strings(
    one_server: Server, one_client: redis.Redis
) -> None:
    one_client.zadd("z", data.SCORES)
    done = run("read", "sorted_sets", *at(one_server), "--format", "json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    scores = {row["member"]: row["score"] for row in rows}
    assert scores.pop("inf") == "Infinity"
    assert scores.pop("minus inf") == "-Infinity"
    assert scores == {name: data.SCORES[name] for name in scores}


@pytest.mark.parametrize(("limit", "rows"), [("0", 0), ("1", 1), ("7", 7), ("1000", 30)])
def test_limit_stops_after_so_many_rows(
    one_server: Server, one_client: redis.Redis, limit: str, rows: int
) -> None:
    data.fill_many(one_client, 30)
    done = run("read", "strings", *at(one_server), "--format", "json", "--limit", limit)
    assert (done.code, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == rows


def test_a_table_is_cut_off_unless_a_limit_is_given_and_says_so(
    one_server: Server, one_client: redis.Redis
) -> None:
    data.fill_many(one_client, 30)
    cut = run("read", "strings", *at(one_server))
    assert cut.stdout.count("many:") == 20
    assert "--limit" in cut.stderr
    whole = run("read", "strings", *at(one_server), "--limit", "100")
    assert whole.stdout.count("many:") == 30
    assert whole.stderr == ""


def test_limit_ends_the_reading_and_not_only_the_writing(
    one_server: Server, one_client: redis.Redis
) -> None:
    for number in range(100):
        one_client.set(f"{number}", data.MEGABYTE)
    before = int(one_client.info("stats")["total_net_output_bytes"])
    done = run("read", "strings", *at(one_server), "--format", "json", "--limit", "1")
    assert done.code == 0
    sent = int(one_client.info("stats")["total_net_output_bytes"]) - before
    one_client.flushdb()
    assert sent < 90_000_000


def test_a_file_appears_only_when_it_is_complete(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.rpush("l", *range(100_000), b"\xff")
    path = tmp_path / "rows"
    path.write_text("of yesterday")
    for form in ("json", "csv", "parquet"):
        done = run("read", "lists", *at(one_server), "--format", form, "--output", path)
        assert_failed(done, 1, "UTF-8")
        assert path.read_text() == "of yesterday"
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_full_disk_is_named(one_server: Server, one_client: redis.Redis, form: str) -> None:
    one_client.rpush("l", *range(100_000))
    full = Path("/dev/full")
    done = run("read", "lists", *at(one_server), "--format", form, "--output", full)
    assert_failed(done, 1, "No space left", str(full))


def test_parquet_needs_a_file(one_server: Server) -> None:
    assert_failed(run("read", "keys", *at(one_server), "--format", "parquet"), 2, "--output")


def test_a_read_goes_on_from_the_offset_that_was_shown(
    one_server: Server, one_client: redis.Redis
) -> None:
    command = ["read", "streams", *at(one_server), "--format", "json", "--show-offset"]
    add(one_client, "a", "1-0", "2-0")
    first = run(*command)
    assert len(first.stdout.splitlines()) == 2
    add(one_client, "a", "3-0")
    second = run(*command, "--offset", first.stderr)
    assert [json.loads(line)["entry_id"] for line in second.stdout.splitlines()] == ["3-0"]
    third = run(*command, "--offset", '{"entry_id": "2-0"}')
    assert third.stdout == second.stdout
    # It says, too, with what it began.
    ends = [json.loads(done.stderr)["streams"]["0"]["a"] for done in (second, third)]
    assert ends[1] == ends[0] | {"after": "2-0", "first": "3-0"}


def test_a_limit_has_no_offset_to_show(one_server: Server) -> None:
    done = run("read", "streams", *at(one_server), "--limit", "1", "--show-offset")
    assert_failed(done, 2, "--max-records-per-batch")


@pytest.mark.parametrize("offset", ["", "nonsense", "[]", "1", "null", '{"a": 1}'])
def test_a_malformed_offset_is_refused(one_server: Server, offset: str) -> None:
    assert_failed(run("read", "streams", *at(one_server), "--offset", offset), 2, "offset")


# ingest


def test_ingest_lands_all_tables_and_sums_up(
    server: Server, client: redis.Redis, tmp_path: Path
) -> None:
    fill(client)
    for number in range(2):
        done = run("ingest", *at(server), "--to", tmp_path / "lake")
        assert (done.code, done.stderr) == (0, "")
        assert [row["table"] for row in done.rows] == list(TABLES)
        for row in done.rows:
            appends = row["table"] == "streams"
            assert row["mode"] == ("append" if appends else "replace")
            assert int(row["version"]) == (0 if appends else number)
            assert float(row["seconds"]) >= 0
            landed = lake.rows(tmp_path / "lake", row["table"])
            assert int(row["rows"]) == (0 if appends and number else len(landed))


def test_ingest_lands_what_is_asked_for(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("user:1", "f", "v")
    one_client.hset("cache:1", "f", "v")
    done = run(
        *("ingest", *at(one_server), "--to", tmp_path),
        *("--tables", "hashes, streams", "--key-pattern", "user:*"),
    )
    assert [row["table"] for row in done.rows] == ["hashes", "streams"]
    assert [row["key_name"] for row in lake.rows(tmp_path, "hashes")] == ["user:1"]


def test_where_one_table_cannot_be_read_none_lands(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("h", "f", "v")
    one_client.set("s", b"\xff")
    done = run("ingest", *at(one_server), "--to", tmp_path, "--tables", "hashes,strings,keys")
    assert done.code == 1
    assert [row["status"] for row in done.rows] == ["failed"] * 3
    # They were read in one go, which failed once.
    assert len(done.stderr.splitlines()) == 1
    assert "table strings" in done.stderr
    assert lake.data_files(tmp_path, "hashes") == set()


def test_a_lake_that_is_not_ours_is_refused(one_server: Server, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "notes").write_text("mine")
    assert_failed(run("ingest", *at(one_server), "--to", tmp_path), 2, "not a Delta table")


def test_an_unwritable_lake_is_a_line_for_each_thing_that_failed(one_server: Server) -> None:
    done = run("ingest", *at(one_server), "--to", "/proc/lake", "--tables", "keys")
    assert done.code == 1
    assert [row["status"] for row in done.rows] == ["failed"]
    for line in done.stderr.splitlines():
        assert line.startswith("Error: ")
        assert "/proc/lake" in line


# Options


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check"], "url"),
        (["check", "--host", HOST, "--port", "abc"], "port"),
        (["check", "--host", HOST, "--db", "-1"], "db"),
        (["check", "--host", HOST, "--sync-rules", "[]"], "sync_rules"),
        (["acl", "--tables", "hash"], "hashes"),
        (["acl", "--key-pattern", "two words"], "space"),
        (["acl", "--redis", "5.0"], "5.0"),
        (["acl", "--db", "nonsense"], "nonsense"),
        (["read", "hash", "--host", HOST], "hashes"),
        (["read", "hashes\n", "--host", HOST], r"\n"),
        (["ingest", "--host", HOST, "--to", "lake", "--tables", "hashes,stream"], "streams"),
        (["ingest", "--host", HOST], "--to"),
        (["ingest", "--host", HOST, "--to", "ftp://host/lake"], "ftp"),
        (["read", "keys", "--host", HOST, "--limit", "-1"], "--limit"),
        (["read", "keys", "--host", HOST, "--format", "xml"], "xml"),
        (["read", "keys", "--hots", HOST], "--host"),
        (["red"], "red"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_failed(run(*arguments), 2, words)
    assert list(tmp_path.iterdir()) == []


def test_options_come_from_the_environment_unless_they_are_given(
    one_server: Server, one_client: redis.Redis
) -> None:
    one_client.mset({"user:1": "a", "cache:1": "b"})
    variables = {
        "LAKEFLOW_REDIS_URL": f"redis://{one_server.host}:{one_server.port}",
        "LAKEFLOW_REDIS_KEY_PATTERN": "user:*",
    }
    for given, expected in (([], "user:1"), (["--key-pattern", "cache:*"], "cache:1")):
        done = run("read", "strings", "--format", "json", *given, env=variables)
        assert [json.loads(line)["key_name"] for line in done.stdout.splitlines()] == [expected]


@pytest.mark.parametrize("command", ["check", "ingest", "read"])
def test_help_tells_every_option_of_the_connector(command: str) -> None:
    done = run(command, "--help")
    words = " ".join(done.stdout.split())
    for spec in option_specs():
        assert f"--{spec['name'].replace('_', '-')} " in words
        assert spec["default"] is None or f"[default: {spec['default']}]" in words
        assert not spec["secret"] or f"LAKEFLOW_REDIS_{spec['name'].upper()}" in words
    assert "The server:" in words
    assert "What to read, and how:" in words


# Secrets


@pytest.mark.parametrize("password", [canary.PASSWORD, canary.WRONG_PASSWORD])
@pytest.mark.parametrize("way", ["argument", "environment", "reference", "url"])
def test_a_password_goes_in_by_any_way_and_comes_out_by_none(
    one_locked_server: Server, tmp_path: Path, way: str, password: str
) -> None:
    address = [*at(one_locked_server)]
    variables = {"THE_PASSWORD": password, "FORCE_COLOR": "1"}
    match way:
        case "argument":
            address += ["--password", password]
        case "environment":
            variables["LAKEFLOW_REDIS_PASSWORD"] = password
        case "reference":
            address += ["--password", "{{ THE_PASSWORD }}"]
        case "url":
            quoted = quote(password, safe="")
            place = f"{one_locked_server.host}:{one_locked_server.port}"
            address = ["--url", f"redis://:{quoted}@{place}"]
    right = password == canary.PASSWORD
    for arguments in (
        ["check", *address],
        ["read", "keys", *address],
        ["ingest", *address, "--to", str(tmp_path)],
        ["read", "nothing", *address],
        ["check", *address, "--help"],
    ):
        done = run(*arguments, env=variables)
        failed = not right and "--help" not in arguments
        assert done.code == (2 if "nothing" in arguments else int(failed)), done
        assert "Traceback" not in done.stderr
        canary.assert_unseen(done.stdout, done.stderr)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert canary.MARK.encode() not in path.read_bytes()


# Warnings


def test_a_warning_is_one_line_and_no_failure(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.set("name", "value")
    name = "without-memory"
    Raw(one_client)(
        *("ACL", "SETUSER", name, "reset", "on", f">{canary.PASSWORD}", "~*"),
        *("+@read", "+@connection", "+info", "-memory"),
    )
    user = ["--username", name, "--password", "{{ THE_PASSWORD }}"]
    variables = {"THE_PASSWORD": canary.PASSWORD}
    read = ["read", "keys", "--format", "json"]
    for arguments in (read, ["ingest", "--tables", "keys", "--to", str(tmp_path)]):
        done = run(*arguments, *at(one_server), *user, env=variables)
        assert done.code == 0, done
        (line,) = done.stderr.splitlines()
        assert line.startswith("warning: ")
        assert "memory_bytes" in line


# Terminals, pipes and signals


def on_terminal(*arguments: object, stdout: bool = False) -> tuple[int, str]:
    """Run the command with stderr, and perhaps stdout, on a terminal; gives what it saw."""
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=terminal if stdout else subprocess.DEVNULL,
        stderr=terminal,
        env=environment({"TERM": "xterm", "COLUMNS": "200"}),
    ) as process:
        os.close(terminal)
        seen = io.BytesIO()
        reader = threading.Thread(target=drain, args=(controller, seen))
        reader.start()
        code = process.wait()
        reader.join()
    os.close(controller)
    return code, seen.getvalue().decode()


def drain(controller: int, into: io.BytesIO) -> None:
    """Read a terminal until its other side is closed, which Linux reports as an error."""
    try:
        while chunk := os.read(controller, 65536):
            into.write(chunk)
    except OSError:
        return


def test_progress_shows_on_a_terminal_and_goes_again(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    data.fill_many(one_client, 1000)
    for arguments in (
        ["ingest", *at(one_server), "--to", tmp_path, "--tables", "strings"],
        ["read", "strings", *at(one_server), "--format", "json"],
    ):
        code, seen = on_terminal(*arguments)
        assert code == 0
        assert "strings" in seen
        assert "1,000 rows" in seen
        assert seen.rstrip().endswith("\x1b[2K"), "the line stays"


def test_rows_on_a_terminal_are_not_mixed_with_progress(
    one_server: Server, one_client: redis.Redis
) -> None:
    data.fill_many(one_client, 3)
    code, seen = on_terminal(*("read", "strings", *at(one_server), "--format", "json"), stdout=True)
    assert code == 0
    assert len([json.loads(line) for line in seen.splitlines()]) == 3


def test_the_summary_is_a_table_on_a_terminal(one_server: Server, tmp_path: Path) -> None:
    arguments = ["ingest", *at(one_server), "--to", tmp_path, "--tables", "hashes"]
    code, seen = on_terminal(*arguments, stdout=True)
    assert code == 0
    assert "┃" in seen
    assert "table=" not in seen


@pytest.fixture
def endless(one_server: Server, one_client: redis.Redis) -> Iterator[list[str]]:
    """The arguments for reading from a server that has just stopped answering."""
    data.fill_many(one_client, 10)
    with one_server.stopped():
        yield [*at(one_server), "--socket-timeout", "600", "--socket-connect-timeout", "600"]


def has_connected(pid: int) -> bool:
    """Whether a process has a socket."""
    try:
        links = [str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()]
    except FileNotFoundError:
        # One was closed meanwhile.
        return False
    return any(link.startswith("socket:") for link in links)


@pytest.mark.parametrize("command", ["ingest", "read", "check"])
def test_ctrl_c_ends_it_at_once_with_130(endless: list[str], tmp_path: Path, command: str) -> None:
    extra = {"ingest": ["--to", str(tmp_path)], "read": ["strings"], "check": []}[command]
    with subprocess.Popen(
        [*COMMAND, command, *extra, *endless],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(),
    ) as process:
        until("it connects", lambda: has_connected(process.pid))
        # It is about to wait, or does already; both moments must do.
        assert process.poll() is None, "it did not wait for the server"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=SOON)
        assert time.monotonic() - began < SOON
    assert (process.returncode, stdout, stderr) == (130, "", "interrupted\n")


@pytest.mark.parametrize("rows", [1, 100_000])
def test_a_reader_that_leaves_is_no_traceback(
    one_server: Server, one_client: redis.Redis, rows: int
) -> None:
    one_client.rpush("l", *range(rows))
    with subprocess.Popen(
        [*COMMAND, "read", "lists", *at(one_server), "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait()


# Without the packages of the extra


@pytest.mark.parametrize("package", ["click", "rich", "deltalake"])
def test_what_is_missing_is_said_with_how_to_install_it(tmp_path: Path, package: str) -> None:
    # A module of that name which says, as the import system would, that there is none.
    (tmp_path / f"{package}.py").write_text(
        f"raise ModuleNotFoundError('No module named {package}', name='{package}')\n"
    )
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = run("check", "--host", HOST, env={"PYTHONPATH": path})
    assert done.code == 2
    (line,) = done.stderr.splitlines()
    assert package in line
    assert "pip install 'lakeflow-redis[cli]'" in line
