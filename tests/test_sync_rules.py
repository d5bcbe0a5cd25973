"""`sync_rules` choose keys as the server itself would, each once, and ask for no others."""

import json
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
import redis
from deltalake import DeltaTable
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lakeflow_redis import ConfigurationError, LakeflowConnect
from lakeflow_redis.ingest import ingest

from tests import data, lake, oracle
from tests.by_database import apart, assert_same_by_database, emptied
from tests.compare import assert_same_rows, assert_unique_keys
from tests.conftest import Connect
from tests.contract import CONTENT_TABLES, TABLES
from tests.monitor import Monitor
from tests.oracle import TYPES, Row
from tests.servers import REDIS_7_0, Server
from tests.streams import add
from tests.test_cli import at, run
from tests.test_connector import NOWHERE
from tests.test_scan import until
from tests.waiting import meanwhile

Rule = dict[str, Any]
Clients = dict[int, redis.Redis]

KEY_TABLES = [*CONTENT_TABLES, "keys"]


class Example(NamedTuple):
    """One of the advanced sync rules' examples, and the names that it is there to choose."""

    rules: str
    names: set[str]


# fmt: off
EXAMPLES = {
    "keys starting with alpha": Example("""[
  {
    "database": 0,
    "key_pattern": "alpha*"
  }
]


""", {"alpha", "alphabet", "alpha*"}),
    "exact match by the full key name": Example("""[
  {
    "database": 0,
    "key_pattern": "alpha"
  }
]


""", {"alpha"}),
    "a character range inside square brackets": Example("""[
  {
    "database": 0,
    "key_pattern": "test[123]"
  }
]

""", {"test1", "test2"}),
    "a character range inside square brackets to exclude": Example("""[
  {
    "database": 0,
    "key_pattern": "test[^123]"
  }
]
""", {"test4", "test^"}),
    "all database records": Example("""[
  {
    "database": 0,
    "key_pattern": "*"
  }
]

""", {"alpha", "alphabet", "alpha*", "Alpha", "beta", "test", "test1", "test2", "test4", "test^",
      "test12"}),
    "all database records having redis type SET": Example("""[
  {
    "database": 0,
    "key_pattern": "*",
    "_type": "SET"
  }
]

""", set()),
    "records having redis type SET": Example("""[
  {
    "database": 0,
    "_type": "SET"
  }
]

""", set()),
}
# fmt: on
"""Their JSON stands here as in the document, under what that says of each."""

NAMES = sorted(EXAMPLES["all database records"].names)


@pytest.fixture
def clients(server: Server) -> Iterator[Clients]:
    """Clients on the databases 0 and 1 of `server`, which is empty."""
    with emptied(server, (0, 1)) as clients:
        yield clients


@pytest.fixture
def one_clients(one_server: Server) -> Iterator[Clients]:
    """Clients on the databases 0 and 1 of one server, which is empty."""
    with emptied(one_server, (0, 1)) as clients:
        yield clients


def fill(clients: Clients, table: str) -> None:
    """Put keys of all `NAMES` for one table, and some of each other type, into each database."""
    for db, client in clients.items():
        pipe = client.pipeline(transaction=False)
        for name in NAMES:
            data.add_one(pipe, table, name, f"{name} in {db}")
        for number, other in enumerate(CONTENT_TABLES):
            if other != table:
                for name in (f"alpha of {other}", f"test1 of {other}", f"{number} of {other}"):
                    data.add_one(pipe, other, name, f"{name} in {db}")
        pipe.expire("alpha", data.TTL_SECONDS + db)
        pipe.execute()


def mixed(text: str) -> str:
    """A text in which each other letter is a capital."""
    return "".join(letter.upper() if at % 2 else letter for at, letter in enumerate(text))


def rules(*given: Mapping[str, Any]) -> str:
    """Rules as the option takes them; of database 0 unless they say otherwise."""
    return json.dumps([{"database": 0, **rule} for rule in given])


def pattern(glob: str, key_type: str | None = None) -> Rule:
    """A rule for names that match, perhaps of one type only."""
    return {"key_pattern": glob} | ({} if key_type is None else {"_type": key_type})


def of_type(key_type: str) -> Rule:
    """A rule for keys of a type."""
    return {"_type": key_type}


def expected(clients: Clients, table: str, text: str) -> dict[int, list[Row]]:
    """The rows of each database that rules must give."""
    return {
        db: [row for row in oracle.read(clients[db], table) if row["key_name"] in names]
        for db, names in chosen(clients, text).items()
    }


def chosen(clients: Clients, text: str) -> dict[int, set[str]]:
    """The names in each database that rules choose."""
    given: dict[int, list[Rule]] = {}
    for rule in json.loads(text):
        given.setdefault(rule["database"], []).append(rule)
    return {
        db: {name.decode() for name in oracle.choose(clients[db], of_database)}
        for db, of_database in given.items()
    }


