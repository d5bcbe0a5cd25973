"""How often: `90s`, `5m`, `2h`, `1d`."""

import re

from lakeflow_redis.exceptions import ConfigurationError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
"""Seconds by unit."""

LONGEST = 365 * 86400
"""Seconds. What is longer is a slip."""


def parse_interval(text: str) -> float:
    """An interval in seconds.

    Raises:
        ConfigurationError: it is none.
    """
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*([smhd])\s*", text, re.ASCII)
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not 0 < seconds <= LONGEST:
        raise ConfigurationError(
            f"{text!r} is no interval; write a number and a unit, such as 90s, 5m, 2h or 1d"
        )
    return seconds
