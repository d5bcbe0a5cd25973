"""Two minutes of what `make soak` does for an hour."""

import os
import random

import pytest

from tests.soak import soak

SECONDS = float(os.environ.get("SOAK", "120"))


@pytest.mark.timeout(SECONDS + 300)
def test_nothing_is_lost_and_nothing_grows_while_connections_fail() -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    print(soak(SECONDS, seed))
