"""Users with few rights, on servers that know users (6.0 and later)."""

from collections.abc import Iterable, Mapping

import redis
from lakeflow_redis import LakeflowConnect
from lakeflow_redis._core import acl_rules

from tests import canary
from tests.oracle import Raw
from tests.servers import Flavour, Server


def add_user(client: redis.Redis, name: str, *rules: str) -> None:
    """Make a user with the password `canary.PASSWORD` and these ACL rules, and no others."""
    Raw(client)("ACL", "SETUSER", name, "reset", "on", f">{canary.PASSWORD}", *rules)


def as_user(server: Server, name: str, **options: str) -> LakeflowConnect:
    """A connector for such a user."""
    return LakeflowConnect(server.options(username=name, password=canary.PASSWORD, **options))


def version_for_rules(flavour: Flavour) -> str:
    """The version of Redis whose ACL rules a server has."""
    major, minor = flavour.level
    return f"{major}.{minor}"


def least_rules(
    flavour: Flavour, tables: Iterable[str], *patterns: str, selects: bool = False
) -> list[str]:
    """The fewest rules under which tables can be read, of keys that match one of the patterns."""
    return acl_rules(
        list(tables), list(patterns), redis=version_for_rules(flavour), selects=selects
    )


def refusals(client: redis.Redis) -> list[str]:
    """What users were refused since the log was emptied, as `user: command or key`."""
    entries: list[list[bytes]] = Raw(client)("ACL", "LOG")
    told: Iterable[Mapping[bytes, bytes]] = (
        dict(zip(entry[::2], entry[1::2], strict=True)) for entry in entries
    )
    return [f"{entry[b'username'].decode()}: {entry[b'object'].decode()}" for entry in told]
