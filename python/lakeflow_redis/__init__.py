"""Everything in Redis as Arrow tables.

`LakeflowConnect` reads; `lakeflow_redis.ingest` lands what was read in a lake;
`lakeflow-redis` is the same from a shell.
"""

from lakeflow_redis._core import (
    LakeflowConnect,
    Records,
    Schema,
    TableBatches,
    __version__,
)
from lakeflow_redis.exceptions import (
    AuthenticationError,
    ConfigurationError,
    ConsumedError,
    DataLossError,
    DecodeError,
    LakeflowRedisError,
    LakeflowRedisWarning,
    PermissionDeniedError,
    ProtocolError,
    RedisConnectionError,
    RedisTimeoutError,
    ServerError,
    TlsError,
    TopologyChangedError,
)

__all__ = [
    "AuthenticationError",
    "ConfigurationError",
    "ConsumedError",
    "DataLossError",
    "DecodeError",
    "LakeflowConnect",
    "LakeflowRedisError",
    "LakeflowRedisWarning",
    "PermissionDeniedError",
    "ProtocolError",
    "Records",
    "RedisConnectionError",
    "RedisTimeoutError",
    "Schema",
    "ServerError",
    "TableBatches",
    "TlsError",
    "TopologyChangedError",
    "__version__",
]
