"""What every test shares: which examples Hypothesis draws, and the seed of the slow fuzzers.

In CI the same on every run, so that a red run is about the change and can be repeated. Elsewhere new ones each time.
The slow tests of CI draw new ones too, from a seed that `.ci/run` and `make slow` print: repeat them with
`pytest -m slow --hypothesis-profile=random --hypothesis-seed=N`.
"""

import os
import random

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None, print_blob=True)
settings.register_profile("random", derandomize=False, deadline=None, print_blob=True)
settings.load_profile("repeatable" if os.environ.get("CI") else "random")


@pytest.fixture
def fuzz_seed(request: pytest.FixtureRequest) -> int:
    """Hypothesis's seed when one was given, else a new one; the fuzzers say it when they find something."""
    given = request.config.getoption("hypothesis_seed")
    return int(given) if given and str(given).isdigit() else random.randrange(2**32)
