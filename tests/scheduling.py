"""How tests are divided among processes: a plugin of pytest-xdist's, `-p tests.scheduling`."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

TOGETHER = {
    "Spark": (
        *("tests/test_spark", "tests/test_lakeflow_spark", "tests/test_pipeline.py"),
        "tests/test_examples",
    ),
    "servers that change": ("tests/test_cluster_moves", "tests/test_sentinel_moves"),
}
"""Files of which one at a time is enough for a machine. They take longest, and are begun first, so
that nobody waits for them in the end."""


class Together(LoadFileScheduling):  # type: ignore[misc] # It brings no types.
    """Gives tests to processes file by file, and those of `TOGETHER` to the same."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid) or str(super()._split_scope(nodeid))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with groups."""
    order = [*TOGETHER, None]
    items.sort(key=lambda item: order.index(_group(item.nodeid)))


def _group(nodeid: str) -> str | None:
    return next((name for name, files in TOGETHER.items() if nodeid.startswith(files)), None)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """Choose it."""
    config.option.loadscopereorder = False  # Or files with the most tests would come first.
    return Together(config, log)
