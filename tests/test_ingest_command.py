"""`ingest` by a pipeline file or by flags, for people and for machines; and `runs`."""

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import canary, lake
from tests.servers import HOST, Server, free_port
from tests.streams import add
from tests.test_cli import Done, assert_failed, at, run


def pipeline(folder: Path, server: Server, text: str = "") -> Path:
    """A pipeline file for a server, whose lake is `lake` beside it."""
    path = folder / "pipeline.toml"
    connection = f'[connection]\nhost = "{server.host}"\nport = {server.port}\n'
    path.write_text(f'{connection}[lake]\nto = "lake"\n{text}')
    return path


def reports(done: Done) -> list[dict[str, Any]]:
    """What it said of its runs, as JSON."""
    return [json.loads(line) for line in done.stdout.splitlines()]


# By a file


def test_a_file_says_it_all(one_server: Server, one_client: redis.Redis, tmp_path: Path) -> None:
    one_client.hset("user:1", mapping={"a": "1", "b": "2"})
    one_client.hset("order:1", "a", "1")
    add(one_client, "events", "1-0")
    path = pipeline(
        tmp_path,
        one_server,
        """
[[tables]]
table = "hashes"
name = "users"
mode = "history"
key_pattern = "user:*"
[[tables]]
table = "streams"
[[tables]]
table = "hashes"
name = "orders"
key_pattern = "order:*"
""",
    )
    done = run("ingest", path)
    assert (done.code, done.stderr) == (0, "")
    # In the order of the file, whatever was read first.
    assert [(row["name"], row["mode"], row["status"], row["rows"]) for row in done.rows] == [
        ("users", "history", "landed", "2"),
        ("streams", "append", "landed", "1"),
        ("orders", "replace", "landed", "1"),
    ]
    assert [row["changes"] for row in done.rows] == ["+2,~0,-0", "", ""]
    assert {row["key_name"] for row in lake.rows(tmp_path / "lake", "users")} == {"user:1"}
    assert "valid_from" in lake.rows(tmp_path / "lake", "users")[0]


