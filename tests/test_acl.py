"""The rules that `lakeflow-redis acl` prints just suffice: nothing is refused, nothing is spare."""

import json
import shlex
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pytest
import redis
from click.testing import CliRunner
from lakeflow_redis import (
    ConfigurationError,
    LakeflowConnect,
    LakeflowRedisWarning,
    PermissionDeniedError,
)
from lakeflow_redis._core import acl_rules
from lakeflow_redis.cli import cli

from tests import canary, data, oracle
from tests.by_database import assert_same_by_database, emptied
from tests.compare import assert_same_rows
from tests.contract import CONTENT_TABLES, TABLES
from tests.large import LITTLE, PAGED, add_large
from tests.monitor import Monitor
from tests.oracle import TYPES, Raw, Row
from tests.servers import Flavour, Server
from tests.test_cli import run
from tests.test_scan import until
from tests.users import add_user, as_user, least_rules, refusals, version_for_rules
from tests.waiting import meanwhile

USER = "lakeflow"
"""The name that the command gives a user unless told otherwise."""

KEY_TABLES = [*CONTENT_TABLES, "keys"]
OURS = "app:*"
"""The keys that the user is given; there are others."""

DATABASES = (0, 2)
HEAVY_DB = 1

Clients = dict[int, redis.Redis]
Options = Mapping[str, str]


