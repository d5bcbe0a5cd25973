"""A process that is interrupted in the middle of something; run by `test_interrupt`.

`python -m tests.interrupted SCENARIO OPTIONS` says "ready", waits for a line, says "begun",
and in the end says "interrupted", or else what happened instead.
"""

import json
import sys
from collections.abc import Callable

import pyarrow as pa
from lakeflow_redis import LakeflowConnect

Operation = Callable[[], object]


def exhaust(passing: object) -> None:
    """Go through something and keep nothing."""
    for _ in passing:  # type: ignore[attr-defined]
        pass


def waiting_in_for(connector: LakeflowConnect) -> Operation:
    """In the middle of a pass over rows."""
    rows = iter(connector.read_table("strings")[0])
    next(rows)
    return lambda: exhaust(rows)


def waiting_in_batches(connector: LakeflowConnect) -> Operation:
    """In the middle of a pass over batches."""
    batches = connector.read_table("strings")[0].batches()
    next(batches)
    return lambda: exhaust(batches)


def waiting_in_pyarrow(connector: LakeflowConnect) -> Operation:
    """While pyarrow takes the stream."""
    records, _ = connector.read_table("strings")
    return lambda: pa.table(records)


def waiting_in_len(connector: LakeflowConnect) -> Operation:
    """While the rest is read and kept."""
    records, _ = connector.read_table("strings")
    return lambda: len(records)


def busy_in_for(connector: LakeflowConnect) -> Operation:
    """While rows come as fast as they can, over and over."""

    def operation() -> None:
        while True:
            exhaust(connector.read_table("hashes")[0])

    return operation


def busy_in_pyarrow(connector: LakeflowConnect) -> Operation:
    """While pyarrow takes streams as fast as it can, over and over."""

    def operation() -> None:
        while True:
            pa.table(connector.read_table("hashes")[0])

    return operation


def busy_planning(connector: LakeflowConnect) -> Operation:
    """While the ends of streams are looked up, over and over."""

    def operation() -> None:
        while True:
            connector.read_table("streams")

    return operation


def planning(connector: LakeflowConnect) -> Operation:
    """While a read begins."""
    return lambda: connector.read_table("streams")


def testing(connector: LakeflowConnect) -> Operation:
    """While the connection is tested."""
    return connector.test_connection


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        waiting_in_for,
        waiting_in_batches,
        waiting_in_pyarrow,
        waiting_in_len,
        busy_in_for,
        busy_in_pyarrow,
        busy_planning,
        planning,
        testing,
    )
}


def outcome(operation: Operation) -> str:
    """What came of an operation, if it was not interrupted."""
    try:
        return f"ended instead: {operation()!r}"
    except Exception as error:  # noqa: BLE001 - any would be wrong.
        # What pyarrow makes of an interrupt; the KeyboardInterrupt itself follows at once.
        return f"failed instead: {error!r}"


def main(scenario: str, options: str) -> None:
    """Be interrupted, and say whether that came out as it must."""
    operation = SCENARIOS[scenario](LakeflowConnect(json.loads(options)))
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        print("begun", flush=True)
        print(outcome(operation), flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