def read(server: Server, table: str, text: str, **options: str) -> list[Row]:
    """All rows of a table under rules; each key is told to have come once."""
    records, _ = LakeflowConnect(server.options()).read_table(
        table, None, {"sync_rules": text} | options
    )
    rows = list(records)
    receipt = records.receipt
    assert receipt["keys_gone"] == receipt["keys_changed_type"] == 0
    # Otherwise one rule's scan may name keys of another's, too.
    given = json.loads(text)
    disjoint = server.flavour.level >= (6, 0) and all(map(is_plain, given))
    most = 0 if disjoint else len(given) * receipt["rows"] + 100
    assert 0 <= receipt["duplicates_dropped"] <= most
    return rows


def is_plain(rule: Rule) -> bool:
    """Whether a rule's pattern matches the same on every machine: bytes past ASCII have signs."""
    glob: str = rule.get("key_pattern", "")
    return glob.isascii() or "[" not in glob


# The document's examples


@pytest.mark.parametrize("title", EXAMPLES)
@pytest.mark.parametrize("table", KEY_TABLES)
def test_an_example_of_the_document_gives_what_the_server_says(
    server: Server, clients: Clients, table: str, title: str
) -> None:
    text, names = EXAMPLES[title]
    fill(clients, "sets" if table == "keys" else table)
    wanted = expected(clients, table, text)
    rows = read(server, table, text)
    assert_same_rows(table, rows, wanted[0])
    found = {row["key_name"] for row in rows}
    if "_type" not in json.loads(text)[0]:
        assert found & set(NAMES) == names
    elif table in ("sets", "keys"):
        assert found >= set(NAMES)
        assert all("of" not in name for name in found)
    else:
        assert found == set()


@pytest.mark.parametrize("table", KEY_TABLES)
def test_the_examples_for_two_databases_give_the_rows_of_both(
    server: Server, clients: Clients, table: str
) -> None:
    fill(clients, "sets" if table == "keys" else table)
    clients[1].rename("alpha", "alphabet soup")
    whole = {db: oracle.read(clients[db], table) for db in (0, 1)}
    for text, _ in EXAMPLES.values():
        given = [rule | {"database": db} for db in (1, 0) for rule in json.loads(text)]
        both = json.dumps(given)
        wanted = {
            db: [row for row in whole[db] if row["key_name"] in names]
            for db, names in chosen(clients, both).items()
        }
        assert_same_by_database(table, read(server, table, both), wanted)


@pytest.mark.parametrize("key_type", TYPES.values())
@pytest.mark.parametrize("spell", [str.upper, str.lower, str.title, mixed])
def test_types_are_taken_in_any_letter_case(
    one_server: Server, one_clients: Clients, key_type: str, spell: Callable[[str], str]
) -> None:
    fill(one_clients, "strings")
    text = rules(of_type(spell(key_type)))
    rows = read(one_server, "keys", text)
    assert {row["key_type"] for row in rows} == {key_type}
    assert_same_rows("keys", rows, expected(one_clients, "keys", text)[0])


# Several rules


UNIONS: dict[str, list[Rule]] = {
    "patterns that overlap": [pattern("a*"), pattern("*a"), pattern("*")],
    "all first": [pattern("*"), pattern("a*"), of_type("SET")],
    "patterns that overlap in part": [pattern("*1"), pattern("test*"), pattern("t?st[1-4]*")],
    "patterns apart": [pattern("alpha*"), pattern("test1*")],
    "a pattern and a type": [pattern("alpha*"), of_type("SET")],
    "a type and a pattern": [of_type("LIST"), pattern("test*")],
    "a type twice": [of_type("SET"), of_type("SET")],
    "a type twice, in other letters": [of_type("SET"), of_type("set")],
    "a pattern of a type, and the type": [pattern("a*", "SET"), of_type("SET")],
    "two patterns of a type": [pattern("a*", "SET"), pattern("*a", "SET")],
    "two types": [of_type("SET"), of_type("LIST")],
    "all types": [of_type(key_type) for key_type in TYPES.values()],
    "a pattern of two types": [pattern("*alpha*", "SET"), pattern("*alpha*", "HASH")],
    "patterns of two types that overlap": [pattern("a*", "SET"), pattern("*t*", "HASH")],
    "a pattern, and one of a type": [pattern("a*"), pattern("*a", "SET")],
    "a name and a pattern that covers it": [pattern("alpha"), pattern("alpha*")],
    "a pattern that covers a name": [pattern("alpha*"), pattern("alpha")],
    "a name and a type that covers it": [pattern("alpha"), of_type("SET")],
    "a name of a type and a pattern": [pattern("alpha", "SET"), pattern("a*")],
    "a name of a type and a pattern of another": [pattern("alpha", "LIST"), pattern("a*", "SET")],
    "a name of two types": [pattern("alpha", "LIST"), pattern("alpha", "SET")],
    "a name of two types turned round": [pattern("alpha", "SET"), pattern("alpha", "LIST")],
    "a name of a type and of any": [pattern("alpha", "LIST"), pattern("alpha")],
    "a name of another type": [pattern("alpha", "LIST")],
    "names": [pattern("alpha"), pattern("beta"), pattern("test1"), pattern("nobody")],
    "a name with a star, and what it would match": [pattern(r"alpha\*"), pattern("alpha*", "SET")],
    "a name spelled twice": [pattern("alpha"), pattern(r"\alpha")],
    "the same rule twice": [pattern("test[12]"), pattern("test[12]")],
    "the same name twice": [pattern("alpha"), pattern("alpha")],
    "nothing and something": [pattern("nobody*"), pattern("beta")],
}


