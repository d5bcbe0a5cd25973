"""What the servers say of themselves before and after a read."""

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from lakeflow_redis._core import LakeflowConnect
from lakeflow_redis.exceptions import LakeflowRedisError

_LOG = logging.getLogger("lakeflow_redis.ingest")

COLUMNS = "section,property,value"
"""What is read of `server_info`."""

VERSIONS = ("valkey_version", "redis_version")
"""Properties of INFO; Valkey has both, and the first one is its own."""

CPU = {"used_cpu_sys", "used_cpu_user"}
"""Properties of INFO: seconds since the server began."""


PROCESS = "run_id"
"""The property of INFO that is another one each time a server starts."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Of all servers that are read."""

    version: str | None
    cpu_seconds: Mapping[str, float]
    """Since it began, by process."""

    def cpu_until(self, later: "ServerFacts") -> float | None:
        """CPU seconds between two such facts; None where they are not of the same processes."""
        if not self.cpu_seconds or self.cpu_seconds.keys() != later.cpu_seconds.keys():
            return None
        return sum(later.cpu_seconds[each] - self.cpu_seconds[each] for each in self.cpu_seconds)


def facts(connector: LakeflowConnect) -> ServerFacts:
    """Ask the servers (`INFO`).

    Raises:
        LakeflowRedisError: as `LakeflowConnect.read_table`.
    """
    # Whatever the connector's own options leave out.
    options = {"columns": COLUMNS, "invalid_utf8": "replace"}
    if not connector.read_table_metadata("server_info", options)["primary_keys"]:
        options["columns"] += ",node"  # A cluster's, of which these are not all of the keys.
    nodes: defaultdict[str | None, dict[str, str]] = defaultdict(dict)
    for row in connector.read_table("server_info", None, options)[0]:
        nodes[row.get("node")][row["property"]] = row["value"]
    said = nodes.values()
    versions = {next(filter(None, map(each.get, VERSIONS)), None) for each in said} - {None}
    return ServerFacts(
        ", ".join(sorted(map(str, versions))) or None,
        {each[PROCESS]: sum(float(each[name]) for name in CPU) for each in said if _is_told(each)},
    )


def _is_told(properties: Mapping[str, str]) -> bool:
    """Whether a server says what it has used; some services do not."""
    return properties.keys() >= CPU | {PROCESS}


def facts_after(connector: LakeflowConnect) -> ServerFacts:
    """The same once all is read, when it is no reason any more not to land that."""
    try:
        return facts(connector)
    except LakeflowRedisError as error:
        _LOG.warning("the receipt will lack the servers' version and CPU time: %s", error)
        return ServerFacts(None, {})
