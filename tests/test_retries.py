"""What fails for a while is tried again, for as long as `retry_deadline` says, and costs no row."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import islice, pairwise
from random import Random

import pytest
import redis
from lakeflow_redis import (
    LakeflowConnect,
    LakeflowRedisError,
    RedisConnectionError,
    RedisTimeoutError,
    ServerError,
)

from tests import failing, faults, loading, moving
from tests.divided import partitions
from tests.moving import Keys, Reading, read_meanwhile
from tests.servers import HOST, REDIS_7_0, Server
from tests.waiting import until

# That a read was broken off is a warning, and here it is what is meant to be.
pytestmark = pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")

MORE_THAN_IS_REMEMBERED = 1_000_000
"""Keys. Of so many it is not known any more which were read."""

SLOW = moving.SLOW | {"max_server_share": "0.05"}

MEGABYTES = Keys(strings={f"string:{number}": "x" * 1_000_000 for number in range(64)})
"""So much that a read of it waits for whoever takes its rows."""


BEFORE_SELECT = 3
"""Replies: to PING, CLIENT SETNAME and INFO."""


def fill(server: Server, keys: Keys, db: int = 0) -> None:
    with server.client(db) as client, client.pipeline(transaction=False) as pipe:
        for _, command in keys.commands():
            pipe.execute_command(*command)
        pipe.execute()


def is_read(server: Server, command: str) -> bool:
    """Whether a read is under way that sends this."""
    with server.client() as client:
        return f"cmdstat_{command}" in client.info("commandstats")


def kill_clients(server: Server, *, times: int) -> None:
    """Cut off all clients but our own, several times."""
    with server.client() as client:
        own = client.client_id()
        for _ in range(times):
            for each in client.client_list():
                if int(each["id"]) != own:
                    with suppress(redis.ResponseError):
                        client.client_kill_filter(_id=each["id"])
            time.sleep(0.05)


@pytest.mark.parametrize(
    "tables", [["strings"], ["streams"], ["keys", "strings", "hashes", "lists"]], ids="+".join
)
def test_a_client_that_is_killed_again_and_again_reads_on(tables: list[str]) -> None:
    keys = Keys.make(small=5_000, large=1)
    asked = "xrange" if tables == ["streams"] else "scan"
    with Server(REDIS_7_0) as server:
        fill(server, keys)

        def disturb(_: Reading) -> None:
            until("it is read", partial(is_read, server, asked))
            kill_clients(server, times=20)

        ended = read_meanwhile(server.options(**moving.SLOW), tables, keys.content(), disturb)
        assert ended.error is None, str(ended)
        assert ended.passes == 1


def test_a_read_goes_on_where_it_was_however_much_was_read() -> None:
    with Server(REDIS_7_0, "--enable-debug-command", "yes") as server:
        with server.client() as client:
            client.execute_command("DEBUG", "POPULATE", MORE_THAN_IS_REMEMBERED, "key", 1)
        with faults.Proxy(server.port) as proxy:
            proxy.once(faults.cut(14_000_000))
            options = {"host": HOST, "port": str(proxy.port), "columns": "key_name"}
            records, _ = LakeflowConnect(options).read_table("strings")
            names = [name for batch in records.batches() for name in batch["key_name"].to_pylist()]
    assert records.receipt["retries"] >= 1
    assert any("went on where it was" in warning for warning in records.receipt["warnings"])
    assert len(names) == len(set(names)) == MORE_THAN_IS_REMEMBERED


def test_another_process_is_read_from_the_beginning() -> None:
    keys = Keys.make(small=3_000, large=0)
    with Server(REDIS_7_0) as server:
        fill(server, keys)

        def disturb(_: Reading) -> None:
            until("it is read", partial(is_read, server, "scan"))
            with server.client() as client:
                client.save()
            server.restart()

        ended = read_meanwhile(server.options(**SLOW), ["strings"], keys.content(), disturb)
        assert (ended.error, ended.passes) == (None, 2), str(ended)


def test_another_process_after_a_second_loss_costs_no_row() -> None:
    """What a connection left undone is not forgotten over one that was lost before it took that up."""
    keys = Keys.make(small=5_000, large=0)
    with Server(REDIS_7_0) as one, Server(REDIS_7_0) as other:
        fill(one, keys, db=1)
        fill(other, keys, db=1)
        with faults.Proxy(one.port) as proxy:

            def lead_elsewhere(said: faults.Said) -> faults.Said:
                yield from islice(faults.replies(said), BEFORE_SELECT)
                proxy.server = other.port

            proxy.once(faults.cut(150_000), lead_elsewhere)
            options = {"host": HOST, "port": str(proxy.port), "db": "1"}
            ended = read_meanwhile(options, ["strings"], keys.content(), lambda _: None)
        assert (ended.error, ended.passes) == (None, 2), str(ended)


def test_a_scan_that_names_few_keys_gets_on_all_the_same() -> None:
    with Server(REDIS_7_0, "--enable-debug-command", "yes") as server:
        with server.client() as client:
            client.execute_command("DEBUG", "POPULATE", 300_000, "key", 1)
            client.hset("hash", "field", "value")
        with faults.Proxy(server.port) as proxy:
            proxy.once(*[faults.cut(1_000)] * 5)
            options = {"host": HOST, "port": str(proxy.port)}
            records, _ = LakeflowConnect(options).read_table("hashes")
            assert [row["value"] for row in records] == ["value"]
        assert records.receipt["retries"] == 5


def test_a_batch_that_closes_in_the_middle_of_a_reply_is_no_reason_to_fail() -> None:
    keys = Keys(
        strings={f"string:{number}": "x" * 10_000 for number in range(1_000)},
        hashes={f"hash:{number}": {"field": "x" * 10_000} for number in range(1_000)},
    )
    chance = Random(0)
    with Server(REDIS_7_0) as server:
        fill(server, keys)
        with faults.Proxy(server.port) as proxy:
            options = {"host": HOST, "port": str(proxy.port)}
            tables = ["strings", "hashes", "lists", "sets", "sorted_sets", "streams"]
            for _ in range(20):
                proxy.once(faults.cut(chance.randrange(10_000, 15_000_000)))
                found = LakeflowConnect(options).read_tables(tables)[0].read_all()
                for table in ("strings", "hashes"):
                    moving.assert_same(table, found[table], keys.content()[table])


def test_the_deadline_ends_it_and_the_error_says_what_was_tried() -> None:
    with Server(REDIS_7_0) as server:
        fill(server, MEGABYTES)
        options = server.options(retry_deadline="1")
        records, _ = LakeflowConnect(options).read_table("strings")
        rows = iter(records)
        next(rows)
        server.kill()
        with pytest.raises(RedisConnectionError, match=r"tried again [1-9]") as caught:
            list(rows)
        assert server.address in str(caught.value)
        assert records.receipt["retries"] >= 1
        assert records.receipt["complete"] is False


def test_no_deadline_is_no_second_try() -> None:
    with Server(REDIS_7_0) as server:
        fill(server, MEGABYTES)
        options = server.options(retry_deadline="0")
        records, _ = LakeflowConnect(options).read_table("strings")
        rows = iter(records)
        next(rows)
        kill_clients(server, times=1)
        with pytest.raises(RedisConnectionError, match="the connection was lost") as caught:
            list(rows)
        assert "tried again" not in str(caught.value)
        assert records.receipt["retries"] == 0


def test_a_server_that_falls_silent_is_not_asked_again() -> None:
    with Server(REDIS_7_0) as server:
        fill(server, MEGABYTES)
        records, _ = LakeflowConnect(server.options(**failing.DEADLINES)).read_table("strings")
        rows = iter(records)
        next(rows)
        with server.stopped(), pytest.raises(RedisTimeoutError):
            list(rows)
        assert records.receipt["retries"] == 0


def test_connections_that_all_end_without_a_row_are_given_up() -> None:
    """As where each is ended by what the read asks for."""
    with Server(REDIS_7_0) as server:
        fill(server, Keys(strings={"large": "x" * 1_000_000}))
        with faults.Proxy(server.port, faults.cut(200_000)) as proxy:
            options = {"host": HOST, "port": str(proxy.port)}
            with pytest.raises(RedisConnectionError, match="tried again 8 times"):
                list(LakeflowConnect(options).read_table("strings")[0])


def test_a_key_that_ends_every_connection_is_given_up() -> None:
    def poisoned(said: faults.Said) -> faults.Said:
        for part in said:
            before, poison, _ = part.partition(b"poison")
            yield before + poison
            if poison:
                return

    with Server(REDIS_7_0) as server:
        fill(server, Keys.make(small=20_000, large=0))
        with server.client() as client:
            client.set("key", "poison")
        with faults.Proxy(server.port, poisoned) as proxy:
            options = {"host": HOST, "port": str(proxy.port)}
            records, _ = LakeflowConnect(options).read_table("strings")
            with pytest.raises(RedisConnectionError, match="tried again 8 times"):
                list(records)
        # Some of its neighbours may come before it does so.
        assert records.receipt["retries"] < 20


def test_a_full_server_is_waited_for() -> None:
    with Server(REDIS_7_0, "--maxclients", "1") as server, ThreadPoolExecutor() as pool:
        only = server.client()
        only.set("key", "value")
        connector = LakeflowConnect(server.options())
        with pytest.raises(LakeflowRedisError) as caught:
            list(LakeflowConnect(server.options(retry_deadline="0.2")).read_table("strings")[0])
        assert isinstance(caught.value, ServerError | RedisConnectionError)
        reading = pool.submit(lambda: list(connector.read_table("strings")[0]))
        time.sleep(0.3)
        only.close()
        only.connection_pool.disconnect()
        assert [row["value"] for row in reading.result()] == ["value"]


def test_a_server_that_loads_its_data_in_the_middle_is_waited_for() -> None:
    keys = Keys.make(small=5_000, large=0)
    with Server(REDIS_7_0, *loading.CONFIG) as server, ThreadPoolExecutor() as pool:
        fill(server, keys)

        def disturb(_: Reading) -> None:
            until("it is read", partial(is_read, server, "scan"))
            loading.begin_to_load(pool, server)

        tables = ["strings", "hashes"]
        ended = read_meanwhile(server.options(**SLOW), tables, keys.content(), disturb)
        assert ended.error is None, str(ended)


def test_a_busy_server_is_waited_for() -> None:
    keys = Keys.make(small=5_000, large=0)
    config = ("--lua-time-limit", "50")
    with Server(REDIS_7_0, *config) as server, ThreadPoolExecutor() as pool:
        fill(server, keys)

        def disturb(_: Reading) -> None:
            until("it is read", partial(is_read, server, "scan"))
            script = pool.submit(run_for_ever, server)
            until("it is busy", partial(is_busy, server))
            time.sleep(0.3)
            with server.client() as client:
                client.script_kill()
            assert script.result()

        ended = read_meanwhile(server.options(**SLOW), ["strings"], keys.content(), disturb)
        assert ended.error is None, str(ended)


def run_for_ever(server: Server) -> bool:
    """Run a script until it is killed."""
    with server.client() as client, pytest.raises(redis.ResponseError, match="killed"):
        client.eval("while true do end", 0)
    return True


def is_busy(server: Server) -> bool:
    """Whether a script keeps it from answering."""
    with server.client() as client:
        try:
            client.ping()
        except redis.ResponseError as error:
            return "BUSY" in str(error)
    return False


def test_a_server_that_is_busy_while_a_table_is_divided_is_asked_again() -> None:
    with Server(REDIS_7_0) as server, faults.Proxy(server.port) as proxy:
        fill(server, Keys.make(small=20_000, large=0))
        connector = LakeflowConnect({"host": HOST, "port": str(proxy.port)})
        said = bytearray()
        proxy.once(faults.recorded(said))
        assert len(partitions(connector, "strings", 4)) == 4
        replies = pairwise(faults.replies(iter([bytes(said)])))
        # MULTI, and EXEC of nothing: whether parts can be read is tried so.
        multi = next(nth for nth, pair in enumerate(replies) if pair == (b"+OK\r\n", b"*0\r\n"))
        proxy.once(faults.instead(multi, b"-BUSY Redis is busy running a script.\r\n"))
        assert len(partitions(connector, "strings", 4)) == 4


def test_a_plan_of_streams_is_made_anew() -> None:
    keys = Keys(streams=[f"stream:{number}" for number in range(2_000)])
    with Server(REDIS_7_0) as server:
        fill(server, keys)

        def disturb(_: Reading) -> None:
            until("a plan is made", partial(is_read, server, "xinfo|stream"))
            kill_clients(server, times=1)

        options = server.options(max_server_share="0.05")
        ended = read_meanwhile(options, ["streams"], keys.content(), disturb)
        assert ended.error is None, str(ended)


def test_what_is_tried_again_is_counted_in_the_receipt() -> None:
    with Server(REDIS_7_0) as server:
        fill(server, Keys.make(small=3_000, large=0))
        with faults.Proxy(server.port) as proxy:
            proxy.once(faults.cut(50_000))
            options = {"host": HOST, "port": str(proxy.port)}
            tables, _ = LakeflowConnect(options).read_tables(["strings", "hashes"])
            rows = Counter(table for table, batch in tables for _ in range(batch.num_rows))
            receipts = tables.receipts
    assert rows == {"strings": 3_000, "hashes": 900}
    assert {receipt["retries"] for receipt in receipts.values()} == {1}