@pytest.mark.parametrize("given", UNIONS.values(), ids=UNIONS)
@pytest.mark.parametrize("table", ["keys", "sets"])
def test_rules_are_a_union_in_which_each_key_comes_once(
    server: Server, clients: Clients, table: str, given: list[Rule]
) -> None:
    fill(clients, "sets")
    text = rules(*given)
    rows = read(server, table, text)
    assert_unique_keys(table, rows)
    assert_same_rows(table, rows, expected(clients, table, text)[0])


@pytest.mark.parametrize("given", UNIONS.values(), ids=UNIONS)
def test_several_tables_have_the_rows_that_each_has_alone(
    server: Server, clients: Clients, given: list[Rule]
) -> None:
    fill(clients, "sets")
    text = rules(*given)
    types = {row["key_name"]: row["key_type"] for row in oracle.read(clients[0], "keys")}
    for tables in (KEY_TABLES, ["sets", "hashes", "lists"]):
        found = read_tables(server, tables, text)
        for table in tables:
            # Each of these keys has one row.
            wanted = [
                name
                for name in chosen(clients, text)[0]
                if table == "keys" or types[name] == TYPES[table]
            ]
            assert sorted(row["key_name"] for row in found[table]) == sorted(wanted)


def read_tables(server: Server, tables: list[str], text: str) -> dict[str, list[Row]]:
    """The rows of several tables, read together."""
    batches, _ = LakeflowConnect(server.options()).read_tables(tables, None, {"sync_rules": text})
    found = {table: rows.to_pylist() for table, rows in batches.read_all().items()}
    for receipt in batches.receipts.values():
        assert receipt["complete"]
        assert receipt["keys_gone"] == 0
    return found


MANY = 5_000


def test_many_keys_come_once_each_by_rules_that_overlap(
    one_server: Server, one_clients: Clients
) -> None:
    names = data.fill_many(one_clients[0], MANY).keys()
    text = rules(pattern("many:*1*"), pattern("*2*"), of_type("STRING"), pattern("many:77"))
    for table in ("keys", "strings"):
        found = [row["key_name"] for row in read(one_server, table, text, batch_size="10")]
        assert sorted(found) == sorted(names)


STAYING = [f"stays:{number}" for number in range(64)]


def test_names_of_another_type_let_no_key_come_twice_that_scan_repeats() -> None:
    """SCAN repeats keys of a table that shrinks between two pages of it."""
    late = {f"late:{number}": "v" for number in range(20_000)}
    text = rules(of_type("STRING"), *(pattern(name, "LIST") for name in STAYING))
    repeated = Counter(duplicates=0)
    # It resizes its tables as soon as it may, and not ten times a second.
    with Server(REDIS_7_0, "--hz", "500") as server, server.client() as client:
        client.mset(dict.fromkeys(STAYING, "v"))
        # Which keys are repeated depends on where the first page ends.
        for batch_size, _ in zip(count(3_000, 137), until(repeated, 3), strict=False):
            slow = {"batch_size": str(batch_size), "max_server_share": "0.1"}
            connector = LakeflowConnect(server.options(sync_rules=text, **slow))
            client.mset(late)
            with meanwhile(lambda _: shrink(server, scans(client), late)):
                records, _ = connector.read_table("keys")
                found = Counter(row["key_name"] for row in records)
            assert [name for name, times in found.items() if times > 1] == []
            assert found.keys() >= set(STAYING)
            repeated["duplicates"] += records.receipt["duplicates_dropped"]


def scans(client: redis.Redis) -> int:
    """How many pages of SCAN a server has given."""
    calls: int = client.info("commandstats").get("cmdstat_scan", {"calls": 0})["calls"]
    return calls


def shrink(server: Server, before: int, names: Iterable[str]) -> None:
    """Delete keys as soon as a further page of SCAN was given."""
    with server.client() as client:
        while scans(client) == before:
            pass
        client.delete(*names)


# Several databases


BOTH = rules({"database": 1} | pattern("alpha*"), {"database": 0} | of_type("SET"))


@pytest.mark.parametrize("table", KEY_TABLES)
def test_several_databases_are_told_apart_by_a_column_that_is_part_of_the_key(
    server: Server, clients: Clients, table: str
) -> None:
    fill(clients, "sets" if table == "keys" else table)
    connector = LakeflowConnect(server.options(sync_rules=BOTH))
    schema = TABLES[table].schema().append(pa.field("db", pa.int64(), nullable=False))
    assert pa.schema(connector.get_table_schema(table)) == schema
    metadata = connector.read_table_metadata(table)
    assert metadata["primary_keys"] == [*TABLES[table].primary_keys, "db"]
    rows = pa.table(connector.read_table(table)[0])
    assert rows.schema == schema
    assert_same_by_database(table, rows.to_pylist(), expected(clients, table, BOTH))
    keys = rows.select(metadata["primary_keys"])
    assert keys.group_by(metadata["primary_keys"]).aggregate([]).num_rows == rows.num_rows > 0


