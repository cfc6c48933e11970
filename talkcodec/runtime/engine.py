"""Engine: a model, ready to run on this machine. detect -> encode_reference -> generate."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from talkcodec.errors import EngineError, ModelError
from talkcodec.model.config import DEFAULT_MODEL, ModelConfig
from talkcodec.model.files import ModelFile, read_model_file
from talkcodec.runtime.between import between, between_pictures
from talkcodec.runtime.restoration import WholeRestorer, as_it_is, open_restorer, open_whole, restoration_for
from talkcodec.runtime.restorer import Blend, Restorable, Restorer, as_picture, find_flow
from talkcodec.types import Base, Drive, FloatArray, Motion, Picture

__all__ = ["Backend", "Engine", "EngineName", "Precision", "Reference", "open_engine"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_LIGHT = Blend()

EngineName = Literal["auto", "torch", "openvino"]
Precision = Literal["f32", "bf16", "int8"]


class Backend(Protocol):
    """What executes the graphs of `talkcodec.runtime.graphs`; inputs are checked already."""

    description: str

    def detect(self, picture: Picture) -> Motion:
        """As Engine.detect."""

    def encode_reference(self, picture: Picture, motion: Motion) -> tuple[Any, ...]:
        """As Engine.encode_reference: the backend's own arrays, as `generate` takes them."""

    def generate(self, reference: tuple[Any, ...], motion: Motion) -> Picture:
        """(S, S, 3) uint8."""

    def generate_float(self, reference: tuple[Any, ...], motion: Motion) -> FloatArray:
        """(S, S, 3) float32 in [0, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Everything that an engine computed from one reference picture. Opaque; good for the engine that made it."""

    arrays: tuple[Any, ...]
    engine: "Engine"
    picture: Picture
    restorable: list[Restorable] = field(default_factory=list)  # made when first asked for


class Engine:
    """A model on this machine.

    detect and generate may be called from different threads at the same time; calls of the same
    method wait for one another. Raises EngineError for inputs of another shape or type.
    """

    def __init__(
        self,
        file: ModelFile,
        backend: Backend,
        restorer: Callable[[], Restorer] = Blend,
        whole: Callable[[], WholeRestorer] = lambda: as_it_is,
    ) -> None:
        """`restorer` opens what restores base pictures, when one comes; `whole` the same for the video rung."""
        self.config: ModelConfig = file.config
        self.model_hash: bytes = file.hash
        self.name: str = file.name
        self._backend = backend
        self._restorer, self._whole = _once(restorer), _once(whole)

    @property
    def description(self) -> str:
        """What runs it, in words: "OpenVINO 2026.4, CPU, f32, 2 threads"."""
        return self._backend.description

    def prepare(self) -> None:
        """Open what restores base pictures, of either rung, before one comes: else the first takes as long as five."""
        self._restorer()
        self._whole()

    def detect(self, picture: Picture) -> Motion:
        """Keypoints, and Jacobians of a first-order model, of a picture (S, S, 3) uint8 RGB."""
        self._check_picture(picture)
        return self._backend.detect(picture)

    def encode_reference(self, picture: Picture, motion: Motion | None) -> Reference:
        """All that depends on the reference picture (S, S, 3) uint8 RGB and its own motion; once a keyframe.

        Without its motion it is good for base pictures alone.
        """
        self._check_picture(picture)
        if motion is None:
            return Reference((), self, picture)
        self._check_motion(motion)
        return Reference(self._backend.encode_reference(picture, motion), self, picture)

    def generate(self, reference: Reference, drive: Drive, *, light: bool = False) -> Picture:
        """The reference picture with what drives it, (S, S, 3) uint8 RGB; a base picture rather than motion.

        light: base pictures are blended, or shown as they are, without the network, where a machine has no time."""
        self._check_reference(reference)
        if drive.base is not None:
            base = drive.base if drive.later is None else between(drive.base, *drive.later)
            return self._restored(reference, base, light)
        motion = self._check_motion(drive.motion)
        if not reference.arrays:
            raise EngineError("reference was encoded without its motion: it cannot be moved, only restored with")
        return self._backend.generate(reference.arrays, motion)

    def find_flow(self, reference: Reference, base: Picture) -> FloatArray:
        """Where in the reference a base picture (h, h, 3), RGB, 0 to 255, finds its places, as Base.flow."""
        self._check_reference(reference)
        return find_flow(base, self._restorable(reference).grey)

    def between(self, a: Picture, b: Picture, share: float) -> Picture:
        """What is `share` (0 to 1) of the way from one picture (S, S, 3) uint8 RGB to another: both moved along the
        flow between them, and mixed."""
        return between_pictures(a, b, share)

    def _restored(self, reference: Reference, base: Base, light: bool) -> Picture:
        size = self.config.picture_size
        if base.picture.shape[0] >= size:
            picture, share = as_picture(base.picture), _share(base.quantiser)
            if light or share == 0 or picture.shape[0] > size:
                return picture
            restored = self._whole()(picture)
            return restored if share == 1 else as_picture((1 - share) * picture + share * restored.astype(np.float32))
        restorable = self._restorable(reference)
        return (_LIGHT if light else self._restorer()).restore(restorable, base)

    def _restorable(self, reference: Reference) -> Restorable:
        if not reference.restorable:
            reference.restorable.append(self._restorer().prepare(reference.picture))
        return reference.restorable[0]

    def generate_float(self, reference: Reference, drive: Drive) -> FloatArray:
        """As generate with motion, before rounding: (S, S, 3) float32 in [0, 1], for metrics."""
        self._check_reference(reference)
        motion = self._check_motion(drive.motion)
        return self._backend.generate_float(reference.arrays, motion)

    def _check_picture(self, picture: Picture) -> None:
        size = self.config.picture_size
        if picture.dtype != np.uint8 or picture.shape != (size, size, 3):
            raise EngineError(f"picture: got {picture.dtype} {picture.shape}, expected uint8 ({size}, {size}, 3)")

    def _check_motion(self, motion: Motion | None) -> Motion:
        if motion is None:
            raise EngineError("drive: got neither motion nor a base picture, expected one of them")
        k = self.config.keypoints
        if motion.keypoints.shape != (k, 2):
            raise EngineError(f"keypoints: got {motion.keypoints.shape}, model {self.name} has ({k}, 2)")
        shape = None if motion.jacobians is None else motion.jacobians.shape
        expected = (k, 2, 2) if self.config.jacobians else None
        if shape != expected:
            raise EngineError(f"jacobians: got {shape}, model {self.name} has {expected}")
        for values in (motion.keypoints, motion.jacobians):
            if values is not None and not np.isfinite(values).all():
                raise EngineError("motion is not finite")
        return motion

    def _check_reference(self, reference: Reference) -> None:
        if reference.engine is not self:
            raise EngineError("this reference was made by another engine; call encode_reference of this one")


