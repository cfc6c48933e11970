"""Published figures of the research line, measured by their authors on other clips with other instruments."""

from typing import NamedTuple

__all__ = ["PUBLISHED", "Published"]


class Published(NamedTuple):
    """Reconstruction on VoxCeleb at 256x256, first frame as source: L1 [0, 1], AKD pixels, AED squared distance."""

    system: str
    l1: float
    akd_px: float
    aed: float
    source: str


_TABLE = "as reported by Siarohin et al., First Order Motion Model, NeurIPS 2019"

PUBLISHED = (
    Published("X2Face", 0.078, 7.687, 0.405, _TABLE),
    Published("Monkey-Net", 0.049, 1.878, 0.199, _TABLE),
    Published("First-order motion model", 0.043, 1.294, 0.140, _TABLE),
)
