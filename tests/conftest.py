"""What every test shares: which examples Hypothesis draws.

In CI the same on every run, so that a red run is about the change and can be repeated. Elsewhere new ones each time.
The slow tests of CI draw new ones too, from a seed that `.ci/run` prints: repeat them with
`pytest -m slow --hypothesis-profile=random --hypothesis-seed=N`.
"""

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None, print_blob=True)
settings.register_profile("random", derandomize=False, deadline=None, print_blob=True)
settings.load_profile("repeatable" if os.environ.get("CI") else "random")