def _once(opens: Callable[[], T]) -> Callable[[], T]:
    """What it opens, opened when it is asked for first, whichever thread asks."""
    lock = threading.Lock()
    opened: list[T] = []

    def get() -> T:
        with lock:
            if not opened:
                opened.append(opens())
            return opened[0]

    return get


def _share(quantiser: int) -> float:
    """How far the whole-size restoration goes: what is finely coded it would only smooth (docs/restoration.md)."""
    return min(1.0, max(0.0, (quantiser - 30) / 80))


def open_engine(
    model: str | Path = DEFAULT_MODEL,
    engine: EngineName = "auto",
    device: str | None = None,
    threads: int | None = None,
    precision: Precision = "f32",
    calibration: Path | Sequence[Path] | None = None,
) -> Engine:
    """Load a model and prepare it to run.

    model: a shipped name, a path, or "untrained:PRESET".
    engine: "openvino", "torch", or "auto": torch where it finds a GPU or `device` names one, else OpenVINO,
        else, with a warning, torch on the CPU.
    device: as torch names it ("cpu", "cuda", "cuda:1", "mps") or OpenVINO ("CPU", "GPU"); None: the best there is.
    threads: of the CPU, for each call; None: all that this process may use.
    precision: "f32", or "bf16" for about twice the speed where the processor has it, at a small loss;
        or "int8" (OpenVINO on a CPU, and for its first start the extra "int8"), faster at a loss that
        docs/performance.md gives.
    calibration: of int8: videos, or a folder of them, cropped to faces like those to come; None: the embedded sample.
    Raises ModelError, EngineError.
    """
    if engine not in ("auto", "torch", "openvino"):
        raise EngineError(f"engine: got {engine!r}, expected auto, torch or openvino")
    if precision not in ("f32", "bf16", "int8"):
        raise EngineError(f"precision: got {precision!r}, expected f32, bf16 or int8")
    if calibration is not None and precision != "int8":
        raise EngineError(f"calibration: got one with precision {precision}, it is of int8 only")
    if threads is not None and threads < 1:
        raise EngineError(f"threads: got {threads}, expected at least 1")
    file = read_model_file(model)

    size = file.config.picture_size

    def restorers(runner: str) -> tuple[Callable[[], Restorer], Callable[[], WholeRestorer]]:
        return (
            lambda: open_restorer(restoration_for(size), runner, threads),
            lambda: open_whole(restoration_for(size, whole=True), runner, threads),
        )

    if engine == "auto" and precision == "int8":
        engine = "openvino"  # torch would run it in another precision than was asked for
    if engine == "auto":
        accelerator = _accelerator() if device is None else device
        if accelerator.lower() != "cpu":
            engine, device = "torch", accelerator
    if engine == "torch":
        if precision == "int8":
            raise EngineError("precision: torch has no int8 here; use engine openvino")
        return Engine(file, _torch_backend(file, device, threads, precision), *restorers("torch"))
    try:
        from talkcodec.runtime.openvino_backend import OpenVINOBackend

        backend = OpenVINOBackend(file, device or "CPU", threads, precision, calibration)
    except ModelError:
        raise
    except Exception as error:
        # OpenVINO raises plain RuntimeError for most of what can go wrong, from libraries missing to unknown operators.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if engine == "openvino":
            raise EngineError(f"OpenVINO cannot run {file.name}: {reason}") from error
        logger.warning("OpenVINO cannot run %s (%s); using torch, which is slower", file.name, reason)
        return Engine(file, _torch_backend(file, device, threads, precision), *restorers("torch"))
    return Engine(file, backend, *restorers("openvino"))


def _torch_backend(file: ModelFile, device: str | None, threads: int | None, precision: Precision) -> Backend:
    from talkcodec.runtime.torch_backend import TorchBackend

    return TorchBackend(file, device or _accelerator(), threads, precision)


def _accelerator() -> str:
    """ "cuda", "mps" or "cpu". The CPU build of torch says so in its version, which saves importing it."""
    if version("torch").endswith("+cpu"):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
