"""The error of the lake's side."""

from lakeflow_redis.exceptions import LakeflowRedisError


class LakeError(LakeflowRedisError):
    """The lake cannot take what was read, or does not say where the last run ended.

    Its text says what to do.
    """
