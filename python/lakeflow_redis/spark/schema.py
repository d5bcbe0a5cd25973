"""A table's columns as Spark has them, and as Spark wants them in Arrow.

The types are spelt out: what Spark has for this differs from version to version and is not
public, and tables have only these.
"""

from typing import Any

import pyarrow as pa
from pyspark.sql.types import (
    BinaryType,
    DataType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from lakeflow_redis import ConfigurationError

TYPES: dict[Any, DataType] = {
    pa.string(): StringType(),
    pa.binary(): BinaryType(),
    pa.int64(): LongType(),
    pa.float64(): DoubleType(),
}


def to_spark(schema: Any) -> StructType:
    """The columns of an Arrow schema."""
    return StructType([StructField(f.name, TYPES[f.type], f.nullable) for f in schema])


def to_arrow(schema: StructType) -> Any:
    """The Arrow schema that Spark compares record batches with."""
    return pa.schema(
        [pa.field(field.name, _arrow_type(field.dataType), field.nullable) for field in schema]
    )


def _arrow_type(kind: DataType) -> Any:
    return next(arrow for arrow, spark in TYPES.items() if spark == kind)


def check_columns(wanted: StructType, found: StructType, table: str) -> None:
    """See that a schema given by the user can be read: some of the columns, by their types.

    Raises:
        ConfigurationError: a column is unknown, of another type, may be null against what the
            schema says, or there is none.
    """
    if not wanted.fields:
        raise ConfigurationError(f"the schema given for table `{table}` has no column")
    columns = {field.name: field for field in found}
    for field in wanted:
        column = columns.get(field.name)
        if column is None:
            raise ConfigurationError(
                f"the schema given for table `{table}` has a column {field.name!r}; "
                f"the table has {', '.join(columns)}"
            )
        if field.dataType != column.dataType:
            raise ConfigurationError(
                f"the schema given for table `{table}` has column `{field.name}` as "
                f"{field.dataType.simpleString()}; it is {column.dataType.simpleString()}: "
                "leave the schema out, or cast after reading"
            )
        if column.nullable and not field.nullable:
            raise ConfigurationError(
                f"the schema given for table `{table}` has column `{field.name}` as NOT NULL, "
                "and it may be null"
            )