def test_the_rows_of_several_databases_come_in_one_read_of_each_table(
    server: Server, clients: Clients
) -> None:
    fill(clients, "lists")
    text = rules(pattern("alpha"), {"database": 1} | pattern("*"), pattern("*1", "LIST"))
    found = read_tables(server, KEY_TABLES, text)
    for table in KEY_TABLES:
        assert_same_by_database(table, found[table], expected(clients, table, text))


@pytest.mark.parametrize("db", ["0", "1", "5", "0,1,2", "*"])
@pytest.mark.parametrize("ruled", [0, 1])
def test_rules_and_not_the_connectors_db_say_which_database(
    one_server: Server, one_clients: Clients, db: str, ruled: int
) -> None:
    fill(one_clients, "hashes")
    text = rules({"database": ruled} | pattern("alpha*"))
    wanted = expected(one_clients, "hashes", text)
    connector = LakeflowConnect(one_server.options(db=db))
    records, _ = connector.read_table("hashes", None, {"sync_rules": text})
    assert pa.schema(records.schema) == TABLES["hashes"].schema()
    assert_same_rows("hashes", list(records), wanted[ruled])
    metadata = connector.read_table_metadata("hashes", {"sync_rules": text})
    assert metadata["primary_keys"] == TABLES["hashes"].primary_keys


def test_rules_and_not_the_urls_database_say_which_one(
    one_server: Server, one_clients: Clients
) -> None:
    fill(one_clients, "hashes")
    url = f"redis://{one_server.host}:{one_server.port}/5"
    for text in (rules({"database": 1} | pattern("alpha*")), BOTH):
        wanted = expected(one_clients, "hashes", text)
        rows = list(LakeflowConnect({"url": url, "sync_rules": text}).read_table("hashes")[0])
        if len(wanted) == 1:
            assert_same_rows("hashes", rows, wanted[1])
        else:
            assert_same_by_database("hashes", rows, wanted)


def test_rules_do_not_concern_what_the_server_says_of_itself(
    one_server: Server, one_clients: Clients
) -> None:
    connector = LakeflowConnect(one_server.options(sync_rules=BOTH))
    assert pa.schema(connector.get_table_schema("server_info")) == TABLES["server_info"].schema()
    rows = list(connector.read_table("server_info")[0])
    assert len({(row["section"], row["property"]) for row in rows}) == len(rows) > 0


def test_rules_survive_pickling(one_server: Server, one_clients: Clients) -> None:
    fill(one_clients, "hashes")
    connector = pickle.loads(pickle.dumps(LakeflowConnect(one_server.options(sync_rules=BOTH))))
    rows = list(connector.read_table("hashes")[0])
    assert_same_by_database("hashes", rows, expected(one_clients, "hashes", BOTH))


def test_a_database_that_is_not_there_is_named_at_once(
    one_server: Server, one_clients: Clients
) -> None:
    connector = LakeflowConnect(one_server.options())
    text = rules({"database": 16} | pattern("a*"))
    told = LakeflowConnect(one_server.options(sync_rules=text)).test_connection()
    assert told["status"] == "error"
    assert "database 16" in told["message"]
    with pytest.raises(ConfigurationError, match="database 16"):
        LakeflowConnect(one_server.options(sync_rules=text)).inspect()
    for table in ("keys", "streams"):
        with pytest.raises(ConfigurationError, match="database 16"):
            connector.read_table(table, None, {"sync_rules": text})


def test_a_test_of_the_connection_names_the_databases_of_the_rules(one_server: Server) -> None:
    connector = LakeflowConnect(one_server.options(db="5", sync_rules=BOTH))
    told = connector.test_connection()
    assert told["status"] == "success"
    assert "databases 0, 1" in told["message"]


# What is asked of the server


@pytest.mark.parametrize("table", KEY_TABLES)
def test_keys_that_are_named_are_looked_up_and_not_scanned_for(
    server: Server, clients: Clients, table: str
) -> None:
    fill(clients, "sets" if table == "keys" else table)
    text = rules(
        pattern("alpha"), pattern("nobody"), pattern(r"alpha\*"), {"database": 1} | pattern("beta")
    )
    with Monitor(server) as monitor:
        rows = read(server, table, text)
    assert {(row["db"], row["key_name"]) for row in rows} == {
        *((0, "alpha"), (0, "alpha*"), (1, "beta"))
    }
    assert monitor.named("scan") == []
    asked = {(command.db, command.words[1]) for command in monitor.named("type")}
    assert asked == {(0, b"alpha"), (0, b"alpha*"), (0, b"nobody"), (1, b"beta")}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("alpha", "alpha"),
        (r"alpha\*", "alpha*"),
        (r"\a\l\p\h\a", "alpha"),
        (r"te\st\^", "test^"),
        (r"test\1\2", "test12"),
    ],
)
@pytest.mark.parametrize("table", KEY_TABLES)
def test_a_pattern_without_a_glob_is_looked_up_too(
    server: Server, clients: Clients, table: str, given: str, name: str
) -> None:
    fill(clients, "sets" if table == "keys" else table)
    with Monitor(server) as monitor:
        rows = list(LakeflowConnect(server.options(key_pattern=given)).read_table(table)[0])
    assert {row["key_name"] for row in rows} == {name}
    assert_same_rows(table, rows, oracle.read(clients[0], table, pattern=given))
    assert monitor.named("scan") == []


