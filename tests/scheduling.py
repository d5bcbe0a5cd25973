"""How tests are divided among processes: a plugin of pytest-xdist's, `-p tests.scheduling`."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

ENGINES = (
    *("tests/test_spark", "tests/test_lakeflow_spark", "tests/test_pipeline"),
    "tests/test_readme",
)
"""Files whose tests start Spark, which is enough for a machine."""


class OneEngineAtATime(LoadFileScheduling):  # type: ignore[misc] # It brings no types.
    """Gives tests to processes file by file, and all that start Spark to the same."""

    def _split_scope(self, nodeid: str) -> str:
        return ENGINES[0] if nodeid.startswith(ENGINES) else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """Choose it."""
    return OneEngineAtATime(config, log)
