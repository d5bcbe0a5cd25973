"""What a run did is in the log and, where OpenTelemetry is, in its metrics."""

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from lakeflow_redis import DataLossError
from lakeflow_redis.ingest.metrics import Instruments
from lakeflow_redis.ingest.model import Changes, TableResult
from lakeflow_redis.ingest.observed import line, observe
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

RECEIPT = {
    "keys_scanned": 12,
    "bytes": 3456,
    "keys_denied": 0,
    "keys_gone": 2,
    "rows_skipped": 0,
    "warnings": ["memory_bytes is null"],
    "gaps": [{"key_name": "a b", "why": "trimmed", "after": "1-0", "entries": 3}],
}


VALUES: dict[str, Any] = {
    "table": "hashes",
    "name": "users",
    "mode": "merge",
    "rows": 10,
    "rejected": 0,
    "changes": None,
    "seconds": 1.23456,
    "version": 7,
    "committed": True,
    "start": None,
    "end": None,
    "offset_version": None,
    "server_cpu_seconds": None,
    "server_version": None,
    "receipt": {},
    "error": None,
}


def result(**given: Any) -> TableResult:
    """What a run did with a table."""
    return TableResult(**(VALUES | given))


def logged(caplog: pytest.LogCaptureFixture, *results: TableResult) -> list[tuple[str, str]]:
    """Levels and messages of what is logged of results."""
    with caplog.at_level(logging.INFO, "lakeflow_redis"):
        for each in results:
            observe(each)
    assert {record.name for record in caplog.records} <= {"lakeflow_redis.ingest"}
    return [(record.levelname, record.getMessage()) for record in caplog.records]


# The log


LINE = (
    "table=hashes name=users mode=merge status=landed rows=10 inserted=1 updated=2 deleted=3 "
    "rejected=0 keys_scanned=12 bytes=3456 keys_gone=2 seconds=1.235 version=7"
)


def test_a_table_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    changes = Changes(inserted=1, updated=2, deleted=3)
    receipt = RECEIPT | {"warnings": [], "gaps": []}
    assert logged(caplog, result(changes=changes, receipt=receipt)) == [("INFO", LINE)]


def test_what_is_as_it_was_and_what_failed_say_so(caplog: pytest.LogCaptureFixture) -> None:
    (_, unchanged), (level, failed) = logged(
        caplog,
        result(committed=False),
        result(committed=False, version=None, error=DataLossError("3 entries\nare gone")),
    )
    assert " status=unchanged " in unchanged
    assert level == "ERROR"
    assert " status=failed " in failed
    assert failed.endswith(r'version= error="3 entries\nare gone"')


def test_what_was_left_out_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    found = logged(caplog, result(receipt=RECEIPT, rejected=4))
    assert [level for level, _ in found] == ["WARNING"] * 3 + ["INFO"]
    assert found[0][1] == 'table=hashes name=users warning="memory_bytes is null"'
    assert found[1][1] == (
        'table=hashes name=users gap_key_name="a b" gap_why=trimmed gap_after=1-0 gap_entries=3'
    )
    assert found[2][1] == "table=hashes name=users rejected=4"


def test_a_line_is_a_line_and_can_be_taken_apart() -> None:
    unkind = 'a "b" = \\ \n\x1b[31m é'
    assert line({"a": unkind, "b": "", "c": 1}) == (
        r'a="a \"b\" = \\ \n\u001b[31m \u00e9" b="" c=1'.replace('b=""', "b=")
    )


SILENT = """
from lakeflow_redis.ingest.observed import observe
from tests.test_metrics import RECEIPT, result
observe(result(receipt=RECEIPT, error=OSError("disk full")))
"""


def test_nobody_is_bothered_who_has_not_configured_logging() -> None:
    done = subprocess.run([sys.executable, "-c", SILENT], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


# Metrics


def points(reader: InMemoryMetricReader) -> dict[str, dict[tuple[str, ...], float]]:
    """Values, or sums of what was recorded, by metric and attributes."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    data = reader.get_metrics_data()
    assert data is not None
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    value = point.value if hasattr(point, "value") else point.sum
                    key = tuple(str(each) for each in (point.attributes or {}).values())
                    found.setdefault(metric.name, {})[key] = value
    return found


def test_what_a_run_did_is_measured() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    instruments = Instruments(provider.get_meter("test"))
    instruments.count(result(receipt=RECEIPT, rejected=4))
    instruments.count(result(receipt=RECEIPT, rows=5, seconds=0.5))
    instruments.count(result(name="orders", rows=0, committed=False, error=OSError("disk full")))
    users, orders = ("hashes", "users", "merge"), ("hashes", "orders", "merge")
    assert points(reader) == {
        "lakeflow_redis.ingest.rows": {users: 15, orders: 0},
        "lakeflow_redis.ingest.bytes": {users: 6912, orders: 0},
        "lakeflow_redis.ingest.keys_scanned": {users: 24, orders: 0},
        "lakeflow_redis.ingest.rejected": {users: 4, orders: 0},
        "lakeflow_redis.ingest.failures": {users: 0, orders: 1},
        "lakeflow_redis.ingest.duration": {users: 1.73456, orders: 1.23456},
    }
    provider.shutdown()


def ran(script: str, env: Mapping[str, str] | None = None) -> str:
    """What a script prints, in a process whose OpenTelemetry is its own."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env=os.environ | dict(env or {}),
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_provider_of_the_process_is_used_whenever_it_comes(when: str) -> None:
    script = f"""
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from lakeflow_redis.ingest.observed import observe
from tests.test_metrics import RECEIPT, points, result

reader = InMemoryMetricReader()
if {when == "after"}:
    observe(result(rows=1000))
metrics.set_meter_provider(MeterProvider([reader]))
observe(result(receipt=RECEIPT))
print(points(reader)["lakeflow_redis.ingest.rows"])
"""
    assert ran(script) == "{('hashes', 'users', 'merge'): 10}\n"


def test_without_the_package_nothing_is_measured_and_nothing_fails(tmp_path: Path) -> None:
    # A module of that name which says, as the import system would, that there is none.
    (tmp_path / "opentelemetry.py").write_text(
        "raise ModuleNotFoundError('No module named opentelemetry', name='opentelemetry')\n"
    )
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    script = f"""
from lakeflow_redis.ingest.metrics import count
from lakeflow_redis.ingest.model import TableResult
count(TableResult(**{VALUES}))
print("fine")
"""
    assert ran(script, {"PYTHONPATH": path}) == "fine\n"
