"""What every test shares: which examples Hypothesis draws, and what the fuzzers start from.

The same in every run, so that a red run is about the change and can be repeated. `make slow` draws anew:
`--hypothesis-profile=random` other examples, `--fuzz-seed` other sequences; both print what repeats them.
"""

import random

import pytest
from hypothesis import settings

settings.register_profile("fixed", derandomize=True, database=None, deadline=None, print_blob=True)
# Said in so many words: where CI is set, Hypothesis derandomizes whatever does not object.
settings.register_profile("random", derandomize=False, deadline=None, print_blob=True)
settings.load_profile("fixed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-seed", type=int, default=None, help="seed of the slow fuzzers; without it a random one")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.fuzz_seed is None:
        config.option.fuzz_seed = random.randrange(2**32)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.option.markexpr == "slow":
        terminalreporter.write_line(f"fuzzers ran with --fuzz-seed={config.option.fuzz_seed}")


@pytest.fixture
def fuzz_seed(request: pytest.FixtureRequest) -> int:
    """A seed that is new in each run unless it is given."""
    return int(request.config.option.fuzz_seed)
