"""Spark's filters as options of a read.

A filter that an option does exactly is Spark's no more. One that an option only narrows down is
left to Spark as well, and so is one where the user has said already what the option is to be.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from pyspark.sql.datasource import (
    EqualTo,
    Filter,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    LessThan,
    LessThanOrEqual,
    StringStartsWith,
)

KEY = ("key_name",)
TIMESTAMP = ("timestamp_ms",)
ENTRY_ID = ("entry_id",)

GLOB = str.maketrans({special: f"\\{special}" for special in "\\*?[]{"})
"""`{` too, of which two would begin a reference."""

MOST_LOOKUPS = 1_000
"""Keys that are looked up by rules, the text of which every task reads; a scan is cheaper for more."""

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""What bytes that are not UTF-8 become, where the options say so."""


def push(
    filters: Sequence[Filter], given: Mapping[str, str]
) -> tuple[dict[str, str], list[Filter]]:
    """Options that do what filters ask for, and the filters that are left.

    Args:
        filters: all of which must hold.
        given: the options that the user gave.
    """
    keys, done = _keys(filters, given)
    return keys | _moments(filters, given), [one for one in filters if one is not done]


def _keys(
    filters: Sequence[Filter], given: Mapping[str, str]
) -> tuple[dict[str, str], Filter | None]:
    """The option for one filter on keys; there can be but one pattern."""
    if given.keys() & {"key_pattern", "sync_rules"}:
        return {}, None
    # Lookups before patterns, which take a scan.
    for lookups in (True, False):
        for one in filters:
            if option := _key_option(one, given, lookups=lookups):
                return option, one
    return {}, None


def _key_option(one: Filter, given: Mapping[str, str], *, lookups: bool) -> dict[str, str]:
    match one:
        case EqualTo(attribute, value) if lookups and attribute == KEY:
            names = _names([value], given)
        case In(attribute, values) if lookups and attribute == KEY:
            # Nothing equals null.
            names = _names([value for value in values if value is not None], given)
        case StringStartsWith(attribute, prefix) if not lookups and attribute == KEY:
            prefixes = _names([prefix], given)
            return {"key_pattern": f"{prefixes[0]}*"} if prefixes else {}
        case _:
            return {}
    if names is None or not names:
        return {}
    if len(names) == 1:
        return {"key_pattern": names[0]}
    databases = _databases(given)
    if len(names) * len(databases) > MOST_LOOKUPS:
        return {}
    rules = [{"database": db, "key_pattern": name} for db in databases for name in names]
    return {"sync_rules": json.dumps(rules)} if rules else {}


def _names(values: Iterable[object], given: Mapping[str, str]) -> list[str] | None:
    """Names as patterns that match just them; None where there is one that cannot be said so."""
    names = []
    for value in values:
        name = _text(value)
        # The empty name is no pattern, and U+FFFD may stand for any bytes in a name.
        if not name or (given.get("invalid_utf8") == "replace" and REPLACEMENT in name):
            return None
        names.append(name.translate(GLOB))
    return list(dict.fromkeys(names))


def _text(value: object) -> str | None:
    """A name as options have it, which are text; None where it is no text."""
    if isinstance(value, str):
        return value
    try:
        return bytes(value).decode() if isinstance(value, bytes | bytearray) else None
    except UnicodeDecodeError:
        return None


def _databases(given: Mapping[str, str]) -> list[int]:
    """The databases that are read, where they can be told from the options alone."""
    text = given.get("db")
    if text is None:
        url = given.get("url", "redis://")
        if "{{" in url or not url.startswith(("redis://", "rediss://")):
            return []
        text = urlsplit(url).path.strip("/") or "0"
    numbers = text.split(",")
    return [int(number) for number in numbers] if all(map(str.isdecimal, numbers)) else []


def _moments(filters: Sequence[Filter], given: Mapping[str, str]) -> dict[str, str]:
    """Bounds for the entries of streams, of whole milliseconds.

    They are for Spark to look at again: an id's time may be null in the table. Entry ids are only
    compared for being equal, since Spark orders them as text, and streams by number.
    """
    ranges = [_range(one) for one in filters]
    starts = [start for start, _ in ranges if start is not None]
    ends = [end for _, end in ranges if end is not None]
    bounds = {}
    if starts and "start_timestamp" not in given:
        bounds["start_timestamp"] = max(starts)
    if ends and "end_timestamp" not in given:
        bounds["end_timestamp"] = min(ends)
    # There are no ids outside, and no option could say so.
    return {name: str(moment) for name, moment in bounds.items() if 0 <= moment < 2**64}


def _range(one: Filter) -> tuple[int | None, int | None]:
    """The first moment that a filter lets through, and the first one after these."""
    start = end = None
    match one:
        case GreaterThanOrEqual(attribute, int(moment)) if attribute == TIMESTAMP:
            start = moment
        case GreaterThan(attribute, int(moment)) if attribute == TIMESTAMP:
            start = moment + 1
        case LessThan(attribute, int(moment)) if attribute == TIMESTAMP:
            end = moment
        case LessThanOrEqual(attribute, int(moment)) if attribute == TIMESTAMP:
            end = moment + 1
        case EqualTo(attribute, int(moment)) if attribute == TIMESTAMP:
            start, end = moment, moment + 1
        case EqualTo(attribute, str(entry_id)) if attribute == ENTRY_ID:
            milliseconds = entry_id.partition("-")[0]
            if milliseconds.isascii() and milliseconds.isdecimal():
                start, end = int(milliseconds), int(milliseconds) + 1
    return start, end