def printed(*arguments: str) -> list[str]:
    """The words of the command that `acl` prints."""
    done = CliRunner().invoke(cli, ["acl", *arguments])
    assert (done.exit_code, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    return shlex.split(line)


def printed_for(flavour: Flavour, *tables: str, db: str = "0") -> list[str]:
    """The command that `acl` prints for tables of our keys on a server."""
    arguments = ("--tables", ",".join(tables), "--key-pattern", OURS)
    return printed(*arguments, "--redis", version_for_rules(flavour), "--db", db)


def granted(command: Iterable[str]) -> set[str]:
    """The commands that a printed command allows."""
    return {word.removeprefix("+") for word in command if word.startswith("+")}


@pytest.fixture(scope="module")
def clients(acl_server: Server) -> Iterator[Clients]:
    """Clients on databases with small and large keys of every table, ours and others."""
    with emptied(acl_server, (*DATABASES, HEAVY_DB)) as clients:
        for db in DATABASES:
            pipe = clients[db].pipeline(transaction=False)
            for table in CONTENT_TABLES:
                for owner in ("app", "other"):
                    fill(pipe, table, f"{owner}:{table}:", f"in {db}")
            pipe.execute()
        data.fill_heavily(clients[HEAVY_DB])
        yield clients
        Raw(clients[0])("ACL", "DELUSER", USER)


def fill(pipe: Any, table: str, prefix: str, value: str) -> None:
    """Make small keys with unkind names and a large one; some expire."""
    for number, word in enumerate(data.TEXTS[::3]):
        name = prefix.encode() + word
        data.add_one(pipe, table, name, word + value.encode())
        if number % 3 == 0:
            pipe.expire(name, data.TTL_SECONDS)
    add_large(pipe, table, f"{prefix}large")
    pipe.expire(f"{prefix}large", data.TTL_SECONDS)


def readings(table: str, db: int) -> list[dict[str, str]]:
    """Options for reading a table in all ways that send something of their own."""
    content = "hashes" if table == "keys" else table
    names = [f"app:{content}:large", f"app:{content}:{data.TEXTS[9].decode()}"]
    rules = [
        {"database": db, "key_pattern": f"app:{content}:*a*"},
        {"database": db, "key_pattern": OURS, "_type": TYPES[content]},
        *({"database": db, "key_pattern": name} for name in [*names, "app:nobody"]),
    ]
    ways = [
        {"key_pattern": OURS},
        {"key_pattern": OURS} | LITTLE,
        {"key_pattern": names[0]},
        {"key_pattern": names[1]},
        {"sync_rules": json.dumps(rules)},
        *({"key_pattern": OURS, "columns": column} for column in TABLES[table].names),
    ]
    if table == "hashes":
        ways += [{"key_pattern": OURS, "fields": fields} for fields in ("f", "f,field 7,none")]
    return ways


def expected(client: redis.Redis, table: str, options: Options, rows: list[Row]) -> list[Row]:
    """Those of a table's rows, and of their columns, that options ask for."""
    given = [{"key_pattern": options["key_pattern"]}] if "key_pattern" in options else []
    given += json.loads(options.get("sync_rules", "[]"))
    names = {name.decode() for name in oracle.choose(client, given)}
    found = [row for row in rows if row["key_name"] in names]
    if "fields" in options:
        found = [row for row in found if row["field"] in options["fields"].split(",")]
    if "columns" in options:
        found = [{name: row[name] for name in options["columns"].split(",")} for row in found]
    return found


def assert_same(table: str, actual: list[Row], wanted: list[Row], options: Options) -> None:
    """Fail unless rows are as wanted; of those with one column only, what does not move."""
    column = options.get("columns")
    if column is None:
        return assert_same_rows(table, actual, wanted)
    assert len(actual) == len(wanted)
    if column == "fields":
        actual = [{column: oracle.parse_fields(row[column])} for row in actual]
    if column not in {"ttl_seconds", "memory_bytes", "idle_time_seconds", "scanned_at"}:
        assert Counter(map(repr, actual)) == Counter(map(repr, wanted))
    return None


# They suffice


@pytest.mark.parametrize("db", DATABASES)
@pytest.mark.parametrize("table", KEY_TABLES)
def test_under_the_printed_rules_all_readings_of_a_table_have_all_its_rows(
    acl_server: Server, clients: Clients, table: str, db: int
) -> None:
    raw = Raw(clients[db])
    raw(*printed_for(acl_server.flavour, table, db=str(db)), f">{canary.PASSWORD}")
    connector = as_user(acl_server, USER, db=str(db))
    rows = oracle.read(clients[db], table, pattern=OURS)
    raw("ACL", "LOG", "RESET")
    for options in readings(table, db):
        records, _ = connector.read_table(table, None, options)
        wanted = expected(clients[db], table, options, rows)
        assert wanted
        assert_same(table, list(records), wanted, options)
        assert records.receipt["warnings"] == []
        assert records.receipt["keys_denied"] == records.receipt["keys_inconsistent"] == 0
        if LITTLE.items() <= options.items() and table in PAGED:
            assert records.receipt["keys_paged"] > 0
    assert refusals(clients[db]) == []


def test_what_the_server_says_of_itself_needs_no_key(acl_server: Server, clients: Clients) -> None:
    command = printed_for(acl_server.flavour, "server_info")
    assert not any("~" in word for word in command)
    Raw(clients[0])(*command, f">{canary.PASSWORD}")
    records, _ = as_user(acl_server, USER).read_table("server_info")
    assert len(records) > 0
    assert records.receipt["warnings"] == []


@pytest.mark.parametrize(
    "tables", [KEY_TABLES, CONTENT_TABLES, ["hashes", "keys"], ["streams", "sets"]], ids=",".join
)
def test_under_the_printed_rules_several_tables_are_read_at_once(
    acl_server: Server, clients: Clients, tables: list[str]
) -> None:
    raw = Raw(clients[0])
    databases = ",".join(map(str, DATABASES))
    raw(*printed_for(acl_server.flavour, *tables, db=databases), f">{canary.PASSWORD}")
    raw("ACL", "LOG", "RESET")
    # What the oracle reads of strings, it touches.
    for options in ({"key_pattern": OURS}, {"key_pattern": OURS} | LITTLE):
        batches, _ = as_user(acl_server, USER, db=databases).read_tables(tables, None, options)
        found = batches.read_all()
        for table in tables:
            wanted = {db: oracle.read(clients[db], table, pattern=OURS) for db in DATABASES}
            assert_same_by_database(table, found[table].to_pylist(), wanted)
            assert batches.receipts[table]["warnings"] == []
    assert refusals(clients[0]) == []


@pytest.mark.parametrize("table", CONTENT_TABLES)
def test_under_the_printed_rules_keys_of_100_k_elements_come_whole(
    acl_server: Server, clients: Clients, table: str
) -> None:
    raw = Raw(clients[0])
    arguments = ("--redis", version_for_rules(acl_server.flavour), "--db", str(HEAVY_DB))
    command = printed("--tables", table, "--key-pattern", "heavy?*", *arguments)
    raw(*command, f">{canary.PASSWORD}")
    raw("ACL", "LOG", "RESET")
    records, _ = as_user(acl_server, USER, db=str(HEAVY_DB)).read_table(table)
    rows = pa.table(records)
    assert rows.num_rows == (1 if table == "strings" else data.HEAVY)
    keys = rows.group_by(TABLES[table].primary_keys).aggregate([])
    assert keys.num_rows == rows.num_rows
    assert records.receipt["warnings"] == []
    assert refusals(clients[0]) == []


def test_the_user_has_no_more_than_before_but_the_password(
    acl_server: Server, clients: Clients
) -> None:
    """Whatever the user was allowed earlier is gone, and its password is not."""
    raw = Raw(clients[0])
    before = ["allkeys", "allchannels", "allcommands"]
    if acl_server.flavour.level >= (7, 0):
        before.append("(+@all ~*)")
    raw("ACL", "SETUSER", USER, "on", f">{canary.PASSWORD}", *before)
    raw(*printed_for(acl_server.flavour, "strings"))
    rows = list(as_user(acl_server, USER, key_pattern="app:strings:*").read_table("strings")[0])
    assert len(rows) > 0
    with pytest.raises(PermissionDeniedError, match="other:strings"):
        list(as_user(acl_server, USER, key_pattern="other:strings:*").read_table("strings")[0])
    with pytest.raises(PermissionDeniedError, match=r"(?i)hlen|hgetall|memory"):
        list(as_user(acl_server, USER, key_pattern="app:*").read_table("hashes")[0])
    with acl_server.client(username=USER, password=canary.PASSWORD) as client:
        for command in (("SET", "app:x", "v"), ("PUBLISH", "channel", "v"), ("FLUSHALL",)):
            with pytest.raises(redis.exceptions.NoPermissionError):
                Raw(client)(*command)


# Nothing is spare


NOT_SENT = {
    # After a large key that went, or became another, while it was read; see below.
    **{table: {"unwatch"} for table in PAGED},
    # Only where MEMORY USAGE is refused, though it is among the rules.
    "streams": {"xlen"},
    "keys": set[str](),
    "server_info": set[str](),
}
"""What is granted for a table and not sent while nothing changes and nothing is refused."""


@pytest.mark.parametrize("table", TABLES)
def test_nothing_else_is_sent_and_all_that_is_granted_is(
    acl_server: Server, clients: Clients, table: str
) -> None:
    """By a user that may do everything, since what is refused is not shown."""
    rights = granted(printed_for(acl_server.flavour, table, db="0,2"))
    with Monitor(acl_server) as monitor:
        connector = LakeflowConnect(acl_server.options(db="2"))
        for options in ways(table):
            list(connector.read_table(table, None, options)[0])
        offset = connector.read_table("streams")[1] if table == "streams" else None
        connector.read_table(table, offset, {"key_pattern": "app:nobody*"})
    sent = monitor.names()
    if acl_server.flavour.level < (7, 0):
        sent.add("client|setname")  # It is sent, too, but there MONITOR does not show it.
    assert sent - rights == set()
    assert rights - sent == NOT_SENT[table]


def test_nothing_else_is_sent_for_all_tables_at_once(acl_server: Server, clients: Clients) -> None:
    rights = granted(printed_for(acl_server.flavour, *TABLES, db="*"))
    with Monitor(acl_server) as monitor:
        for options in ({"key_pattern": OURS}, {"key_pattern": OURS} | LITTLE):
            LakeflowConnect(acl_server.options(db="0,2")).read_tables(list(TABLES), None, options)[
                0
            ].read_all()
    assert monitor.names() - rights == set()


@pytest.fixture
def restless(acl_server: Server, clients: Clients) -> Iterator[redis.Redis]:
    """A client on a database of its own, with large keys that come and go."""
    with acl_server.client(3) as client:
        client.flushdb()
        for table in PAGED:
            for number in range(3):
                add_large(client, table, f"app:{table}:{number}")
        yield client
        client.flushdb()


def hide_and_seek(client: redis.Redis, table: str) -> None:
    """Move a table's large keys out of the user's sight and back again."""
    for way in (("app", "away"), ("away", "app")):
        for number in range(3):
            client.rename(f"{way[0]}:{table}:{number}", f"{way[1]}:{table}:{number}")


def unwatched(client: redis.Redis) -> int:
    """How often UNWATCH was run."""
    calls: int = client.info("commandstats").get("cmdstat_unwatch", {"calls": 0})["calls"]
    return calls


def read_until(
    server: Server, connector: LakeflowConnect, table: str, happened: Callable[[], int]
) -> None:
    """Read a table whose large keys come and go, until something has happened."""
    seen = Counter(happened=0)

    def churn(ending: Any) -> None:
        with server.client(3) as client:
            while not ending.is_set():
                hide_and_seek(client, table)

    with meanwhile(churn):
        for _ in until(seen, 1):
            records, _ = connector.read_table(table)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LakeflowRedisWarning)
                list(records)
            assert records.receipt["complete"]
            seen["happened"] = happened()


