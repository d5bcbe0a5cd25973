"""Offsets of streams, as far as Spark's triggers ask for more than reading from one to the next."""

from typing import Any

Offset = dict[str, Any]
Position = dict[str, Any]


def not_beyond(target: Offset, offset: Offset, start: Offset) -> Offset:
    """The offset, but no stream's position beyond the target's.

    A stream that the target does not know came later, and is left where it was at the start.
    """
    streams = {}
    for db, positions in offset["streams"].items():
        targets = target["streams"].get(db, {})
        starts = start.get("streams", {}).get(db, {})
        bounded = {
            key: _bounded(position, targets.get(key), starts.get(key))
            for key, position in positions.items()
        }
        streams[db] = {key: position for key, position in bounded.items() if position is not None}
    return offset | {"streams": streams}


def _bounded(
    position: Position, target: Position | None, start: Position | None
) -> Position | None:
    if target is None:
        return start
    if _entry_id(position) <= _entry_id(target):
        return position
    # How a stream began is for its first read to say, and the target was no read.
    return {name: value for name, value in (position | target).items() if name in position}


def _entry_id(position: Position) -> tuple[int, int]:
    """An id, so that it compares by number."""
    milliseconds, _, sequence = position["id"].partition("-")
    return int(milliseconds), int(sequence)
