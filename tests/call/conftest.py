import sys
from pathlib import Path

for folder in (
    Path(__file__).parent,
    Path(__file__).parent.parent / "peer",
):  # the peer tests' fake engine and waiting serve here too
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