@pytest.mark.parametrize("table", PAGED)
def test_large_keys_that_go_while_they_are_read_need_no_more(
    acl_server: Server, restless: redis.Redis, table: str
) -> None:
    raw = Raw(restless)
    raw(*printed_for(acl_server.flavour, table, db="3"), f">{canary.PASSWORD}")
    raw("ACL", "LOG", "RESET")
    connector = as_user(acl_server, USER, db="3", key_pattern=OURS, **LITTLE)
    before = unwatched(restless)
    read_until(acl_server, connector, table, lambda: unwatched(restless) - before)
    assert refusals(restless) == []


@pytest.mark.parametrize("table", PAGED)
def test_without_unwatch_large_keys_that_go_are_no_error(
    acl_server: Server, restless: redis.Redis, table: str
) -> None:
    """A user can do without: what it is told of this command is no more than a note."""
    rules = least_rules(acl_server.flavour, [table], OURS, selects=True)
    add_user(restless, USER, *(rule for rule in rules if rule != "+unwatch"))
    Raw(restless)("ACL", "LOG", "RESET")
    connector = as_user(acl_server, USER, db="3", key_pattern=OURS, **LITTLE)
    read_until(acl_server, connector, table, lambda: len(refusals(restless)))


# Each of them is needed


COURTESIES = {"client|setname", "client|no-touch"}
"""For others' sake: nothing that is read depends on them."""