@pytest.mark.parametrize("table", KEY_TABLES)
@pytest.mark.parametrize("by", ["sync_rules", "key_pattern"])
def test_a_name_that_is_not_there_gives_no_row_and_was_not_lost(
    server: Server, clients: Clients, table: str, by: str
) -> None:
    fill(clients, "sets" if table == "keys" else table)
    options = {by: "nobody" if by == "key_pattern" else rules(pattern("nobody"))}
    records, _ = LakeflowConnect(server.options()).read_table(table, None, options)
    assert list(records) == []
    for each in ("keys_gone", "keys_changed_type", "keys_denied", "duplicates_dropped"):
        assert records.receipt[each] == 0
    assert records.receipt["warnings"] == []


@pytest.mark.parametrize("table", KEY_TABLES)
def test_patterns_and_types_are_the_servers_to_filter_by(
    server: Server, clients: Clients, table: str
) -> None:
    fill(clients, "sets" if table == "keys" else table)
    text = rules(pattern("alpha*"), pattern("*1", "SET"), {"database": 1} | of_type("SET"))
    with Monitor(server) as monitor:
        rows = read(server, table, text)
    assert_same_by_database(table, rows, expected(clients, table, text))
    sent = {(scan.db, scan.option("MATCH"), scan.option("TYPE")) for scan in monitor.named("scan")}
    filters = server.flavour.level >= (6, 0)
    own = TYPES.get(table, "").encode() or None
    wanted: set[tuple[int, bytes | None, bytes | None]] = {(0, b"alpha*", own)}
    if table in ("keys", "sets"):
        wanted |= {(0, b"*1", b"set"), (1, None, b"set")}
    if not filters:
        wanted = {(db, match, None) for db, match, _ in wanted}
    assert sent == wanted
    # Otherwise TYPE is asked of each key whose type matters.
    asked = {command.words[1] for command in monitor.named("type")}
    if table != "keys":
        assert bool(asked) != filters


def test_all_names_are_no_pattern(one_server: Server, one_clients: Clients) -> None:
    fill(one_clients, "sets")
    with Monitor(one_server) as monitor:
        read(one_server, "sets", EXAMPLES["all database records"].rules)
    assert {scan.option("MATCH") for scan in monitor.named("scan")} == {None}
    assert {scan.option("TYPE") for scan in monitor.named("scan")} == {b"set"}


def test_rules_for_other_types_ask_nothing(one_server: Server, one_clients: Clients) -> None:
    fill(one_clients, "sets")
    with Monitor(one_server) as monitor:
        assert read(one_server, "hashes", rules(of_type("LIST"), pattern("alpha", "SET"))) == []
    assert monitor.names() <= {"ping", "info", "client|setname"}


def test_nothing_is_asked_of_keys_that_no_rule_chooses(
    one_server: Server, one_clients: Clients
) -> None:
    fill(one_clients, "sets")
    with Monitor(one_server) as monitor:
        read(one_server, "keys", rules(pattern("alpha"), pattern("test*", "SET")))
    asked = {
        command.words[-1].decode()
        for command in monitor.commands
        if command.name.partition("|")[0] in {"type", "memory", "object", "ttl"}
    }
    # A name's type is the server's to compare where it scans.
    assert asked == {"alpha", *(name for name in NAMES if name.startswith("test"))}


# Any rules at all


ALPHABET = "ab*?[]\\^-é"
SOME_NAMES = st.text(ALPHABET, max_size=4)
SOME_PATTERNS = st.text(ALPHABET, min_size=1, max_size=6)
SOME_TYPES = st.sampled_from(sorted(TYPES.values()))
SOME_KEYS = st.dictionaries(SOME_NAMES, st.sampled_from(sorted(TYPES)), max_size=25)
SOME_RULES = st.one_of(
    st.builds(pattern, SOME_PATTERNS),
    st.builds(of_type, SOME_TYPES),
    st.builds(pattern, SOME_PATTERNS, SOME_TYPES),
    # Names that are there, as they are looked up.
    st.builds(pattern, st.sampled_from(["a", "b", "ab", r"\*", r"a\*"]), SOME_TYPES),
)

ANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def put(client: redis.Redis, keys: Mapping[str, str]) -> None:
    """Make keys, by name and table, in place of all others."""
    pipe = client.pipeline(transaction=False)
    pipe.flushdb()
    for name, table in keys.items():
        data.add_one(pipe, table, name)
    pipe.execute()


def names(rows: Sequence[Row]) -> list[bytes]:
    """The names of keys that are there once each."""
    return sorted(row["key_name"].encode() for row in rows)


