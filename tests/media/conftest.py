import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

FIELD = Path(__file__).parents[2] / ".." / "shared" / "data" / "field"


@pytest.fixture
def field() -> Path:
    """Files as people have them, where the checkout has them."""
    if not FIELD.is_dir():
        pytest.skip("needs ../shared/data/field")
    return FIELD.resolve()