WATCHING = {"watch", "multi", "exec"}
"""What tells whether a large key changed while it was read in pages."""

FACTS = {
    "object|idletime": "idle_time_seconds",
    "object|encoding": "encoding",
    "object|refcount": "refcount",
    "memory|usage": "memory_bytes",
}
"""What `keys` can do without, and the columns that are null then."""


def ways(table: str) -> list[dict[str, str]]:
    """Options for reading any table in all ways, in database 2."""
    return readings(table, 2) if table in KEY_TABLES else [{}]


@pytest.fixture(scope="module")
def row_counts(acl_server: Server, clients: Clients) -> dict[str, list[int]]:
    """How many rows each reading of each table has for a user that may do everything."""
    connector = LakeflowConnect(acl_server.options(db="2"))
    return {
        table: [len(connector.read_table(table, None, options)[0]) for options in ways(table)]
        for table in TABLES
    }


def needed() -> Iterator[Any]:
    """Each table with each command that may be granted for it on any server."""
    for table in TABLES:
        for command in sorted(granted(printed("--tables", table, "--redis", "7.2", "--db", "2"))):
            yield pytest.param(table, command, id=f"{table} {command}")


@pytest.mark.parametrize(("table", "command"), list(needed()))
def test_a_command_that_is_taken_away_is_named_or_is_not_missed(
    acl_server: Server,
    clients: Clients,
    row_counts: dict[str, list[int]],
    table: str,
    command: str,
) -> None:
    rules = least_rules(acl_server.flavour, [table], OURS, selects=True)
    # Only newer servers have it, and only for these it is granted.
    assert f"+{command}" in rules or command == "client|no-touch"
    add_user(clients[0], USER, *(rule for rule in rules if rule != f"+{command}"))
    connector = as_user(acl_server, USER, db="2")
    failures = 0
    for options, count in zip(ways(table), row_counts[table], strict=True):
        try:
            records, _ = connector.read_table(table, None, options)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LakeflowRedisWarning)
                rows = pa.table(records)
        except PermissionDeniedError as error:
            failures += 1
            assert_named(acl_server, command, error)
        except pa.ArrowException:
            failures += 1
            assert isinstance(records.error, PermissionDeniedError)
            assert_named(acl_server, command, records.error)
        else:
            assert rows.num_rows == count or table == "server_info"
            assert_said(records.receipt, table, command, options, rows)
    can_do_without = command in COURTESIES | WATCHING | {"unwatch"} or (
        command in FACTS and (table == "keys" or command == "memory|usage")
    )
    if can_do_without or (table, command) == ("streams", "xlen"):
        assert failures == 0
    else:
        assert failures > 0


