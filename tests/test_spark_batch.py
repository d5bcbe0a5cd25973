"""Tables as Spark reads them in batch, each compared with what the oracle finds."""

import pickle
import subprocess
import sys

import pytest
import redis
from lakeflow_redis import ConfigurationError
from lakeflow_redis.spark import RedisDataSource
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import InputPartition
from pyspark.sql.types import LongType, StringType, StructField, StructType

from tests import canary, data, oracle
from tests.compare import assert_same_rows
from tests.contract import CONTENT_TABLES, TABLES
from tests.servers import Server
from tests.spark import frame, rows

WORDS = data.TEXTS[::3]


@pytest.mark.parametrize("table", ["keys", *CONTENT_TABLES])
def test_a_table_has_its_rows(
    spark: SparkSession, one_server: Server, one_client: redis.Redis, table: str
) -> None:
    data.fill(one_client, table if table in CONTENT_TABLES else "hashes", WORDS)
    found = frame(spark, one_server, table)
    assert found.columns == TABLES[table].names
    assert_same_rows(table, rows(found), oracle.read(one_client, table))


def test_the_server_has_its_properties(spark: SparkSession, one_server: Server) -> None:
    found = rows(frame(spark, one_server, "server_info"))
    assert ("server", "tcp_port", str(one_server.port)) in {
        (row["section"], row["property"], row["value"]) for row in found
    }


def test_binary_values_lose_nothing(
    spark: SparkSession, one_server: Server, one_client: redis.Redis
) -> None:
    data.fill(one_client, "hashes", data.BYTES[::5])
    found = rows(frame(spark, one_server, "hashes", value_type="binary"))
    assert_same_rows("hashes", found, oracle.read(one_client, "hashes", binary=True))


@pytest.mark.parametrize("table", ["keys", "hashes", "streams"])
def test_partitions_make_the_same_table(
    spark: SparkSession, one_server: Server, one_client: redis.Redis, table: str
) -> None:
    kind = "strings" if table == "keys" else table
    # Fewer keys than a few thousand are not divided.
    pipe = one_client.pipeline(transaction=False)
    for number in range(4_200):
        data.add_one(pipe, kind, f"key:{number}", str(number))
    pipe.execute()
    found = frame(spark, one_server, table, num_partitions="2")
    assert found.rdd.getNumPartitions() == 2
    assert_same_rows(table, rows(found), oracle.read(one_client, table))


@pytest.mark.parametrize("table", ["keys", *CONTENT_TABLES])
def test_nothing_is_read_where_nothing_is(
    spark: SparkSession, one_server: Server, one_client: redis.Redis, table: str
) -> None:
    assert rows(frame(spark, one_server, table)) == []


def test_a_partition_of_none_has_no_rows(one_server: Server) -> None:
    # Spark reads one where there are no partitions at all.
    source = RedisDataSource(one_server.options(tablename="hashes"))
    schema = source.schema()
    assert isinstance(schema, StructType)
    assert list(source.reader(schema).read(InputPartition(None))) == []


def test_several_databases_have_a_column(
    spark: SparkSession, one_server: Server, one_client: redis.Redis
) -> None:
    one_client.set("a", "of 0")
    with one_server.client(1) as other:
        other.flushdb()
        other.set("a", "of 1")
        found = frame(spark, one_server, "strings", db="0,1").select("db", "key_name", "value")
        assert sorted(map(tuple, found.collect())) == [(0, "a", "of 0"), (1, "a", "of 1")]
        other.flushdb()


def test_options_of_a_read_are_the_connectors(
    spark: SparkSession, one_server: Server, one_client: redis.Redis
) -> None:
    one_client.hset("user:1", mapping={"name": "a", "city": "b"})
    one_client.hset("cache:1", mapping={"name": "c"})
    found = frame(
        spark, one_server, "hashes", KEY_PATTERN="user:*", columns="value,field", fields="name"
    )
    assert list(map(tuple, found.collect())) == [("a", "name")]


def test_a_cap_for_micro_batches_cuts_no_batch_read(
    spark: SparkSession, one_server: Server, one_client: redis.Redis
) -> None:
    for number in range(10):
        one_client.xadd("s", {"n": number})
    assert frame(spark, one_server, "streams", max_records_per_batch="3").count() == 10


