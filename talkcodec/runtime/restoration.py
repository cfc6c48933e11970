"""The restoration network, executed: by OpenVINO, or by torch where that does not run; else the untrained blend."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from talkcodec.errors import ModelError
from talkcodec.runtime.restorer import Blend, Restorable, Restorer, reduced_grey
from talkcodec.types import Base, Picture

if TYPE_CHECKING:
    import torch

    from talkcodec.model.files import Label

__all__ = ["FORMAT", "OpenVINORestorer", "TorchRestorer", "open_restorer", "restoration_for"]

logger = logging.getLogger(__name__)

FORMAT = "1"
"""Of the cached graphs; raise it when the graphs below change."""

_GRAPHS = ("prepare", "restore")


def restoration_for(size: int) -> str | None:
    """Name of the shipped network for pictures of this size, None when there is none."""
    from talkcodec.model.restoration_files import shipped_restorations

    name = f"restore-{size}"
    return name if name in shipped_restorations() else None


def open_restorer(name_or_path: str | Path | None, engine: str, threads: int | None) -> Restorer:
    """The network with this name on "openvino" or "torch"; the untrained blend for None, and where neither runs."""
    if name_or_path is None:
        return Blend()
    try:
        if engine == "openvino":
            return OpenVINORestorer(name_or_path, threads)
        return TorchRestorer(name_or_path)
    except ModelError:
        raise
    except Exception as error:  # as for the engine: OpenVINO raises plain RuntimeError for most of what can go wrong
        logger.warning("the restoration network does not run here (%s); pictures are only blended", error)
        return Blend()


class _NetworkRestorer:
    """What both ways share: pictures to arrays and back."""

    description = ""

    def prepare(self, reference: Picture) -> Restorable:
        """As Restorer.prepare."""
        return Restorable(reference, reduced_grey(reference), self._prepare(np.ascontiguousarray(reference)[None]))

    def restore(self, reference: Restorable, base: Base) -> Picture:
        """As Restorer.restore."""
        half = reference.grey.shape[0]
        small = base.picture
        if small.shape[0] != half:
            small = np.asarray(cv2.resize(small, (half, half), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
        return self._restore(
            np.ascontiguousarray(small, dtype=np.float32)[None],
            np.ascontiguousarray(base.flow, dtype=np.float32)[None],
            np.ascontiguousarray(reference.picture)[None],
            reference.arrays,
        )

    def _prepare(self, picture: Picture) -> tuple[Any, ...]:
        raise NotImplementedError

    def _restore(
        self, base: npt.NDArray[np.float32], flow: npt.NDArray[np.float32], picture: Picture, arrays: tuple[Any, ...]
    ) -> Picture:
        raise NotImplementedError


class OpenVINORestorer(_NetworkRestorer):
    """Converted once, and cached as the engine's graphs are."""

    def __init__(self, name_or_path: str | Path, threads: int | None) -> None:
        from talkcodec.model.files import read_label
        from talkcodec.runtime import openvino_backend as backend

        label = read_label(name_or_path)
        version = backend.version()
        key = ("restoration", label.hash.hex(), version, FORMAT)
        folder, self._temporary = backend.kept(key, lambda to: _convert(label, to))
        graphs = backend.compile_graphs([folder / f"{name}.xml" for name in _GRAPHS], threads)
        self._graphs = dict(zip(_GRAPHS, graphs, strict=True))
        self.description = f"{label.path.stem}, OpenVINO {version.split('-')[0]}"

    def _prepare(self, picture: Picture) -> tuple[Any, ...]:
        return self._graphs["prepare"](picture)

    def _restore(
        self, base: npt.NDArray[np.float32], flow: npt.NDArray[np.float32], picture: Picture, arrays: tuple[Any, ...]
    ) -> Picture:
        restored: Picture = self._graphs["restore"](base, flow, picture, *arrays)[0][0]
        return restored


class TorchRestorer(_NetworkRestorer):
    """On the CPU."""

    def __init__(self, name_or_path: str | Path) -> None:
        import torch

        from talkcodec.model.restoration_files import load_restoration

        loaded = load_restoration(name_or_path)
        self._torch = torch
        self._graphs = {name: _graph(name, loaded.network) for name in _GRAPHS}
        self.description = f"{loaded.name}, torch {torch.__version__}"

    def _prepare(self, picture: Picture) -> tuple[Any, ...]:
        with self._torch.inference_mode():
            prepared: tuple[Any, ...] = self._graphs["prepare"](self._tensor(picture))
        return prepared

    def _restore(
        self, base: npt.NDArray[np.float32], flow: npt.NDArray[np.float32], picture: Picture, arrays: tuple[Any, ...]
    ) -> Picture:
        with self._torch.inference_mode():
            made = self._graphs["restore"](self._tensor(base), self._tensor(flow), self._tensor(picture), *arrays)
        restored: Picture = made[0].numpy()
        return restored

    def _tensor(self, array: npt.NDArray[Any]) -> "torch.Tensor":
        return self._torch.from_numpy(array if array.flags.writeable else array.copy())


def _graph(name: str, network: Any) -> "torch.nn.Module":
    from talkcodec.runtime.restoration_graphs import make_graph

    return make_graph(name, network)


def _convert(label: "Label", folder: Path) -> None:
    from talkcodec.model.restoration_files import load_restoration
    from talkcodec.runtime.openvino_backend import convert_graphs
    from talkcodec.runtime.restoration_graphs import example_inputs

    logger.info("converting %s for OpenVINO, once", label.path.stem)
    network = load_restoration(label.path).network
    convert_graphs({name: (_graph(name, network), example_inputs(name, network)) for name in _GRAPHS}, folder)
