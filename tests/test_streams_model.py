"""Any appends and any reads: each entry comes exactly once, and in its stream's order."""

from dataclasses import dataclass

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Connect
from tests.streams import Entry, Offset, read, read_on

KEYS = ["a", "b", "b:1", ""]
MAX_U64 = 2**64 - 1


@dataclass(frozen=True)
class Append:
    """Append to a stream, some way past its last id."""

    key: str
    milliseconds: int
    sequence: int


@dataclass(frozen=True)
class Reading:
    """Read on, with or without a cap."""

    cap: int | None


STEPS = st.one_of(
    st.builds(
        Append,
        st.sampled_from(KEYS),
        st.one_of(st.integers(0, 12), st.integers(0, 2**62)),
        st.one_of(st.integers(1, 12), st.integers(1, 2**62)),
    ),
    st.builds(Reading, st.one_of(st.none(), st.integers(1, 5))),
)


class Model:
    """The streams as they must be: their last ids, and the entries not yet read."""

    def __init__(self) -> None:
        self._last = dict.fromkeys(KEYS, (0, 0))
        self.unread: dict[str, list[str]] = {key: [] for key in KEYS}

    def next_id(self, step: Append) -> str | None:
        """The id that a step appends, or None where the stream is at its end."""
        milliseconds, sequence = self._last[step.key]
        if step.milliseconds:
            milliseconds, sequence = milliseconds + step.milliseconds, step.sequence - 1
        else:
            sequence += step.sequence
        if max(milliseconds, sequence) > MAX_U64:
            return None
        self._last[step.key] = milliseconds, sequence
        entry_id = f"{milliseconds}-{sequence}"
        self.unread[step.key].append(entry_id)
        return entry_id

    def accept(self, entries: list[Entry]) -> None:
        """Take entries as read; they must be the next ones of their streams."""
        for key in KEYS:
            ids = [entry_id for name, entry_id in entries if name == key]
            assert ids == self.unread[key][: len(ids)]
            del self.unread[key][: len(ids)]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEPS, max_size=30))
def test_random_appends_and_reads_lose_and_repeat_nothing(
    connect: Connect, client: redis.Redis, steps: list[Append | Reading]
) -> None:
    client.flushdb()
    model = Model()
    connector = connect()
    offset: Offset = {}
    for step in steps:
        if isinstance(step, Append):
            entry_id = model.next_id(step)
            if entry_id is not None:
                client.xadd(step.key, {"f": "v"}, entry_id)
            continue
        cap = {} if step.cap is None else {"max_records_per_batch": str(step.cap)}
        pending = sum(map(len, model.unread.values()))
        found = read(connector, offset, **cap)
        assert len(found.entries) <= (step.cap or pending)
        assert found.entries or not pending
        model.accept(found.entries)
        offset = found.offset
    for last in read_on(connector, offset, max_records_per_batch="4"):
        model.accept(last.entries)
    assert not any(model.unread.values())