def assert_named(server: Server, command: str, error: PermissionDeniedError) -> None:
    """Fail unless an error says which command was refused, and by which rule it is permitted."""
    # Before 7.0 a server does not say which part of a command it was.
    said = command if server.flavour.level >= (7, 0) else command.partition("|")[0]
    text = str(error)
    assert f"'{said}'" in text
    assert f"`+{said}`" in text
    canary.assert_unseen(error)


def assert_said(
    receipt: Mapping[str, Any], table: str, command: str, options: Options, rows: Any
) -> None:
    """Fail unless a read that could do without a command says what is missing, and once."""
    said = receipt["warnings"]
    column = FACTS.get(command) if table == "keys" else None
    if column is not None and options.get("columns", column) == column:
        (warning,) = said
        assert column in warning
        assert rows[column].null_count == rows.num_rows
    elif command in WATCHING and receipt["keys_paged"]:
        (warning,) = said
        assert command in warning.lower()
        assert receipt["keys_inconsistent"] == receipt["keys_paged"]
    else:
        assert said == []


def test_streams_without_memory_usage_ask_for_their_lengths(
    acl_server: Server, clients: Clients
) -> None:
    rules = least_rules(acl_server.flavour, ["streams"], OURS)
    add_user(clients[0], USER, *(rule for rule in rules if rule != "+memory|usage"))
    with Monitor(acl_server) as monitor:
        rows = list(as_user(acl_server, USER, key_pattern=OURS).read_table("streams")[0])
    assert_same_rows("streams", rows, oracle.read(clients[0], "streams", pattern=OURS))
    assert "xlen" in monitor.names()


# What can be asked for


@pytest.mark.parametrize("pattern", ["", " ", "two words", "tab\there", "line\nbreak", " a*"])
def test_a_pattern_that_no_rule_can_hold_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="space"):
        acl_rules(["keys"], ["a*", pattern])
    done = CliRunner().invoke(cli, ["acl", "--key-pattern", pattern])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "space" in done.stderr
    assert len(done.stderr.splitlines()) == 1


PATTERNS = [
    "app:*",
    "it's",
    "[a-z]*",
    "a\\*",
    '"',
    "$HOME",
    "é?",
    "%R~x",
    "#",
    "(a)",
    ">b",
    "-@all",
]


def test_patterns_of_other_letters_go_through_a_shell(acl_server: Server, clients: Clients) -> None:
    arguments = [word for pattern in PATTERNS for word in ("--key-pattern", pattern)]
    version = version_for_rules(acl_server.flavour)
    raw = Raw(clients[0])
    raw(*printed("--tables", "strings", "--redis", version, *arguments))
    sign = "%R~" if acl_server.flavour.has_read_permissions else "~"
    assert set(key_rules(raw)) == {f"{sign}{pattern}" for pattern in PATTERNS}


def key_rules(raw: Raw) -> list[str]:
    """The user's rules for keys, as the server says them."""
    answer = raw("ACL", "GETUSER", USER)
    keys = dict(zip(answer[::2], answer[1::2], strict=True))[b"keys"]
    # Since 7.0 they are one text.
    return keys.decode().split(" ") if isinstance(keys, bytes) else [f"~{k.decode()}" for k in keys]


@pytest.mark.parametrize("patterns", [["*", OURS], [OURS, "*"], ["*", "*"], [OURS, OURS]])
def test_patterns_that_cover_each_other_make_a_command_too(
    acl_server: Server, clients: Clients, patterns: list[str]
) -> None:
    rules = least_rules(acl_server.flavour, ["strings"], *patterns)
    add_user(clients[0], USER, *rules)
    rows = list(as_user(acl_server, USER, key_pattern=OURS).read_table("strings")[0])
    assert_same_rows("strings", rows, oracle.read(clients[0], "strings", pattern=OURS))


def test_the_command_is_the_rules_for_a_user_and_needs_no_server() -> None:
    done = run("acl", "--tables", "hashes, keys", "--key-pattern", "a*", "--user", "reader")
    assert (done.code, done.stderr) == (0, "")
    rules = acl_rules(["hashes", "keys"], ["a*"])
    assert shlex.split(done.stdout) == ["ACL", "SETUSER", "reader", *rules]
    assert ">" not in done.stdout
    assert "nopass" not in done.stdout


