"""A connection that breaks in the middle of a read costs no key and doubles none.

A server that is the same process is read on where it was. Under Sentinels, where it cannot be come
back to at once, it is looked for again, and what had been read by then is left out.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import pytest
import redis
from lakeflow_redis import DecodeError, LakeflowConnect

from tests import faults, hearsay, oracle
from tests.faults import Proxy
from tests.moving import Content, Keys, read_meanwhile
from tests.sentinels import MASTER
from tests.servers import HOST, REDIS_5_0, REDIS_7_0, Server, ServerPool

# Another pass is a warning, and here it is what is meant to be.
pytestmark = pytest.mark.filterwarnings("ignore::lakeflow_redis.LakeflowRedisWarning")

CUTS = {0: 24, 1: 6}
"""Places at which the connection breaks, by how many large keys there are."""

TABLES = [["strings"], ["strings", "hashes", "lists"], ["strings", "keys", "hashes", "lists"]]

TWICE = [
    {"database": 0, "key_pattern": pattern, "_type": key_type}
    for pattern in ["*string*", "string:1", "string:2", "*hash:*", "*list:*"]
    for key_type in ["string", "hash", "list"]
]
"""All keys, most of them by a rule that is for others, and some by their names as well."""

OPTIONS = {"batch_size": "1000", "max_in_flight_bytes": "65536"}
"""For many flights of so few keys, in batches that are not handed over at once."""


@dataclass(frozen=True)
class Filled:
    """A server, and what is in it."""

    server: Server
    client: redis.Redis
    content: Content
    cuts: int

    def replies(self, tables: Sequence[str], **options: str) -> int:
        """How many bytes the server says when tables are read."""
        before = self._said()
        own = self._said() - before
        LakeflowConnect(self.server.options(**options)).read_tables(tables)[0].read_all()
        return self._said() - before - 2 * own

    def _said(self) -> int:
        said: int = self.client.info("stats")["total_net_output_bytes"]
        return said


@pytest.fixture(scope="module", params=[REDIS_5_0, REDIS_7_0], ids=str)
def emptied(request: pytest.FixtureRequest, pool: ServerPool) -> Iterator[Server]:
    """A server that cannot scan by type, and one that can."""
    server = pool.get(request.param)
    with server.client() as client:
        client.flushall()
        yield server
        client.flushall()


@pytest.fixture(scope="module", params=CUTS, ids=["small", "large"])
def filled(request: pytest.FixtureRequest, emptied: Server) -> Iterator[Filled]:
    """It has small keys, or some that take pages as well."""
    keys = Keys.make(small=300, large=request.param)
    keys.streams.clear()
    with emptied.client() as client:
        client.flushall()
        with client.pipeline(transaction=False) as pipe:
            for _, command in keys.commands():
                pipe.execute_command(*command)
            pipe.execute()
        yield Filled(emptied, client, keys.content(), CUTS[request.param])


@pytest.mark.parametrize("passes", [1, 2], ids=["read on", "read again"])
@pytest.mark.parametrize("rules", [[], TWICE], ids=["scanned", "by rules"])
@pytest.mark.parametrize("tables", TABLES, ids="+".join)
def test_what_was_read_until_then_comes_once(
    filled: Filled, tables: Sequence[str], rules: list[dict[str, object]], passes: int
) -> None:
    options = OPTIONS | ({"sync_rules": json.dumps(rules)} if rules else {})
    first = filled.replies(tables, key_pattern="no such key", **OPTIONS)
    length = filled.replies(tables, **options)
    random = Random(str((tables, rules)))
    with (
        Proxy(filled.server.port) as proxy,
        hearsay.answering({"SENTINEL": hearsay.array(HOST, str(proxy.port))}) as sentinel,
    ):
        options |= {"mode": "sentinel", "nodes": f"{HOST}:{sentinel}", "sentinel_master": MASTER}
        for _ in range(filled.cuts):
            place = random.randrange(first, length)
            # In the second case it cannot be come back to at once.
            proxy.once(faults.cut(place), *[faults.cut(0)] * (passes - 1))
            ended = read_meanwhile(options, tables, filled.content, lambda _: None)
            assert ended.error is None, f"cut after {place} of {length} bytes: {ended}"
            assert ended.passes == passes, f"cut after {place} of {length} bytes"


def test_a_row_that_cannot_be_decoded_is_an_error_all_the_same(
    one_client: redis.Redis, one_server: Server
) -> None:
    """Also where the connection breaks when it was read, and the batch is not full yet."""
    one_client.mset({f"key:{number}": "good" for number in range(1000)})
    # The first to be read.
    bad = oracle.scan(oracle.Raw(one_client), "*")[0]
    one_client.set(bad, b"\xff")
    filled = Filled(one_server, one_client, {}, 6)
    first = filled.replies(["strings"], key_pattern="no such key", **OPTIONS)
    length = filled.replies(["strings"], invalid_utf8="skip", **OPTIONS)
    with (
        Proxy(one_server.port) as proxy,
        hearsay.answering({"SENTINEL": hearsay.array(HOST, str(proxy.port))}) as sentinel,
    ):
        options = OPTIONS | {
            "mode": "sentinel",
            "nodes": f"{HOST}:{sentinel}",
            "sentinel_master": MASTER,
        }
        for part in range(1, filled.cuts):
            proxy.once(faults.cut(first + (length - first) * part // filled.cuts))
            with pytest.raises(DecodeError, match=bad.decode()):
                list(LakeflowConnect(options).read_table("strings")[0])
