"""Filters that Spark hands over: what a query finds is the same, and what is asked of the server less."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from lakeflow_redis.spark.filters import push
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import (
    EqualTo,
    Filter,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    IsNotNull,
    LessThan,
    LessThanOrEqual,
    StringContains,
    StringStartsWith,
)

from tests.servers import Server
from tests.spark import conf, frame, rows

SWITCH = "spark.sql.python.filterPushdown.enabled"
KEY, MOMENT, ENTRY_ID = ("key_name",), ("timestamp_ms",), ("entry_id",)
SPECIAL = "*?[]\\^-{{ HOME }}"


@pytest.fixture(scope="module")
def pushing(spark: SparkSession) -> Iterator[SparkSession]:
    """A session that hands filters over."""
    with conf(spark, SWITCH, "true"):
        yield spark


@pytest.mark.parametrize(
    ("one", "pushed"),
    [
        (EqualTo(KEY, "user:1"), {"key_pattern": "user:1"}),
        (EqualTo(KEY, b"user:1"), {"key_pattern": "user:1"}),
        (EqualTo(KEY, SPECIAL), {"key_pattern": "\\*\\?\\[\\]\\\\^-\\{\\{ HOME }}"}),
        (In(KEY, ["a", None]), {"key_pattern": "a"}),  # type: ignore[arg-type]
        (StringStartsWith(KEY, "user:"), {"key_pattern": "user:*"}),
        (StringStartsWith(KEY, "a*b"), {"key_pattern": "a\\*b*"}),
    ],
)
def test_filters_on_keys_become_patterns(one: Filter, pushed: dict[str, str]) -> None:
    assert push([IsNotNull(KEY), one], {}) == (pushed, [IsNotNull(KEY)])


@pytest.mark.parametrize(
    ("given", "databases"),
    [
        ({}, [0]),
        ({"db": "3"}, [3]),
        ({"db": "0,2"}, [0, 2]),
        ({"url": "redis://server"}, [0]),
        ({"url": "redis://user:word@server:1/4"}, [4]),
        ({"url": "redis://server/4", "db": "5"}, [5]),
    ],
)
def test_several_keys_become_lookups(given: dict[str, str], databases: list[int]) -> None:
    pushed, left = push([In(KEY, ["a", "b*", "a"])], given)  # type: ignore[arg-type]
    assert left == []
    assert json.loads(pushed["sync_rules"]) == [
        {"database": db, "key_pattern": name} for db in databases for name in ("a", "b\\*")
    ]


@pytest.mark.parametrize(
    ("one", "given"),
    [
        (EqualTo(KEY, ""), {}),
        (EqualTo(KEY, b"\xff"), {}),
        (EqualTo(KEY, "a\ufffd"), {"invalid_utf8": "replace"}),
        (EqualTo(KEY, "a"), {"key_pattern": "*"}),
        (EqualTo(KEY, "a"), {"sync_rules": "[]"}),
        (EqualTo(("value",), "a"), {}),
        (In(KEY, ["a", ""]), {}),  # type: ignore[arg-type]
        (In(KEY, ["a", "b"]), {"db": "*"}),  # type: ignore[arg-type]
        (In(KEY, ["a", "b"]), {"url": "{{ URL }}"}),  # type: ignore[arg-type]
        (In(KEY, ["a", "b"]), {"db": "{{ DB }}"}),  # type: ignore[arg-type]
        (In(KEY, ["a", "b"]), {"url": "unix:///s?db=2"}),  # type: ignore[arg-type]
        (StringStartsWith(KEY, ""), {}),
        (StringContains(KEY, "a"), {}),
        (GreaterThan(KEY, "a"), {}),
    ],
)
def test_what_options_cannot_say_is_left_to_spark(one: Filter, given: dict[str, str]) -> None:
    assert push([one], given) == ({}, [one])


def test_a_lookup_goes_before_a_prefix() -> None:
    prefix, equal, other = StringStartsWith(KEY, "a"), EqualTo(KEY, "ab"), EqualTo(KEY, "b")
    assert push([prefix, equal, other], {}) == ({"key_pattern": "ab"}, [prefix, other])


@pytest.mark.parametrize(
    ("filters", "given", "bounds"),
    [
        ([GreaterThanOrEqual(MOMENT, 5)], {}, {"start_timestamp": "5"}),
        ([GreaterThan(MOMENT, 5)], {}, {"start_timestamp": "6"}),
        ([LessThan(MOMENT, 5)], {}, {"end_timestamp": "5"}),
        ([LessThanOrEqual(MOMENT, 5)], {}, {"end_timestamp": "6"}),
        ([EqualTo(MOMENT, 5)], {}, {"start_timestamp": "5", "end_timestamp": "6"}),
        ([EqualTo(ENTRY_ID, "5-7")], {}, {"start_timestamp": "5", "end_timestamp": "6"}),
        ([GreaterThan(MOMENT, 5), GreaterThan(MOMENT, 7)], {}, {"start_timestamp": "8"}),
        ([LessThan(MOMENT, 5), LessThan(MOMENT, 7)], {}, {"end_timestamp": "5"}),
        ([GreaterThan(MOMENT, -5), LessThan(MOMENT, -3)], {}, {}),
        ([EqualTo(ENTRY_ID, "no id")], {}, {}),
        ([GreaterThan(MOMENT, 5)], {"start_timestamp": "2026-01-31"}, {}),
        ([LessThan(MOMENT, 5)], {"end_timestamp": "2026-01-31"}, {}),
        # As text, which is how Spark compares them, 9-0 is after 10-0.
        ([GreaterThan(ENTRY_ID, "10-0")], {}, {}),
    ],
)
def test_filters_on_time_become_bounds_and_stay_filters(
    filters: list[Filter], given: dict[str, str], bounds: dict[str, str]
) -> None:
    assert push(filters, given) == (bounds, filters)


def calls(client: redis.Redis) -> Counter[str]:
    """How often the server was told what."""
    stats = client.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): each["calls"] for name, each in stats.items()})


def fill(client: redis.Redis) -> None:
    """Make keys with names that look alike, and streams with ids that do."""
    names = ["user:1", "user:10", "user:2", "user", "User:1", SPECIAL, "é", ""]
    for name in names:
        client.hset(name, mapping={"name": name or "none"})
    for number in range(500):
        client.hset(f"other:{number}", mapping={"name": number})
    for key in ("a", "b"):
        for entry_id in ("8-0", "9-1", "10-0", "10-5", "99-0", "100-0"):
            client.xadd(key, {"id": entry_id}, entry_id)
    # Its time does not fit the column, which is null then.
    client.xadd("late", {"f": "v"}, "9223372036854775809-0")


SPECIAL_IN_SQL = SPECIAL.replace("\\", "\\\\")
MANY_IN_SQL = ", ".join(f"'other:{number}'" for number in range(0, 400, 2))

CONDITIONS = [
    ("hashes", "key_name = 'user:1'"),
    ("hashes", f"key_name = '{SPECIAL_IN_SQL}'"),
    ("hashes", "key_name = ''"),
    ("hashes", "key_name = 'é' AND field = 'name'"),
    ("hashes", "key_name = 'user:1' AND key_name = 'user:2'"),
    ("hashes", "key_name IN ('user:1', 'user:2', 'none', 'a')"),
    ("hashes", "key_name IN ('user:1', NULL)"),
    ("hashes", f"key_name IN ({MANY_IN_SQL})"),
    ("hashes", "key_name LIKE 'user:%'"),
    ("hashes", "key_name LIKE 'user:%' AND value LIKE '%0'"),
    ("hashes", "key_name = 'user:1' OR key_name LIKE 'Us%'"),
    ("hashes", "NOT key_name LIKE 'other%'"),
    ("hashes", "key_name IS NULL"),
    ("keys", "key_name IN ('user:1', 'a') AND key_type = 'stream'"),
    ("streams", "timestamp_ms >= 10"),
    ("streams", "timestamp_ms > 9 AND timestamp_ms <= 99 AND key_name = 'a'"),
    ("streams", "timestamp_ms BETWEEN 9 AND 10"),
    ("streams", "timestamp_ms = 10"),
    ("streams", "timestamp_ms < 0"),
    ("streams", "timestamp_ms IS NULL"),
    ("streams", "entry_id = '10-5'"),
    ("streams", "entry_id > '10-0'"),
    ("streams", "entry_id = '010-5'"),
]


def comparable(frame: DataFrame) -> Counter[tuple[tuple[str, Any], ...]]:
    """Rows without what tells when and how often a key was looked at."""
    moving = {"scanned_at", "idle_time_seconds"}
    return Counter(
        tuple((name, value) for name, value in row.items() if name not in moving)
        for row in rows(frame)
    )


def test_the_same_is_found_with_and_without(
    pushing: SparkSession, one_server: Server, one_client: redis.Redis
) -> None:
    fill(one_client)
    everything = {
        table: frame(pushing, one_server, table).cache() for table in ("hashes", "keys", "streams")
    }
    for table, condition in CONDITIONS:
        pushed = frame(pushing, one_server, table, pushdown="true").where(condition)
        plain = everything[table].where(condition)
        assert comparable(pushed) == comparable(plain), condition


@pytest.mark.parametrize(
    "condition", ["key_name = 'user:1'", "key_name IN ('user:1', 'user:2', 'none')"]
)
def test_keys_that_are_named_are_looked_up(
    pushing: SparkSession, one_server: Server, one_client: redis.Redis, condition: str
) -> None:
    fill(one_client)
    before = calls(one_client)
    found = frame(pushing, one_server, "hashes", pushdown="true").where(condition)
    assert found.count() == condition.count("user")
    sent = calls(one_client) - before
    assert sent["scan"] == 0
    assert sent["hgetall"] <= 3


def test_a_prefix_reads_only_what_matches(
    pushing: SparkSession, one_server: Server, one_client: redis.Redis
) -> None:
    fill(one_client)
    before = calls(one_client)
    found = frame(pushing, one_server, "hashes", pushdown="true").where("key_name LIKE 'user:%'")
    assert found.count() == 3
    assert (calls(one_client) - before)["hgetall"] == 3


def test_entries_from_other_times_are_not_read(
    pushing: SparkSession, one_server: Server, one_client: redis.Redis
) -> None:
    for number in range(1, 2001):
        one_client.xadd("s", {"n": "x" * 1000}, f"{number}-0")
    before = one_client.info("stats")["total_net_output_bytes"]
    found = frame(pushing, one_server, "streams", pushdown="true")
    assert found.where("timestamp_ms BETWEEN 500 AND 509").count() == 10
    assert one_client.info("stats")["total_net_output_bytes"] - before < 100_000


def test_filters_that_were_taken_are_not_applied_twice(
    pushing: SparkSession, one_server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    found = frame(pushing, one_server, "hashes", pushdown="true")
    found.where("key_name = 'user:1' AND value = 'a'").explain()
    plan = capsys.readouterr().out
    assert "(value" in plan.partition("Filter")[2]
    assert "= user:1)" not in plan.partition("Filter")[2].partition("BatchScan")[0]


def test_without_sparks_switch_it_says_what_to_set(spark: SparkSession, one_server: Server) -> None:
    with conf(spark, SWITCH, "false"), pytest.raises(PySparkException) as caught:
        frame(spark, one_server, "hashes", pushdown="true").collect()
    assert SWITCH in str(caught.value)