def test_a_view_in_sql(spark: SparkSession, one_server: Server, one_client: redis.Redis) -> None:
    one_client.hset("user:1", mapping={"name": "Ada", "city": "Graz"})
    options = one_server.options(tableName="hashes", key_pattern="user:*")
    spelt = ", ".join(f"{name} '{value}'" for name, value in options.items())
    spark.sql(f"CREATE TEMPORARY VIEW users USING redis OPTIONS ({spelt})")
    try:
        found = spark.sql("SELECT value FROM users WHERE field = 'name'").collect()
        assert [row["value"] for row in found] == ["Ada"]
        # It is read anew each time.
        one_client.hset("user:2", mapping={"name": "Bob"})
        assert spark.sql("SELECT count(*) FROM users WHERE field = 'name'").head() == (2,)
    finally:
        spark.catalog.dropTempView("users")


def given(spark: SparkSession, server: Server, schema: str | StructType) -> DataFrame:
    """The hashes, read by a schema of the user's."""
    options = server.options(tableName="hashes")
    return spark.read.format("redis").options(**options).schema(schema).load()


@pytest.mark.parametrize("schema", ["value STRING, ttl_seconds BIGINT", "key_name STRING NOT NULL"])
def test_a_schema_that_is_given_chooses_columns(
    spark: SparkSession, one_server: Server, one_client: redis.Redis, schema: str
) -> None:
    one_client.hset("h", mapping={"f": "v"})
    found = given(spark, one_server, schema)
    expected = {"value": "v", "ttl_seconds": None, "key_name": "h"}
    assert rows(found) == [{name: expected[name] for name in found.columns}]


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ("value STRING, nme STRING", "has a column 'nme'; the table has key_name, field"),
        ("value BIGINT", "has column `value` as bigint; it is string"),
        (StructType([StructField("value", StringType(), nullable=False)]), "may be null"),
        (StructType([StructField("ttl_seconds", LongType(), nullable=False)]), "may be null"),
        (StructType([]), "has no column"),
    ],
)
def test_a_schema_that_does_not_fit_is_an_error(
    spark: SparkSession, one_server: Server, schema: str | StructType, told: str
) -> None:
    with pytest.raises(PySparkException) as caught:
        given(spark, one_server, schema).collect()
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tableName": "hashs"}, "hashes"),
        ({}, "option `tableName` is missing"),
        ({"tableName": "hashes", "key_patern": "*"}, "key_pattern"),
        ({"tableName": "hashes", "pushdown": "yes"}, "option `pushdown` is 'yes'"),
        ({"tableName": "streams", "max_records_per_batch": "0"}, "max_records_per_batch"),
    ],
)
def test_an_option_that_is_wrong_is_an_error(
    spark: SparkSession, one_server: Server, options: dict[str, str], told: str
) -> None:
    with pytest.raises(PySparkException) as caught:
        spark.read.format("redis").options(**one_server.options(**options)).load()
    assert "ConfigurationError" in str(caught.value)
    assert told in str(caught.value)


def test_what_goes_to_executors_has_references_and_no_secrets(
    one_locked_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEFLOW_TEST_PASSWORD", canary.PASSWORD)
    options = one_locked_server.options(
        password="{{ LAKEFLOW_TEST_PASSWORD }}",  # noqa: S106 - just a reference.
        tablename="keys",
        num_partitions="2",
    )
    with one_locked_server.client() as client:
        client.flushall()
        client.set("a", "b")
    source = RedisDataSource(options)
    schema = source.schema()
    assert isinstance(schema, StructType)
    reader = source.reader(schema)
    pickled = pickle.dumps((source, reader, reader.partitions()))
    canary.assert_unseen(pickled.decode("latin-1"))
    _, again, partitions = pickle.loads(pickled)
    assert sum(batch.num_rows for one in partitions for batch in again.read(one)) == 1


def test_importing_the_package_imports_no_spark() -> None:
    code = "import sys, lakeflow_redis; print('pyspark' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_pushdown_and_streams_need_what_is_there(one_server: Server) -> None:
    source = RedisDataSource(one_server.options(tablename="streams", pushdown="true"))
    schema = source.schema()
    assert isinstance(schema, StructType)
    with pytest.raises(ConfigurationError, match="for batch reads"):
        source.streamReader(schema)
