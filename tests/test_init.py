"""`init` writes a pipeline for what is in a server, which can be loaded, looked at and run as it is."""

import json
import os
import re
import tomllib
from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest
import redis
from lakeflow_redis import LakeflowConnect
from lakeflow_redis._core import acl_rules
from lakeflow_redis.ingest import TableSpec
from lakeflow_redis.pipeline import load
from lakeflow_redis.pipeline.estimate import estimate
from lakeflow_redis.pipeline.groups import Group, groups
from lakeflow_redis.pipeline.survey import Key, Sample, sample
from lakeflow_redis.pipeline.template import template

from tests import canary, data, lake
from tests.clusters import Cluster
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES
from tests.oracle import Raw
from tests.patterns import matches
from tests.servers import Server
from tests.test_cli import Done, at, run

CONNECTION = {"host": "localhost"}


def init(server: Server, folder: Path, *more: object, **env: str) -> Done:
    """Write `pipeline.toml` in a folder."""
    return run("init", folder / "pipeline.toml", *at(server), *more, env=env)


def of(*names: str | bytes, kind: str = "hash", stands_for: float = 1.0) -> Sample:
    """A sample of keys of one type."""
    raw = [name.encode() if isinstance(name, str) else name for name in names]
    keys = tuple(Key(0, name, kind, stands_for) for name in raw)
    return Sample(keys, len(keys), is_whole=stands_for == 1.0)


def found(sample: Sample) -> dict[str | None, int]:
    """The keys of each group, by pattern."""
    return {group.pattern: round(group.keys) for group in groups(sample)}


# Looking at keys


def test_a_small_server_is_looked_at_as_a_whole(connect: Connect, client: redis.Redis) -> None:
    for table in CONTENT_TABLES:
        if table != "keys":
            data.add_one(client, table, f"of:{table}")
    seen = sample(connect(key_pattern="none"))
    assert seen.is_whole
    assert seen.share == 1.0
    expected = {name: client.type(name) for name in client.scan_iter()}
    assert {key.name: key.type.encode() for key in seen.keys} == expected
    assert seen.total == len(expected)
    assert {key.stands_for for key in seen.keys} == {1.0}


def types_asked(client: redis.Redis) -> int:
    """How many TYPEs a server has been sent."""
    stats: dict[str, dict[str, int]] = client.info("commandstats")
    return stats.get("cmdstat_type", {}).get("calls", 0)