def test_the_command_heeds_the_environment_as_the_others_do() -> None:
    environment = {
        "LAKEFLOW_REDIS_KEY_PATTERN": "app:*",
        "LAKEFLOW_REDIS_MODE": "cluster",
        "LAKEFLOW_REDIS_READ_FROM": "replica",
    }
    done = CliRunner().invoke(cli, ["acl", "--tables", "sets"], env=environment)
    rules = acl_rules(["sets"], ["app:*"], mode="cluster", read_from="replica")
    assert shlex.split(done.stdout) == ["ACL", "SETUSER", USER, *rules]
    done = CliRunner().invoke(cli, ["acl"], env={"LAKEFLOW_REDIS_DB": "0,1"})
    assert "+select" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        *(("--user", ""), ("--user", "a b")),
        ("--mode", "cluster", "--db", "1"),
        ("--mode", "standalone", "--read-from", "replica"),
    ],
)
def test_a_user_that_could_not_be_is_refused(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, ["acl", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert arguments[-2].removeprefix("--").replace("-", "_") in done.stderr.replace("-", "_")


@pytest.mark.parametrize("pattern", ["it's*", "app:*", "[a-z]*"])
def test_what_is_printed_can_be_given_to_redis_cli(one_server: Server, pattern: str) -> None:
    arguments = ["acl", "--tables", "sets", "--user", "piped", "--key-pattern", pattern]
    line = CliRunner().invoke(cli, arguments).stdout
    # As redis-cli splits lines: words in quotes of one kind, or in none.
    words = [word[1:-1] if word[0] in "\"'" else word for word in line.split()]
    with one_server.client() as client:
        raw = Raw(client)
        raw(*words)
        assert f"%R~{pattern}" in str(raw("ACL", "LIST"))
        raw("ACL", "DELUSER", "piped")


def test_all_tables_and_all_keys_are_meant_unless_others_are_named() -> None:
    assert printed() == ["ACL", "SETUSER", USER, *acl_rules(list(TABLES), ["*"])]
    assert printed("--db", "0") == printed()
    for db in ("1", "0,1", "*"):
        assert granted(printed("--db", db)) - granted(printed()) == {"select"}


def test_each_version_has_rules_that_it_knows(acl_server: Server, clients: Clients) -> None:
    raw = Raw(clients[0])
    versions = {"6.0": (6, 0), "6.2": (6, 2), "7.0": (7, 0), "7.2": (7, 2), "7.2.4": (7, 2)}
    for version, level in versions.items():
        rules = acl_rules(list(TABLES), ["*"], redis=version, selects=True)
        if level <= acl_server.flavour.level:
            raw("ACL", "SETUSER", USER, *rules)
        assert ("%R~*" in rules) == (level >= (7, 0))
        assert ("+client|no-touch" in rules) == (level >= (7, 2))
        assert ("resetchannels" in rules) == (level >= (6, 2))


@pytest.mark.parametrize("version", ["5.0", "5.0.6", "", "seven", "7", "-7.0"])
def test_a_version_that_knows_no_users_is_refused(version: str) -> None:
    with pytest.raises(ConfigurationError, match="version"):
        acl_rules(["keys"], ["*"], redis=version)


def test_a_table_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="`hashes`"):
        acl_rules(["keys", "hash"], ["*"])
    done = CliRunner().invoke(cli, ["acl", "--tables", "keys,hash"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "`hashes`" in done.stderr


@pytest.mark.parametrize(("name", "value"), [("mode", "clutser"), ("read_from", "slave")])
def test_a_choice_that_is_none_is_refused(name: str, value: str) -> None:
    choice: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=value):
        acl_rules(["keys"], ["*"], **choice)


def test_a_cluster_and_sentinels_are_asked_for_more() -> None:
    alone = granted(printed())
    cluster = granted(printed("--mode", "cluster")) - alone
    assert {command for command in cluster if not command.startswith("cluster|")} == {"asking"}
    replicas = granted(printed("--mode", "cluster", "--read-from", "replica")) - alone
    assert replicas - cluster == {"readonly"}
    done = CliRunner().invoke(cli, ["acl", "--mode", "sentinel"])
    own, sentinels = done.stdout.splitlines()
    assert granted(shlex.split(own)) == alone
    assert "sentinel|get-master-addr-by-name" in granted(shlex.split(sentinels))
    assert done.stderr == "At each Sentinel:\n"