def test_the_command_line_goes_over_the_file(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("h", "f", b"\xff")
    path = pipeline(tmp_path, one_server, "[ingest]\nquarantine = true\nevery = '600s'\n")
    assert run("ingest", path, "--once", "--no-quarantine").code == 1
    done = run("ingest", path, "--once")
    assert done.code == 0
    assert {row["table"]: row["rejected"] for row in done.rows}["hashes"] == "1"


def test_all_that_is_wrong_with_a_file_is_told_and_nothing_begun(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text(f"[conection]\nhost = '{HOST}'\n[lake]\n[[tables]]\ntable = \"ha\\nshes\"\n")
    done = run("ingest", path)
    assert (done.code, done.stdout) == (2, "")
    first, *others = done.stderr.splitlines()
    assert first.startswith(f"Error: {path}:")
    assert len(others) == 3
    for line, where in zip([first, *others], ("[connection]", ":1: ", ":3: ", ":5: "), strict=True):
        assert where in line
    # On one line each, whatever the file holds.
    assert r"ha\nshes" in others[-1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_there_is_a_slip(tmp_path: Path) -> None:
    assert_failed(run("ingest", tmp_path / "nothing.toml"), 2, "nothing.toml")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--host", HOST], "--host"),
        (["--to", "elsewhere"], "--to"),
        (["--tables", "keys", "--key-pattern", "a*"], "--tables, --key-pattern"),
        (["--write-mode", "merge"], "--write-mode"),
        (["--format", "parquet"], "--format"),
        (["--storage-option", "A=B"], "--storage-option"),
    ],
)
def test_a_file_and_flags_contradict_each_other(
    one_server: Server, tmp_path: Path, flags: list[str], named: str
) -> None:
    done = run("ingest", pipeline(tmp_path, one_server), *flags)
    assert (done.code, done.stdout) == (2, "")
    assert f"Error: {named}: the pipeline file says this" in done.stderr


def test_options_from_the_environment_do_not_count_beside_a_file_and_that_is_told(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("h", "f", "v")
    path = pipeline(tmp_path, one_server, "[[tables]]\ntable = 'hashes'\n")
    env = {"LAKEFLOW_REDIS_KEY_PATTERN": "none", "LAKEFLOW_REDIS_PASSWORD": canary.PASSWORD}
    done = run("ingest", path, env=env)
    assert done.code == 0
    assert [row["rows"] for row in done.rows] == ["1"]
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: LAKEFLOW_REDIS_KEY_PATTERN, LAKEFLOW_REDIS_PASSWORD: not used")
    canary.assert_unseen(done.stderr)
    # But where the file refers to them.
    path.write_text(path.read_text() + "key_pattern = '{{ LAKEFLOW_REDIS_KEY_PATTERN }}'\n")
    done = run("ingest", path, env={"LAKEFLOW_REDIS_KEY_PATTERN": "none"})
    assert (done.code, done.stderr) == (0, "")
    assert [row["rows"] for row in done.rows] == ["0"]


def test_a_secret_in_clear_is_a_warning(one_locked_server: Server, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text(
        f'[connection]\nhost = "{HOST}"\nport = {one_locked_server.port}\n'
        f'password = "{canary.PASSWORD}"\n[lake]\nto = "lake"\n[[tables]]\ntable = "keys"\n'
    )
    for more in ([], ["--dry-run"], ["--json", "--log-level", "debug"]):
        done = run("ingest", path, *more)
        assert done.code == 0, done
        warning = done.stderr.splitlines()[0]
        assert warning.startswith(f"warning: {path}:4: [connection] password: ")
        canary.assert_unseen(done.stdout, done.stderr)


# By flags


def test_modes_and_formats_are_flags_too(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("h", "f", "v")
    add(one_client, "s", "1-0")
    common = [*at(one_server), "--tables", "hashes,streams"]
    merged = run("ingest", *common, "--to", tmp_path / "delta", "--write-mode", "merge")
    assert [(row["mode"], row["changes"]) for row in merged.rows] == [
        ("merge", "+1,~0,-0"),
        ("append", ""),
    ]
    written = run("ingest", *common, "--to", tmp_path / "files", "--format", "parquet")
    assert written.code == 0, written
    assert list((tmp_path / "files" / "hashes").glob("*.parquet"))
    assert not (tmp_path / "files" / "hashes" / "_delta_log").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "--to"),
        (["--to", "lake", "--every", "5"], "90s, 5m, 2h or 1d"),
        (["--to", "lake", "--every", "5m", "--once"], "--every"),
        (["--to", "lake", "--every", "5m", "--dry-run"], "--every"),
        (["--to", "lake", "--storage-option", canary.PASSWORD], "NAME=VALUE"),
        (["--to", "s3://b/l", "--storage-option", "A={{ NO_SUCH }}"], "NO_SUCH"),
        (["--to", "lake", "--storage-option", f"A={canary.PASSWORD}"], "storage options"),
        (["--to", "lake", "--write-mode", "upsert"], "merge"),
        (["--to", "lake", "--write-mode=merge", "--format=parquet", "--tables=sets"], "merge"),
        (["--to", "lake", "--tables", "hash"], "hashes"),
    ],
)
def test_misuse_is_told_before_anything_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("ingest", "--host", HOST, *flags, "--json", "--log-level", "debug")
    assert (done.code, done.stdout) == (2, "")
    assert words in done.stderr.splitlines()[-1]
    canary.assert_unseen(done.stderr)
    assert list(tmp_path.iterdir()) == []


# For machines


def test_a_run_is_an_object(one_server: Server, one_client: redis.Redis, tmp_path: Path) -> None:
    one_client.hset("h", "f", "v")
    add(one_client, "s", "1-0")
    command = ["ingest", *at(one_server), "--to", tmp_path, "--tables", "hashes,streams", "--json"]
    done = run(*command)
    assert (done.code, done.stderr) == (0, "")
    (report,) = reports(done)
    assert list(report) == ["started_at", "seconds", "status", "error", "tables"]
    assert (report["status"], report["error"]) == ("done", None)
    hashes, streams = report["tables"]
    assert list(hashes) == [
        *("table", "name", "mode", "status", "rows", "rejected", "changes", "seconds", "version"),
        *("committed", "start", "end", "offset_version", "server_cpu_seconds", "server_version"),
        *("receipt", "error"),
    ]
    assert (hashes["table"], hashes["status"], hashes["rows"]) == ("hashes", "landed", 1)
    assert hashes["receipt"]["complete"]
    assert (streams["start"], streams["offset_version"]) == (None, 0)
    (again,) = reports(run(*command))
    assert again["tables"][1]["status"] == "unchanged"
    assert again["tables"][1]["start"] == streams["end"]


def test_what_fails_does_not_keep_out_the_others(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("good:1", "f", "v")
    one_client.hset("bad:1", "f", b"\xff")
    tables = "".join(
        f"[[tables]]\ntable = 'hashes'\nname = '{name}'\nkey_pattern = '{name}:*'\n"
        for name in ("bad", "good")
    )
    path = pipeline(tmp_path, one_server, tables)
    done = run("ingest", path, "--json")
    (report,) = reports(done)
    assert (done.code, report["status"], report["error"]) == (1, "failed", None)
    bad, good = report["tables"]
    assert (bad["status"], bad["committed"]) == ("failed", False)
    assert "UTF-8" in bad["error"]
    assert (good["status"], good["error"]) == ("landed", None)
    assert len(lake.rows(tmp_path / "lake", "good")) == 1
    shown = run("ingest", path)
    assert shown.code == 1
    assert [row["status"] for row in shown.rows] == ["failed", "landed"]
    (line,) = shown.stderr.splitlines()
    assert line.startswith("Error: ")
    assert "table hashes" in line


def test_a_server_that_is_not_there_is_a_failed_run(tmp_path: Path) -> None:
    address = ["--host", HOST, "--port", free_port(), "--to", tmp_path, "--tables", "keys"]
    done = run("ingest", *address, "--json")
    (report,) = reports(done)
    assert (done.code, report["status"]) == (1, "failed")
    assert "cannot connect" in report["tables"][0]["error"]
    # One that has to be asked what the columns are is missed before there is any result.
    done = run("ingest", *address[:-1], "server_info", "--json")
    (report,) = reports(done)
    assert (done.code, report["status"], report["tables"]) == (1, "failed", [])
    assert "cannot connect" in report["error"]


def test_the_log_is_shown_where_it_is_asked_for(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("h", "f", b"\xff")
    one_client.sadd("s", "m")
    command = ["ingest", *at(one_server), "--to", tmp_path, "--tables", "hashes,sets"]
    info = run(*command, "--quarantine", "--log-level", "info")
    assert info.code == 0
    lines = info.stderr.splitlines()
    assert any(" INFO lakeflow_redis.ingest table=sets name=sets mode=replace" in n for n in lines)
    assert any(" WARNING lakeflow_redis.ingest table=hashes " in line for line in lines)
    failed = run(*command, "--log-level", "error")
    assert failed.code == 1
    assert failed.stderr
    for line in failed.stderr.splitlines():
        assert " ERROR lakeflow_redis.ingest " in line
        assert "status=failed" in line


# Looking first


def test_a_dry_run_says_what_would_be_read_and_writes_nothing(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset("user:1", mapping={"a": "1", "b": "2"})
    add(one_client, "s", "1-0", "2-0")
    tables = "[[tables]]\ntable = 'hashes'\nname = 'users'\nkey_pattern = 'user:*'\n"
    path = pipeline(tmp_path, one_server, tables + "[[tables]]\ntable = 'streams'\n")
    done = run("ingest", path, "--dry-run")
    assert done.code == 0
    assert [(row["name"], row["keys"], row["rows"], row["from"]) for row in done.rows] == [
        ("users", "1", "~2", "beginning"),
        ("streams", "1", "~2", "beginning"),
    ]
    assert [row["which"] for row in done.rows] == ["user:*", "*"]
    assert done.stderr.startswith("All 2 keys that can be read were looked at")
    assert list(tmp_path.iterdir()) == [path]
    assert run("ingest", path).code == 0
    add(one_client, "s", "3-0")
    before = sorted(tmp_path.rglob("*"))
    then = json.loads(run("ingest", path, "--dry-run", "--json").stdout)
    assert (then["total_keys"], then["sampled_keys"], then["is_whole"]) == (2, 2, True)
    streams = then["tables"][1]
    assert (streams["name"], streams["keys"], streams["rows"]) == ("streams", 1, 1)
    assert streams["start"]["streams"]["0"]["s"]["id"] == "2-0"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_finds_what_a_run_would(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    (tmp_path / "lake" / "keys").mkdir(parents=True)
    (tmp_path / "lake" / "keys" / "notes").write_text("mine")
    done = run("ingest", pipeline(tmp_path, one_server), "--dry-run")
    assert (done.code, done.stdout) == (2, "")
    assert "keys" in done.stderr


# What there was


def test_former_runs_are_shown(one_server: Server, one_client: redis.Redis, tmp_path: Path) -> None:
    place = tmp_path / "lake"
    none = run("runs", place)
    assert (none.code, none.stdout) == (2, "")
    assert "there is nothing at" in none.stderr
    assert not place.exists()
    one_client.hset("h", "f", "v")
    common = [*at(one_server), "--to", place, "--tables", "hashes,strings"]
    assert run("ingest", *common).code == 0
    one_client.set("bad", b"\xff")
    assert run("ingest", *common).code == 1
    done = run("runs", place, "--json")
    assert (done.code, done.stderr) == (0, "")
    rows = reports(done)
    assert [(row["name"], row["status"]) for row in rows] == [
        *(("hashes", "failed"), ("strings", "failed"), ("hashes", "landed"), ("strings", "landed")),
    ]
    assert "UTF-8" in rows[0]["error"]
    assert rows[2]["gaps"] == []
    assert set(rows[2]["end_offset"]) == {"scanned_at"}
    last = run("runs", place, "--last", "1")
    assert last.code == 0
    lines = last.stdout.splitlines()
    for line, name in zip(lines, ("hashes", "strings"), strict=True):
        assert f" name={name} " in line
        assert 'error="DecodeError: ' in line


def test_runs_of_no_lake_of_ours_are_one_line() -> None:
    done = run("runs", "ftp://host/lake")
    assert (done.code, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