def test_of_a_large_server_some_keys_stand_for_all(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    data.fill_many(one_client, 200_000)
    before = types_asked(one_client)
    seen = sample(one_connect(), 2000)
    sent = types_asked(one_client) - before
    assert len(seen.keys) == 2000
    assert not seen.is_whole
    assert seen.share == 2000 / 200_000
    assert sum(key.stands_for for key in seen.keys) == pytest.approx(200_000)
    # A record batch has come when it stops, and what comes after it is asked for already.
    assert sent < 100_000


def test_each_database_is_looked_at(one_server: Server, one_connect: Connect) -> None:
    counts = {0: 3, 5: 4000, 7: 1}
    for db, count in counts.items():
        with one_server.client(db) as client:
            client.flushdb()
            client.mset({f"{db}:{number}": "v" for number in range(count)})
    try:
        everywhere = sample(one_connect(db="*"), 1000)
        chosen = sample(one_connect(db="0"), databases=[7])
    finally:
        for db in counts:
            with one_server.client(db) as client:
                client.flushdb()
    assert Counter(key.db for key in everywhere.keys) == {0: 3, 5: 1000, 7: 1}
    assert everywhere.total == 4004
    assert not everywhere.is_whole
    assert {key.db for key in chosen.keys} == {0, 7}
    assert chosen.is_whole


def test_each_node_of_a_cluster_is_looked_at(one_cluster: Cluster, tmp_path: Path) -> None:
    one_cluster.flush()
    names = {f"user:{number}" for number in range(300)}
    with one_cluster.client() as client:
        for name in names:
            client.hset(name, mapping={"a": "1", "b": "2"})
    connector = LakeflowConnect(one_cluster.options())
    seen = sample(connector)
    assert {key.name.decode() for key in seen.keys} == names
    assert (seen.total, seen.is_whole) == (300, True)
    (hashes,) = estimate(connector, [TableSpec("hashes")]).tables
    assert (hashes.keys, hashes.rows, hashes.is_counted) == (300, 600, True)
    done = run("init", tmp_path / "pipeline.toml", *at(one_cluster.running()[0]))
    assert done.code == 0, done
    assert run("ingest", tmp_path / "pipeline.toml").code == 0
    assert len(lake.rows(tmp_path / "lake", "user")) == 600
    one_cluster.flush()


def test_keys_that_the_user_may_not_read_are_left_out(
    one_server: Server, one_connect: Connect, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.mset({"user:1": "v", "user:2": "v", "secret:1": "v"})
    rules = acl_rules(["keys", "strings"], ["user:*"])
    Raw(one_client)("ACL", "SETUSER", "narrow", "reset", "on", "nopass", *rules)
    user = {"username": "narrow", "password": "any"}
    seen = sample(one_connect(**user))
    assert {key.name for key in seen.keys} == {b"user:1", b"user:2"}
    assert (seen.total, seen.is_whole) == (3, True)
    (strings,) = estimate(one_connect(**user), [TableSpec("strings")]).tables
    assert strings.keys == 2
    done = init(one_server, tmp_path, "--username", "narrow", "--password", "any")
    assert done.code == 0, done
    assert "All 2 keys that can be read" in (tmp_path / "pipeline.toml").read_text()


# Groups


def test_keys_are_grouped_by_type_and_prefix() -> None:
    both = Sample((*of("user:1", "user:2").keys, *of("user:3", kind="set").keys), 3, is_whole=True)
    assert groups(both) == [
        Group("hashes", "user", "user:*", 2.0, is_text=True),
        Group("sets", "user", "user:*", 1.0, is_text=True),
    ]


def test_what_has_no_prefix_is_the_rest() -> None:
    assert found(of("a", "b", "c:1", ":d")) == {"c:*": 1, ":*": 1, None: 2}


def test_what_is_rare_is_the_rest() -> None:
    names = [f"often:{number}" for number in range(990)]
    rare = [f"rare{chr(97 + number % 26)}:{number}" for number in range(10)]
    assert found(of(*names, *rare)) == {"often:*": 990, None: 10}


UUIDS = [str(UUID(int=number * 7**40 % 2**128)) for number in range(5)]


@pytest.mark.parametrize(
    ("names", "patterns"),
    [
        (["1:a", "23:b"], {"[0-9]*:*"}),
        (["user1:a", "user2:a", "user30:b"], {"user[0-9]*:*"}),
        (["user:1", "user1:a", "user2:a", "user30:b"], {"user:*", "user[0-9]*:*"}),
        (["v1:a", "v2:b", "v1:c"], {"v1:*", "v2:*"}),
        (["oauth2:a", "s3:b"], {"oauth2:*", "s3:*"}),
        ([f"{each}:cart" for each in UUIDS], {f"{'-'.join('?' * n for n in (8, 4, 4, 4, 12))}*:*"}),
        (
            [f"session-{each}:cart" for each in UUIDS],
            {f"session-{'-'.join('?' * n for n in (8, 4, 4, 4, 12))}*:*"},
        ),
        (["5f3a9c21deadbeef:a", "0123456789abcdef:b"], {None}),
        (["12345678901:a", "12345678902:b"], {"[0-9]*:*"}),
        (["é1:a", "é2:a", "é3:a"], {None}),
        (["facade:a", "cafe:b"], {"facade:*", "cafe:*"}),
    ],
)
def test_ids_in_a_prefix_make_no_group_each(names: list[str], patterns: set[str | None]) -> None:
    assert set(found(of(*names))) == patterns


def test_no_key_is_in_two_groups_with_a_pattern() -> None:
    names = [
        *("user:1", "user1:a", "user2:a", "user3a:b", "user4:b", "username:1", "2fa:x", "1:a"),
        *("v1:a", "v2:b", "*:a", "a*:b", "a:b", "[x]:1", "\\:1", "{{ A }}:1", *UUIDS),
        *(f"{each}:x" for each in UUIDS),
        *(f"s-{each}:x" for each in UUIDS),
    ]
    patterns = [group.pattern for group in groups(of(*names)) if group.pattern is not None]
    assert len(patterns) > 10
    for name in names:
        matching = [each for each in patterns if matches(each, name.encode())]
        assert len(matching) <= 1, (name, matching)


# The text


def test_a_secret_is_a_reference(tmp_path: Path) -> None:
    options = {
        "url": f"redis://:{canary.QUOTED_PASSWORD}@localhost",
        "sentinel_password": "{{ ALREADY }}",
        "ssl_keyfile": "/etc/client.key",
        "username": "{{ NAME }}",
        "ssl": "true",
        "socket_timeout": "2.5",
        "db": "0,1",
    }
    names = {name: f"THE_{name.upper()}" for name in options}
    text = template(of("a:1"), ["Redis"], options, names)
    assert canary.MARK not in text
    assert tomllib.loads(text)["connection"] == {
        "url": "{{ THE_URL }}",
        "sentinel_password": "{{ ALREADY }}",
        "ssl_keyfile": "{{ THE_SSL_KEYFILE }}",
        "username": "{{ NAME }}",
        "ssl": True,
        "socket_timeout": "2.5",
        "db": "0,1",
    }


def test_names_in_the_lake_are_different_and_plain(tmp_path: Path) -> None:
    names = ["user:1", "USER:1", "user-:1", "hashes:1", "日本:1", ":1", "_:1", "a b/c:1"]
    text = template(of(*names), [], CONNECTION, {})
    path = tmp_path / "pipeline.toml"
    path.write_text(text)
    tables = load(path).tables
    assert tables is not None
    called = [spec.name for spec in tables]
    assert len(set(called)) == len(names)
    assert "hashes_unnamed" in called
    assert text.endswith('"\n')
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name or "") for name in called)