@ANY
@given(keys=SOME_KEYS, given=st.lists(SOME_PATTERNS.map(pattern), min_size=1, max_size=4))
@example(keys={"": "sets", "a": "sets"}, given=[pattern("[^a]*"), pattern("*")])
@example(keys={"[": "sets", "\\": "sets"}, given=[pattern("[\\"), pattern("*")])
@example(keys={"a": "sets", "ab": "sets"}, given=[pattern("a[^"), pattern("a?"), pattern("a")])
def test_any_patterns_choose_what_the_server_says_to_each(
    server: Server, clients: Clients, keys: dict[str, str], given: list[Rule]
) -> None:
    put(clients[0], keys)
    assert names(read(server, "keys", rules(*given))) == sorted(oracle.choose(clients[0], given))


@ANY
@given(keys=SOME_KEYS, one=SOME_PATTERNS, other=st.sampled_from(["*", "a*", "?*", "*[ab]*", "[*"]))
@example(keys={"": "hashes"}, one="**", other="*")
def test_what_one_pattern_has_the_other_leaves_and_no_more(
    server: Server, clients: Clients, keys: dict[str, str], one: str, other: str
) -> None:
    """What is wrongly taken for a match of the first would be missing from the second's."""
    put(clients[0], keys)
    both = [pattern(one), pattern(other)]
    assert names(read(server, "keys", rules(*both))) == sorted(oracle.choose(clients[0], both))


@ANY
@given(keys=SOME_KEYS, given=st.lists(SOME_RULES, min_size=1, max_size=5))
@example(keys={"a": "lists"}, given=[pattern("a", "set"), pattern("a", "list")])
@example(keys={"ab": "sets"}, given=[pattern("a*", "set"), pattern("ab", "list")])
@example(keys={"a": "lists", "b": "sets"}, given=[of_type("set"), of_type("list")])
def test_any_rules_choose_what_the_server_says_to_each(
    server: Server, clients: Clients, keys: dict[str, str], given: list[Rule]
) -> None:
    put(clients[0], keys)
    assert names(read(server, "keys", rules(*given))) == sorted(oracle.choose(clients[0], given))


@ANY
@given(keys=SOME_KEYS, given=st.lists(SOME_RULES, min_size=1, max_size=5))
def test_any_rules_choose_the_same_for_several_tables(
    one_server: Server, one_clients: Clients, keys: dict[str, str], given: list[Rule]
) -> None:
    put(one_clients[0], keys)
    of_all = oracle.choose(one_clients[0], given)
    for tables in (["hashes", "sets"], [*KEY_TABLES]):
        found = read_tables(one_server, tables, rules(*given))
        for table in tables:
            mine = {name.encode() for name, of in keys.items() if table in (of, "keys")}
            assert names(found[table]) == sorted(of_all & mine)


# Streams


def entries(rows: Sequence[Row]) -> list[tuple[int, str, str]]:
    """Database, key and id of entries, in an order."""
    return sorted((row["db"], row["key_name"], row["entry_id"]) for row in rows)


STREAM_RULES = rules(pattern("a*"), pattern("exact"), {"database": 1} | pattern("*", "STREAM"))


def test_streams_are_read_on_from_their_positions_in_each_database(
    server: Server, clients: Clients
) -> None:
    for client in clients.values():
        for key in ("a", "ab", "b", "exact"):
            add(client, key, "1-0", "2-0")
        client.set("a string", "v")
    connector = LakeflowConnect(server.options(sync_rules=STREAM_RULES))
    records, offset = connector.read_table("streams")
    wanted = {(0, key) for key in ("a", "ab", "exact")} | {
        (1, key) for key in ("a", "ab", "b", "exact")
    }
    assert entries(list(records)) == sorted((*key, i) for key in wanted for i in ("1-0", "2-0"))
    positions = offset["streams"]
    assert {(int(db), key) for db, keys in positions.items() for key in keys} == wanted
    assert {position["id"] for keys in positions.values() for position in keys.values()} == {"2-0"}

    add(clients[0], "a", "3-0")
    add(clients[0], "b", "3-0")
    add(clients[1], "b", "2-1")
    add(clients[1], "new", "0-1")
    records, second = connector.read_table("streams", json.loads(json.dumps(offset)))
    assert entries(list(records)) == [(0, "a", "3-0"), (1, "b", "2-1"), (1, "new", "0-1")]
    records, third = connector.read_table("streams", second)
    assert list(records) == []
    assert third == second


def test_a_stream_that_other_rules_choose_keeps_its_position(
    server: Server, clients: Clients
) -> None:
    for key in ("a", "b"):
        add(clients[0], key, "1-0")
    connector = LakeflowConnect(server.options())
    _, offset = connector.read_table("streams", None, {"sync_rules": rules(pattern("*"))})
    add(clients[0], "a", "2-0")
    add(clients[0], "b", "2-0")
    only = {"sync_rules": rules(pattern("a"))}
    records, offset = connector.read_table("streams", offset, only)
    assert [(row["key_name"], row["entry_id"]) for row in records] == [("a", "2-0")]
    records, _ = connector.read_table("streams", offset)
    assert [(row["key_name"], row["entry_id"]) for row in records] == [("b", "2-0")]


def test_an_offset_of_a_database_that_no_rule_names_is_an_error() -> None:
    connector = LakeflowConnect(NOWHERE | {"db": "0,1"})
    offset = {"streams": {"0": {}, "1": {}}, "table": "streams", "version": 1}
    with pytest.raises(ConfigurationError, match="database 1"):
        connector.read_table("streams", offset, {"sync_rules": rules(pattern("*"))})


