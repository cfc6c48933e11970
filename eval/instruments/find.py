"""From a name to an instrument, and what of it is there."""

import hashlib
import importlib.util
from pathlib import Path
from typing import NamedTuple

from eval.instruments.base import IdentityInstrument, Instruments, LandmarkInstrument
from talkcodec.errors import ModelError

__all__ = [
    "IDENTITY_NAMES",
    "LANDMARK_NAMES",
    "Availability",
    "Choice",
    "available",
    "choose_instruments",
    "default_folder",
    "open_instruments",
]

LANDMARK_NAMES = ("mesh68", "face-alignment", "none")
IDENTITY_NAMES = ("mobilefacenet", "none")

_DEFAULT_FOLDERS = (
    Path("models"),
    Path(__file__).parents[2] / "models",
    Path(__file__).parents[3] / "shared" / "models",
)
_LOCAL_MEASURES = {"yunet": "detector of mesh68", "mesh": "AKD, MKR, jitter: mesh68", "mobilefacenet": "AED"}


class Availability(NamedTuple):
    """One line of `eval models`: name, what it measures, whether it can be used, file hash, how to get it."""

    name: str
    measures: str
    usable: bool
    detail: str


class Choice(NamedTuple):
    """Which instruments a measurement uses. missing: for each that was left out, what that costs and how to get it."""

    landmarks: str
    identity: str
    missing: tuple[str, ...]


def default_folder() -> Path | None:
    """The first folder that holds local model files: ./models, models beside the package, ../shared/models."""
    from eval.instruments.local import FILES

    for folder in _DEFAULT_FOLDERS:
        if any((folder / file.name).is_file() for file in FILES.values()):
            return folder
    return None


def open_instruments(
    models: Path | None = None, landmarks: str = "mesh68", identity: str = "mobilefacenet"
) -> Instruments:
    """Open the named instruments ("none" leaves one out).

    models: folder with local model files; None looks in `default_folder()`. Raises ModelError with what to do
    when a name is unknown, a package is not installed or a file is missing.
    """
    return Instruments(_open_landmarks(landmarks, models), _open_identity(identity, models))


def choose_instruments(models: Path | None, landmarks: str | None, identity: str | None) -> Choice:
    """The instruments that were asked for by name; of the others (None) the usual ones, as far as they are there.

    Where a folder is named (`models`) the usual ones are asked for too: `open_instruments` says what it lacks.
    """
    missing = []
    if landmarks is None:
        landmarks = LANDMARK_NAMES[0]
        if models is None and (lack := _lack("mesh", "yunet")):
            missing.append(f"AKD, MKR and jitter are not measured: {lack}")
            landmarks = "none"
    if identity is None:
        identity = IDENTITY_NAMES[0]
        if models is None and (lack := _lack("mobilefacenet")):
            missing.append(f"AED is not measured: {lack}")
            identity = "none"
    return Choice(landmarks, identity, tuple(missing))


def available(models: Path | None = None) -> list[Availability]:
    """Every instrument and outside metric, with what is missing and how to get it."""
    from eval.instruments.local import FILES

    folder = models or default_folder()
    rows = []
    for key, measures in _LOCAL_MEASURES.items():
        file = FILES[key]
        path = folder / file.name if folder is not None else None
        if path is not None and path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            note = "" if digest == file.sha256 else f", another version than in our tables ({file.sha256})"
            rows.append(Availability(file.name, measures, True, f"{path}, sha256 {digest}{note}"))
        else:
            how = f"get it from {file.origin} ({file.licence}), then --models DIR"
            rows.append(Availability(file.name, measures, False, how))
    optional = (
        ("face-alignment", "face_alignment", "AKD as the papers, downloads weights on first use"),
        ("lpips", "lpips", "LPIPS, downloads weights on first use"),
        ("vmaf", "vmaf_torch", "VMAF; PyAV's wheel has no libvmaf"),
        ("ray", "ray", "not a metric: spreads `eval rd` over machines"),
    )
    for name, module, measures in optional:
        there = importlib.util.find_spec(module) is not None
        how = "installed" if there else f"pip install {module.replace('_', '-')}"
        rows.append(Availability(name, measures, there, how))
    return rows


def _open_landmarks(name: str, models: Path | None) -> LandmarkInstrument | None:
    if name == "none":
        return None
    if name == "mesh68":
        from eval.instruments.local import FaceMesh

        return FaceMesh(_local("mesh", models), _local("yunet", models))
    if name == "face-alignment":
        from eval.instruments.alignment import FaceAlignment

        return FaceAlignment()
    raise ModelError(f"unknown landmark instrument {name!r}; known: {', '.join(LANDMARK_NAMES)}")


def _open_identity(name: str, models: Path | None) -> IdentityInstrument | None:
    if name == "none":
        return None
    if name == "mobilefacenet":
        from eval.instruments.local import MobileFaceNet

        return MobileFaceNet(_local("mobilefacenet", models))
    raise ModelError(f"unknown identity instrument {name!r}; known: {', '.join(IDENTITY_NAMES)}")


def _local(key: str, models: Path | None) -> Path:
    from eval.instruments.local import FILES

    file, folder = FILES[key], models or default_folder()
    path = folder / file.name if folder is not None else None
    if path is None or not path.is_file():
        where = folder or ", ".join(map(str, _DEFAULT_FOLDERS))
        raise ModelError(f"{file.name} is not in {where}: get it from {file.origin}, and name its folder with --models")
    return path


def _lack(*keys: str) -> str:
    """What is missing of these files and how to get it; empty when nothing is."""
    lacks = []
    for key in keys:
        try:
            _local(key, None)
        except ModelError as error:
            lacks.append(str(error))
    return "; ".join(lacks)