def test_an_empty_server_has_a_pipeline_too(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    assert init(one_server, tmp_path).code == 0
    assert load(tmp_path / "pipeline.toml").tables is None


def test_what_a_module_holds_is_told() -> None:
    text = template(of("a:1", "b:2", kind="ReJSON-RL"), [], CONNECTION, {})
    assert "# Keys of modules, 2 of type ReJSON-RL, show in the table `keys` only." in text


def test_the_whole_table_is_read_where_much_has_no_prefix_and_else_offered() -> None:
    often = [f"user:{number}" for number in range(200)]
    much = tomllib.loads(template(of(*often, *"abcdefghij"), [], CONNECTION, {}))
    assert [table.get("key_pattern") for table in much["tables"]] == ["user:*", None]
    little = template(of(*often, "a"), [], CONNECTION, {})
    assert [table.get("key_pattern") for table in tomllib.loads(little)["tables"]] == ["user:*"]
    assert '# [[tables]]\n# table = "hashes"\n' in little
    assert "About 1 key of hashes are in none" in little


# From a server to a lake


def test_what_init_wrote_is_loaded_looked_at_and_run(
    server: Server, client: redis.Redis, tmp_path: Path
) -> None:
    words = [word for word in data.WORDS if len(word) < 100]
    for number, word in enumerate(words):
        # Each as a prefix that is met often enough, and as a name without one.
        client.hset(word + b":" + str(number).encode(), "f", "v")
        client.set(word, "v")
        client.sadd(b"tag:" + word, "m")
    client.xadd("events:1", {"a": "b"})
    done = init(server, tmp_path)
    path = tmp_path / "pipeline.toml"
    total = client.dbsize()
    assert done == Done(0, f"wrote {path}: looked at {total} of {total} keys\n", "")
    tables = load(path, environment=os.environ).tables
    assert tables is not None
    dry = run("ingest", path, "--dry-run", "--json")
    assert (dry.code, dry.stderr) == (0, "")
    estimates = {each["name"]: each for each in json.loads(dry.stdout)["tables"]}
    ran = run("ingest", path)
    assert (ran.code, ran.stderr) == (0, "")
    landed: dict[str, set[bytes]] = {"hashes": set(), "strings": set(), "sets": set()}
    for spec in tables:
        name = spec.name or spec.table
        rows = lake.rows(tmp_path / "lake", name)
        assert estimates[name]["rows"] == len(rows)
        assert estimates[name]["keys"] == len({row["key_name"] for row in rows})
        if spec.table != "streams":
            keys = [row["key_name"] for row in rows]
            landed[spec.table].update(k.encode() if isinstance(k, str) else k for k in keys)
    # Nothing is left out; what groups do not have, the whole tables do.
    assert {name for names in landed.values() for name in names} == {*client.keys()} - {b"events:1"}


def test_what_a_name_holds_is_neither_a_pattern_nor_a_reference(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    prefixes = [
        "*",
        "a?",
        "[x]",
        "\\",
        'quo"ted',
        "'",
        "two\nlines",
        "{{ HOME }}",
        "{{{",
        "\x7f",
        "é",
    ]
    for prefix in prefixes:
        one_client.hset(f"{prefix}:1", "f", "v")
    one_client.hset("[y]:1", "f", "v")
    assert init(one_server, tmp_path).code == 0
    tables = load(tmp_path / "pipeline.toml").tables
    assert tables is not None
    patterns = [spec.options["key_pattern"] for spec in tables]
    assert len(patterns) == len(prefixes) + 1
    for prefix in prefixes:
        name = f"{prefix}:1".encode()
        assert sum(matches(each, name) for each in patterns) == 1
    done = run("ingest", tmp_path / "pipeline.toml")
    assert [(row["status"], row["rows"]) for row in done.rows] == [("landed", "1")] * len(patterns)


def test_names_that_are_no_text_are_read_as_bytes(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    one_client.hset(b"user:\xff", "f", "v")
    one_client.hset(b"\xff:1", "f", "v")
    one_client.sadd("tag:1", "m")
    assert init(one_server, tmp_path).code == 0
    tables = load(tmp_path / "pipeline.toml").tables
    assert tables is not None
    assert [(spec.name or spec.table, spec.options.get("value_type")) for spec in tables] == [
        *(("user", "binary"), ("hashes", "binary"), ("tag", None)),
    ]
    assert run("ingest", tmp_path / "pipeline.toml").code == 0
    assert {row["key_name"] for row in lake.rows(tmp_path / "lake", "hashes")} == {
        b"user:\xff",
        b"\xff:1",
    }


def test_a_file_that_is_there_stays_unless_forced(
    one_server: Server, one_client: redis.Redis, tmp_path: Path
) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text("mine")
    done = init(one_server, tmp_path)
    assert (done.code, done.stdout) == (2, "")
    assert "--force" in done.stderr
    assert path.read_text() == "mine"
    assert init(one_server, tmp_path, "--force").code == 0
    load(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("way", ["argument", "environment", "reference", "url"])
def test_a_password_does_not_get_into_the_file(
    one_locked_server: Server, tmp_path: Path, way: str
) -> None:
    env: dict[str, str] = {}
    more: list[str] = []
    address = at(one_locked_server)
    match way:
        case "argument":
            more = ["--password", canary.PASSWORD]
        case "environment":
            env["LAKEFLOW_REDIS_PASSWORD"] = canary.PASSWORD
        case "reference":
            env["THE_PASSWORD"] = canary.PASSWORD
            more = ["--password", "{{ THE_PASSWORD }}"]
        case "url":
            place = f"{one_locked_server.host}:{one_locked_server.port}"
            address = ["--url", f"redis://:{canary.QUOTED_PASSWORD}@{place}"]
    path = tmp_path / "pipeline.toml"
    done = run("init", path, *address, *more, env=env)
    assert done.code == 0, done
    canary.assert_unseen(done.stdout, done.stderr, path.read_text())
    name = {
        "argument": "REDIS_PASSWORD",
        "environment": "LAKEFLOW_REDIS_PASSWORD",
        "reference": "THE_PASSWORD",
        "url": "REDIS_URL",
    }[way]
    key = "url" if way == "url" else "password"
    assert load(path).connection[key] == f"{{{{ {name} }}}}"
    value = address[1] if way == "url" else canary.PASSWORD
    dry = run("ingest", path, "--dry-run", env={name: value})
    assert dry.code == 0, dry
    canary.assert_unseen(dry.stdout, dry.stderr)