def test_streams_among_several_tables_read_on_too(server: Server, clients: Clients) -> None:
    for client in clients.values():
        add(client, "a", "1-0")
        client.hset("ah", "f", "v")
    connector = LakeflowConnect(
        server.options(sync_rules=rules(pattern("a*"), {"database": 1} | pattern("a*")))
    )
    batches, offsets = connector.read_tables(["streams", "keys", "hashes"])
    counts = {table: rows.num_rows for table, rows in batches.read_all().items()}
    assert counts == {"streams": 2, "keys": 4, "hashes": 2}
    add(clients[1], "a", "1-1")
    batches, _ = connector.read_tables(["keys", "streams"], {"streams": offsets["streams"]})
    tables = batches.read_all()
    assert entries(tables["streams"].to_pylist()) == [(1, "a", "1-1")]
    assert tables["keys"].num_rows == 4


# Ingestion


def test_rules_over_two_databases_land_with_the_database(
    server: Server, clients: Clients, tmp_path: Path
) -> None:
    fill(clients, "lists")
    for db, client in clients.items():
        add(client, "alpha stream", f"{db + 1}-0", f"{db + 1}-1")
    text = rules(pattern("alpha*"), {"database": 1} | pattern("*"), pattern("beta"))
    connector = LakeflowConnect(server.options(sync_rules=text))
    ingest(connector, tmp_path, KEY_TABLES)
    wanted = expected(clients, "lists", text)
    for table in KEY_TABLES:
        rows = lake.rows(tmp_path, table)
        assert_same_by_database(table, rows, expected(clients, table, text))
        schema = TABLES[table].schema().append(pa.field("db", pa.int64(), nullable=False))
        assert pa.schema(DeltaTable(tmp_path / table).schema()) == schema
    assert all(wanted.values())

    add(clients[1], "alpha stream", "3-0")
    clients[0].delete("alpha")
    before = lake.entries(tmp_path)
    ingest(connector, tmp_path, ["lists", "streams"])
    assert lake.entries(tmp_path) == sorted([*before, ("alpha stream", "3-0")])
    landed = {row["entry_id"]: row["db"] for row in lake.rows(tmp_path, "streams")}
    assert landed["3-0"] == 1
    found = apart(lake.rows(tmp_path, "lists"))
    assert "alpha" not in {row["key_name"] for row in found[0]}
    assert "alpha" in {row["key_name"] for row in found[1]}


def test_the_command_line_takes_rules_too(one_server: Server, one_clients: Clients) -> None:
    fill(one_clients, "hashes")
    for text in (EXAMPLES["keys starting with alpha"].rules, BOTH):
        done = run("read", "keys", *at(one_server), "--sync-rules", text, "--format", "json")
        assert (done.code, done.stderr) == (0, "")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        wanted = expected(one_clients, "keys", text)
        if text == BOTH:
            assert_same_by_database("keys", rows, wanted)
        else:
            assert_same_rows("keys", rows, wanted[0])


# Rules that are none


