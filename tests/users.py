"""Users with few rights, on servers that know users (6.0 and later)."""

import redis

from tests import canary
from tests.oracle import Raw
from tests.servers import Flavour


def add_user(client: redis.Redis, name: str, *rules: str) -> None:
    """Make a user with the password `canary.PASSWORD` and these ACL rules, and no others."""
    Raw(client)("ACL", "SETUSER", name, "reset", "on", f">{canary.PASSWORD}", *rules)


def least_rules(flavour: Flavour, table: str, pattern: str) -> list[str]:
    """The fewest rules under which a table of keys that match a pattern can be read."""
    keys = f"%R~{pattern}" if flavour.has_read_permissions else f"~{pattern}"
    common = "+ping +select +info +scan +type +ttl +pttl +watch +unwatch +multi +exec"
    return [keys, *common.split(), *TABLE_RULES[table].split()]


TABLE_RULES = {
    "keys": "+memory|usage +object|encoding +object|refcount +object|idletime",
    "strings": "+get +mget +strlen +getrange",
    "hashes": "+hlen +hgetall +hscan",
    "lists": "+llen +lrange",
    "sets": "+scard +smembers +sscan",
    "sorted_sets": "+zcard +zrange +zscan",
    "streams": "+xlen +xrange +xinfo|stream",
    "server_info": "",
}
