"""The connector for the framework of Databricks' Lakeflow community connectors.

`RedisLakeflowConnect` has the methods that the framework calls, and needs nothing of it: bind it
to a Spark format where the framework is.

    from databricks.labs.community_connector.sparkpds import LakeflowSource
    from lakeflow_redis.lakeflow import RedisLakeflowConnect

    class RedisSource(LakeflowSource):
        _lakeflow_connect_cls = RedisLakeflowConnect
        _format_name = "lakeflow_connect"

    spark.dataSource.register(RedisSource)

What imports what: `connector` (the methods) over `framework_options` (what arrives besides our
own options). `spec` writes `connector_spec.yaml`. It builds on `lakeflow_redis.spark`, and needs pyspark.
"""

from lakeflow_redis.lakeflow.connector import RedisLakeflowConnect

__all__ = ["RedisLakeflowConnect"]
