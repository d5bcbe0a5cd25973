"""What a key pattern matches, as the core says it of keys that were found otherwise."""

from lakeflow_redis import LakeflowConnect


def matches(pattern: str, name: bytes) -> bool:
    """Whether an option `key_pattern` would choose a key."""
    connector = LakeflowConnect({"host": "nowhere", "key_pattern": pattern})
    return connector.key_selection().takes(0, name, "string")
