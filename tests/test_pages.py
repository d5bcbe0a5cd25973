"""Keys too large for one reply: read in pages, of one moment or flagged."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis
from lakeflow_redis import LakeflowConnect, LakeflowRedisWarning

from tests import canary, oracle
from tests.compare import assert_same_rows
from tests.conftest import Connect
from tests.servers import Server
from tests.users import add_user

COUNT = 30_000
BLOB = "x" * 300


def fill(client: redis.Redis, table: str) -> None:
    """Add a large key `large`, and small ones around it."""
    numbers = range(COUNT)
    match table:
        case "hashes":
            client.hset("large", mapping={f"field {n}": f"{n}{BLOB}" for n in numbers})
            client.hset("small", "f", "v")
        case "lists":
            client.rpush("large", *(f"{n}{BLOB}" for n in numbers))
            client.rpush("small", "e")
        case "sets":
            client.sadd("large", *(f"{n}{BLOB}" for n in numbers))
            client.sadd("small", "m")
        case "sorted_sets":
            client.zadd("large", {f"{n}{BLOB}": n / 7 for n in numbers})
            client.zadd("small", {"m": 1})
        case _:
            client.set("large", "".join(map(str, range(1_000_000))))
            client.set("small", "v")
    client.expire("large", 10_000)


PAGED = ["hashes", "lists", "sets", "sorted_sets", "strings"]


@pytest.mark.parametrize("table", PAGED)
@pytest.mark.parametrize("in_flight", ["8388608", "65536"])
def test_large_keys_are_read_whole(
    connect: Connect, client: redis.Redis, table: str, in_flight: str
) -> None:
    fill(client, table)
    records, _ = connect(max_in_flight_bytes=in_flight).read_table(table)
    rows = list(records)
    assert_same_rows(table, rows, oracle.read(client, table))
    assert records.receipt["keys_paged"] == 1
    assert records.receipt["keys_inconsistent"] == 0
    assert records.receipt["warnings"] == []


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 5_000_001])
def test_strings_of_any_length(connect: Connect, client: redis.Redis, size: int) -> None:
    client.set("s", bytes(n % 251 for n in range(size)))
    (row,) = connect(value_type="binary").read_table("strings")[0]
    assert row["value"] == client.get("s")
    assert row["value_length"] == size


@contextmanager
def meanwhile(server: Server, change: Callable[[redis.Redis, int], object]) -> Iterator[None]:
    """Change something over and over, until the end."""
    stop = threading.Event()
    failed: list[Exception] = []

    def work() -> None:
        with server.client() as client:
            number = 0
            try:
                while not stop.is_set():
                    change(client, number)
                    number += 1
            except redis.RedisError as error:
                failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not failed


CHANGES: dict[str, Callable[[redis.Redis, int], object]] = {
    "hashes": lambda client, n: client.hset("large", "field 7", n),
    "lists": lambda client, n: client.lpushx("large", n) and client.rpop("large"),
    "sets": lambda client, n: client.sadd("large", n),
    "sorted_sets": lambda client, n: client.zadd("large", {f"7{BLOB}": n}),
    "strings": lambda client, n: client.setrange("large", 10, str(n)),
}


@pytest.mark.parametrize("table", PAGED)
def test_a_key_that_keeps_changing_is_flagged(
    server: Server, connect: Connect, client: redis.Redis, table: str
) -> None:
    fill(client, table)
    connector = connect(max_in_flight_bytes="65536")
    with meanwhile(server, CHANGES[table]):
        for _ in range(2):
            records, _ = connector.read_table(table)
            with pytest.warns(LakeflowRedisWarning, match="large"):
                rows = list(records)
            assert records.receipt["keys_inconsistent"] == 1
            assert "moments" in records.receipt["warnings"][0]
            names = [row["key_name"] for row in rows]
            assert names.count("small") == 1
            assert len(rows) >= (1 if table == "strings" else COUNT - 10)


def test_a_key_that_changes_once_is_read_again(
    server: Server, connect: Connect, client: redis.Redis
) -> None:
    """By pauses between changes, some attempt meets none."""
    client.hset("large", mapping={f"f{n}": "v" for n in range(20_000)})

    def change(client: redis.Redis, number: int) -> None:
        client.hset("large", mapping={f"f{n}": number for n in range(20_000)})
        threading.Event().wait(0.2)

    with meanwhile(server, change):
        for _ in range(10):
            records, _ = connect().read_table("hashes")
            values = {row["value"] for row in records}
            assert records.receipt["keys_inconsistent"] == 0
            assert len(records.receipt["warnings"]) == 0
            assert len(values) == 1, "the rows are of several moments, and that was not said"


@pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")
@pytest.mark.parametrize("table", PAGED)
def test_keys_that_come_and_go_leave_whole_ones_or_none(
    server: Server, connect: Connect, client: redis.Redis, table: str
) -> None:
    fill(client, table)
    client.rename("large", "aside")

    def change(client: redis.Redis, number: int) -> None:
        """It comes, another type takes its place, and that goes."""
        match number % 3:
            case 0:
                client.rename("aside", "large")
            case 1:
                client.rename("large", "aside")
                client.xadd("large", {"f": "v"})
            case _:
                client.delete("large")

    with meanwhile(server, change):
        for _ in range(8):
            records, _ = connect(key_pattern="[ls]*").read_table(table)
            rows = [row["key_name"] for row in records].count("large")
            whole = 1 if table == "strings" else COUNT
            assert rows in {0, whole} or records.receipt["keys_inconsistent"] == 1


@pytest.mark.parametrize("refused", ["watch", "multi", "exec"])
def test_where_a_key_cannot_be_watched_large_ones_are_flagged(
    acl_server: Server, refused: str
) -> None:
    with acl_server.client() as client:
        client.flushdb()
        fill(client, "hashes")
        client.copy("large", "large as well")
        names = [f"small {number}" for number in range(2000)]
        for name in names:
            client.hset(name, "f", "v")
        add_user(client, "no-watch", "~*", "+@all", f"-{refused}", "-memory")
        records, _ = connect_as(acl_server, "no-watch").read_table("hashes")
        with pytest.warns(LakeflowRedisWarning, match=rf"(?i){refused}"):
            rows = list(records)
        assert_same_rows("hashes", rows, oracle.read(client, "hashes"))
        assert records.receipt["keys_inconsistent"] == 2


def connect_as(server: Server, user: str) -> LakeflowConnect:
    """A connector for a user."""
    return LakeflowConnect(server.options(username=user, password=canary.PASSWORD))
