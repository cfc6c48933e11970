"""The papers' own landmark detector, the `face-alignment` package (Bulat and Tzimiropoulos, ICCV 2017). Optional.

The package downloads its weights (about 180 MB) when first used, into torch's hub folder.
"""

import hashlib
from pathlib import Path

import numpy as np

from talkcodec.errors import ModelError
from talkcodec.types import FloatArray, Picture

__all__ = ["FaceAlignment"]


class FaceAlignment:
    """68 landmarks by face-alignment's 2-D network on its S3FD detector."""

    name = "face-alignment"

    def __init__(self) -> None:
        try:
            import face_alignment
        except ImportError as error:
            raise ModelError(
                "instrument 'face-alignment' is not installed: pip install face-alignment "
                "(it downloads weights on first use)"
            ) from error
        try:
            kind = face_alignment.LandmarksType.TWO_D
            self._network = face_alignment.FaceAlignment(kind, device="cpu", flip_input=False)
        except Exception as error:  # the package lets every kind of network and file error through
            raise ModelError(f"instrument 'face-alignment' cannot load its weights: {error}") from error
        self.sha256 = _weights_hash(Path(face_alignment.__file__).parent)

    def detect(self, picture: Picture) -> FloatArray | None:
        """(68, 2) float32 pixels of the first face; None without one."""
        faces = self._network.get_landmarks(picture)
        return None if not faces else np.asarray(faces[0], np.float32)[:68, :2]


def _weights_hash(package: Path) -> str:
    """Hash of the weights in torch's hub folder; of the package's sources when they lie elsewhere."""
    import torch

    cached = sorted((Path(torch.hub.get_dir()) / "checkpoints").glob("*2DFAN4*"))
    digest = hashlib.sha256()
    for path in cached or sorted(package.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
