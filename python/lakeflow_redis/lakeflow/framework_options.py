"""Which of the options that the framework hands over are its own."""

from collections.abc import Mapping

from lakeflow_redis.exceptions import ConfigurationError

PLATFORM_PREFIX = "databricks."
"""Names of the platform's own options begin with it, such as `databricks.connection`."""

FRAMEWORK = frozenset(
    {
        # What to read, and how: the framework looks at these itself.
        "tablename",
        "tablenamelist",
        "tableconfigs",
        "isdeleteflow",
        "namespace",
        "namespaceprefix",
        # Of the Unity Catalog connection.
        "sourcename",
        "externaloptionsallowlist",
    }
)
"""Options that it leaves in, in lower case, as Spark hands them over."""

OPERATION = "operation"
"""With it, an agent explores the source, and there are options of the agent's."""

AGENT = frozenset(
    {
        OPERATION,
        "parent",
        "search",
        "path",
        "name",
        "metadatakey",
        "limit",
        "catalogname",
        "schemaname",
    }
)
"""These: such plain names that without an operation they are rather somebody's mistake."""


def own_options(given: Mapping[str, str]) -> dict[str, str]:
    """The connector's options among all that the framework hands over.

    Args:
        given: what arrived; names in any case, since only Spark makes them lower case.

    Raises:
        ConfigurationError: an option is there twice, in different cases.
    """
    dropped = FRAMEWORK
    if any(name.lower() == OPERATION for name in given):
        dropped |= AGENT
    own: dict[str, str] = {}
    for name, value in given.items():
        key = name.lower()
        if key in dropped or key.startswith(PLATFORM_PREFIX):
            continue
        if key in own:
            raise ConfigurationError(
                f"option `{key}` is given twice, in upper and lower case; give it once"
            )
        own[key] = value
    return own
