"""Which keys of a sample belong together: by type, and by what stands before the first `:`.

Applications name keys `user:42` or `session:<uuid>:cart`. What stands first says what a key is; but where that
is an id itself, there would be a group for each, and so these are put together.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from lakeflow_redis.pipeline.glob import literal
from lakeflow_redis.pipeline.survey import TABLE_OF_TYPE, Key, Sample

LEAST_SHARE = 0.01
"""Of the sample. What is rarer is left to the rest."""

MOST_GROUPS = 30
"""With a prefix; the largest. A longer list nobody reads."""

LONGEST_PREFIX = 100
"""Characters. What is longer names nothing."""

SAME_STEM = 3
"""So many prefixes that differ in a number are ids and no names, such as `v1` and `v2`."""

UUID = "????????-????-????-????-????????????"
"""The pattern of one."""

ID = re.compile(
    r"(?P<uuid>[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})"
    r"|(?P<number>[0-9]+)(?![0-9a-fA-F])"
    r"|(?P<hex>(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,})"
    r"|(?P<digits>[0-9]+)"
)
"""What looks like one, the most telling first."""

SHOWN = {"uuid": "<uuid>", "number": "<number>"}
"""Ids for people, by kind."""

PATTERNS = {"uuid": f"{UUID}*", "number": "[0-9]*"}
"""What matches a name from an id on, by its kind. Of hexadecimal digits there is none that does not match words, too."""


class Stem(NamedTuple):
    """A prefix up to the first id in it."""

    head: str
    kind: str | None
    """Of the id: `uuid`, `hex` or `number`; None where there is none, and `head` is all."""


@dataclass(frozen=True, slots=True)
class Group:
    """Keys of one type that one pattern matches."""

    table: str
    """The table that holds their content."""
    prefix: str
    """What their names begin with, for people."""
    pattern: str | None
    """The `key_pattern` that matches them; None for what is left of a table's keys, which none does."""
    keys: float
    """How many there are, as far as the sample tells."""
    is_text: bool
    """Whether their names are UTF-8."""


def groups(sample: Sample) -> list[Group]:
    """The groups of a sample, of each table the largest first, and then the rest of its keys."""
    by_table: dict[str, list[Key]] = {}
    for key in sample.keys:
        if key.type in TABLE_OF_TYPE:
            by_table.setdefault(TABLE_OF_TYPE[key.type], []).append(key)
    everything = sum(key.stands_for for key in sample.keys)
    found = [
        group
        for table in TABLE_OF_TYPE.values()
        for group in _of_table(table, by_table.get(table, []))
    ]
    named = [group for group in found if group.pattern and group.keys >= LEAST_SHARE * everything]
    named = sorted(named, key=lambda group: -group.keys)[:MOST_GROUPS]
    return [
        group
        for table in TABLE_OF_TYPE.values()
        for group in [
            *(group for group in named if group.table == table),
            *_rest(
                table, (group for group in found if group.table == table and group not in named)
            ),
        ]
    ]


def others(sample: Sample) -> Counter[str]:
    """How many keys there are of types that only the table `keys` shows, by type."""
    found: Counter[str] = Counter()
    for key in sample.keys:
        if key.type not in TABLE_OF_TYPE:
            found[key.type] += round(key.stands_for)
    return found


def _of_table(table: str, keys: list[Key]) -> Iterator[Group]:
    """A group for each prefix, and one for the keys that have none that a pattern can say."""
    prefixes = {prefix for key in keys if (prefix := _prefix(key.name)) is not None}
    stems = Counter(_stem(prefix) for prefix in prefixes)
    members: dict[Stem | None, list[Key]] = {}
    for key in keys:
        members.setdefault(_place(_prefix(key.name), stems), []).append(key)
    for place, found in members.items():
        yield Group(
            table=table,
            prefix="" if place is None else _shown(place),
            pattern=None if place is None else _pattern(place),
            keys=sum(key.stands_for for key in found),
            is_text=all(_text(key.name) is not None for key in found),
        )


def _rest(table: str, left: Iterable[Group]) -> list[Group]:
    """What is left of a table's keys, as one group, if anything is."""
    parts = list(left)
    if not parts:
        return []
    keys = sum(part.keys for part in parts)
    return [Group(table, "", None, keys, all(part.is_text for part in parts))]


def _prefix(name: bytes) -> str | None:
    prefix, colon, _ = name.partition(b":")
    text = _text(prefix) if colon else None
    return text if text is not None and len(text) <= LONGEST_PREFIX else None


def _text(name: bytes) -> str | None:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def _stem(prefix: str) -> Stem:
    found = ID.search(prefix)
    if found is None:
        return Stem(prefix, None)
    kind = "number" if found.lastgroup == "digits" else found.lastgroup
    return Stem(prefix[: found.start()], kind)


def _place(prefix: str | None, stems: Counter[Stem]) -> Stem | None:
    """The group of a prefix: its stem where that is full of ids, or else its own."""
    if prefix is None:
        return None
    stem = _stem(prefix)
    is_name = stem.kind == "number" and stem.head and stems[stem] < SAME_STEM
    if stem.kind is None or is_name:
        return Stem(prefix, None)
    if stem.kind == "number" and Stem(stem.head, "uuid") in stems:
        # Half of all UUIDs begin with a number, too.
        return None
    # What a range of bytes is beside others than ASCII depends on the server.
    return stem if stem.kind in PATTERNS and stem.head.isascii() else None


def _pattern(place: Stem) -> str:
    return f"{literal(place.head)}{PATTERNS.get(place.kind or '', '')}:*"


def _shown(place: Stem) -> str:
    return place.head + SHOWN.get(place.kind or "", "")
