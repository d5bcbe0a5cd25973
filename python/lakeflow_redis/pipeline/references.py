"""`{{ NAME }}` in what the core does not look up itself: the lake, and whether all names are set.

The rules are those of the core's options: see `src/options/references.rs`.
"""

import re
from collections.abc import Mapping

from lakeflow_redis.exceptions import ConfigurationError

REFERENCE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def has_reference(text: str) -> bool:
    """Whether a value is not all there yet."""
    return REFERENCE.search(text) is not None


def names(text: str) -> list[str]:
    """The environment variables that a value refers to."""
    return [found.strip() for found in REFERENCE.findall(text)]


def resolve(text: str, environment: Mapping[str, str]) -> str:
    """The value with environment variables in the place of references.

    Raises:
        ConfigurationError: one is not set.
    """

    def value(found: re.Match[str]) -> str:
        name = found.group(1).strip()
        if name not in environment:
            raise ConfigurationError(not_set(name))
        return environment[name]

    return REFERENCE.sub(value, text)


def not_set(name: str) -> str:
    """What is wrong where a variable is not there."""
    return f"refers to the environment variable {name!r}, which is not set"