FINE = '{"database": 0, "key_pattern": "a*"}'
MALFORMED: dict[str, tuple[str, list[str]]] = {
    "nothing": ("", ["list"]),
    "no JSON": ("alpha*", ["list", "line 1"]),
    "JSON that breaks off": (f"[{FINE}", ["line 1 column"]),
    "an object": (FINE, ["list"]),
    "no rule": ("[]", ["no rule"]),
    "a number for a rule": ("[1]", ["list of objects"]),
    "a text for a rule": ('["alpha*"]', ["list of objects"]),
    "null for a rule": ("[null]", ["list of objects"]),
    "a list for a rule": (f"[{FINE}, []]", ["list of objects"]),
    "neither pattern nor type": ('[{"database": 0}]', ["rule 1", "`key_pattern`", "`_type`"]),
    "an empty rule": (f"[{FINE}, {{}}]", ["rule 2", "`database`"]),
    "no database": ('[{"key_pattern": "a"}]', ["rule 1", "`database`", "missing"]),
    "a database that is a text": (
        f'[{FINE}, {{"database": "0", "_type": "SET"}}]',
        ["rule 2", "`database`"],
    ),
    "a database below 0": ('[{"database": -1, "_type": "SET"}]', ["rule 1", "`database`"]),
    "a database that is no integer": (
        f'[{FINE}, {FINE}, {{"database": 0.5, "_type": "SET"}}]',
        ["rule 3", "`database`"],
    ),
    "a database that is true": ('[{"database": true, "_type": "SET"}]', ["rule 1", "`database`"]),
    "a database that is null": ('[{"database": null, "_type": "SET"}]', ["rule 1", "`database`"]),
    "a database that is a list": ('[{"database": [0], "_type": "SET"}]', ["rule 1", "`database`"]),
    "a database past what a server takes": (
        '[{"database": 2147483648, "_type": "SET"}]',
        ["rule 1", "`database`"],
    ),
    "all databases": ('[{"database": "*", "_type": "SET"}]', ["rule 1", "`database`"]),
    "a pattern that is a number": ('[{"database": 0, "key_pattern": 1}]', ["`key_pattern`"]),
    "a pattern that is null": ('[{"database": 0, "key_pattern": null}]', ["`key_pattern`"]),
    "a pattern that is a list": (
        f'[{FINE}, {{"database": 0, "key_pattern": ["a"]}}]',
        ["rule 2", "`key_pattern`"],
    ),
    "an empty pattern": ('[{"database": 0, "key_pattern": ""}]', ["rule 1", "`key_pattern`"]),
    "a type that is none": (
        f'[{FINE}, {{"database": 0, "_type": "HASHES"}}]',
        ["rule 2", "`_type`", "`hash`"],
    ),
    "the type of a table": ('[{"database": 0, "_type": "sorted_set"}]', ["`_type`", "ZSET"]),
    "an empty type": ('[{"database": 0, "_type": ""}]', ["rule 1", "`_type`"]),
    "a type that is null": ('[{"database": 0, "_type": null}]', ["rule 1", "`_type`"]),
    "types that are a list": ('[{"database": 0, "_type": ["SET"]}]', ["rule 1", "`_type`"]),
    "a field of another name": (
        f'[{FINE}, {{"database": 0, "pattern": "a"}}]',
        ["rule 2", '"pattern"', "`key_pattern`"],
    ),
    "a field in other letters": (
        '[{"Database": 0, "key_pattern": "a"}]',
        ["rule 1", '"Database"', "`database`"],
    ),
    "a type without its line": ('[{"database": 0, "type": "SET"}]', ['"type"', "`_type`"]),
    "a type twice": (
        '[{"database": 0, "_type": "SET", "_type": "LIST"}]',
        ["rule 1", "`_type`", "twice"],
    ),
    "a database twice": (
        f'[{FINE}, {{"database": 0, "database": 0, "_type": "SET"}}]',
        ["rule 2", "`database`", "twice"],
    ),
    "more than rules": (f"[{FINE}] and more", ["line 1"]),
}


@pytest.mark.parametrize(("text", "said"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_rule_is_named_with_its_place_before_anything_is_connected_to(
    text: str, said: list[str]
) -> None:
    options = {"sync_rules": text}
    connector = LakeflowConnect(NOWHERE)
    for call in (
        lambda: LakeflowConnect(NOWHERE | options),
        lambda: connector.read_table("keys", None, options),
        lambda: connector.read_table("streams", {}, options),
        lambda: connector.read_tables(["keys", "sets"], None, options),
        lambda: connector.get_table_schema("keys", options),
        lambda: connector.read_table_metadata("server_info", options),
    ):
        with pytest.raises(ConfigurationError) as caught:
            call()
        assert "`sync_rules`" in str(caught.value)
        for words in said:
            assert words in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("glob", ["alpha", "*"])
def test_rules_and_a_pattern_that_are_given_together_contradict_each_other(glob: str) -> None:
    of_rules, of_pattern = {"sync_rules": rules(pattern("a*"))}, {"key_pattern": glob}
    for call in (
        lambda: LakeflowConnect(NOWHERE | of_rules | of_pattern),
        lambda: LakeflowConnect(NOWHERE).read_table("keys", None, of_rules | of_pattern),
        lambda: LakeflowConnect(NOWHERE).read_tables(["keys"], None, of_rules | of_pattern),
    ):
        with pytest.raises(ConfigurationError) as caught:
            call()
        assert "`sync_rules`" in str(caught.value)
        assert "`key_pattern`" in str(caught.value)


def test_rules_of_one_read_go_over_the_connectors(one_server: Server, one_clients: Clients) -> None:
    fill(one_clients, "sets")
    connector = LakeflowConnect(one_server.options(sync_rules=BOTH))
    text = rules(pattern("alpha"))
    rows = list(connector.read_table("sets", None, {"sync_rules": text})[0])
    assert_same_rows("sets", rows, expected(one_clients, "sets", text)[0])


def test_the_rules_of_a_read_stand_in_for_the_pattern_of_the_connector(
    one_connect: Connect, one_client: redis.Redis
) -> None:
    for key in ("a", "b"):
        one_client.set(key, "v")
    rules = json.dumps([{"database": 0, "key_pattern": "a"}])
    given = {"key_pattern": "b", "sync_rules": rules}
    for name, other in (("key_pattern", "sync_rules"), ("sync_rules", "key_pattern")):
        connector = one_connect(**{name: given[name]})
        records, _ = connector.read_table("strings", None, {other: given[other]})
        expected = "a" if other == "sync_rules" else "b"
        assert [row["key_name"] for row in records] == [expected]
    with pytest.raises(ConfigurationError, match="give one of them"):
        one_connect().read_table("strings", None, given)


def test_a_wrong_rule_is_quoted_at_no_great_length(one_connect: Connect) -> None:
    for field in ("_type", "x" * 100_000):
        rules = json.dumps([{"database": 0, field: "x" * 100_000}])
        with pytest.raises(ConfigurationError) as caught:
            one_connect(sync_rules=rules)
        assert len(str(caught.value)) < 1_000
