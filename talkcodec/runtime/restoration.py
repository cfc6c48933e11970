"""The restoration networks, executed: by OpenVINO, or by torch where that does not run; else what needs none."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from talkcodec.errors import ModelError
from talkcodec.runtime.restorer import Blend, Restorable, Restorer, reduced_grey, sized
from talkcodec.types import Base, Picture

if TYPE_CHECKING:
    import torch

    from talkcodec.model.files import Label

__all__ = ["FORMAT", "NetworkRestorer", "WholeRestorer", "as_it_is", "open_restorer", "open_whole", "restoration_for"]

logger = logging.getLogger(__name__)

FORMAT = "2"
"""Of the cached graphs; raise it when the graphs below change."""

WholeRestorer = Callable[[Picture], Picture]
"""From a picture (S, S, 3) that was coded at the whole size, takes what the coder put on; from one thread at a time."""


def restoration_for(size: int, whole: bool = False) -> str | None:
    """Name of the shipped network for pictures of this size, None when there is none. whole: coded at that size too."""
    from talkcodec.model.restoration_files import shipped_restorations

    name = f"restore-{size}-whole" if whole else f"restore-{size}"
    return name if name in shipped_restorations() else None


def open_restorer(name_or_path: str | Path | None, engine: str, threads: int | None) -> Restorer:
    """The network with this name on "openvino" or "torch"; the untrained blend for None, and where neither runs."""
    run = _opened(name_or_path, engine, threads, ("prepare", "restore"), "pictures are only blended")
    return Blend() if run is None else NetworkRestorer(run)


def open_whole(name_or_path: str | Path | None, engine: str, threads: int | None) -> WholeRestorer:
    """The network with this name for pictures coded at the whole size; `as_it_is` for None, or if it does not run."""
    run = _opened(name_or_path, engine, threads, ("whole",), "pictures are shown as they are decoded")
    if run is None:
        return as_it_is
    return lambda picture: _picture(run("whole", np.ascontiguousarray(picture)[None]))


def as_it_is(picture: Picture) -> Picture:
    """The picture, in any colours."""
    return picture


class NetworkRestorer:
    """The network, whatever executes it."""

    def __init__(self, run: "_Run") -> None:
        self._run = run
        self.description = run.description

    def prepare(self, reference: Picture) -> Restorable:
        """As Restorer.prepare."""
        arrays = self._run("prepare", np.ascontiguousarray(reference)[None])
        return Restorable(reference, reduced_grey(reference), arrays)

    def restore(self, reference: Restorable, base: Base) -> Picture:
        """As Restorer.restore."""
        half = reference.grey.shape[0]
        small = sized(base.picture, half)
        return _picture(
            self._run(
                "restore",
                np.ascontiguousarray(small, dtype=np.float32)[None],
                np.ascontiguousarray(base.flow, dtype=np.float32)[None],
                np.ascontiguousarray(reference.picture)[None],
                *reference.arrays,
            )
        )


class _Run(Protocol):
    """Executes graphs of `talkcodec.runtime.restoration_graphs` by name; numpy arrays go in, its own may too."""

    description: str

    def __call__(self, name: str, *arrays: Any) -> tuple[Any, ...]: ...


class _OpenVINORun:
    """Converted once, and cached as the engine's graphs are."""

    def __init__(self, name_or_path: str | Path, threads: int | None, names: Sequence[str]) -> None:
        from talkcodec.model.files import read_label
        from talkcodec.runtime import openvino_backend as backend

        label = read_label(name_or_path)
        version = backend.version()
        key = ("restoration", *names, label.hash.hex(), version, FORMAT)
        folder, self._temporary = backend.kept(key, lambda to: _convert(label, names, to))
        graphs = backend.compile_graphs([folder / f"{name}.xml" for name in names], threads)
        self._graphs = dict(zip(names, graphs, strict=True))
        self.description = f"{label.path.stem}, OpenVINO {version.split('-')[0]}"

    def __call__(self, name: str, *arrays: Any) -> tuple[Any, ...]:
        return self._graphs[name](*arrays)


class _TorchRun:
    """On the CPU."""

    def __init__(self, name_or_path: str | Path, names: Sequence[str]) -> None:
        import torch

        from talkcodec.model.restoration_files import load_restoration

        loaded = load_restoration(name_or_path)
        self._torch = torch
        self._graphs = {name: _graph(name, loaded.network) for name in names}
        self.description = f"{loaded.name}, torch {torch.__version__}"

    def __call__(self, name: str, *arrays: Any) -> tuple[Any, ...]:
        with self._torch.inference_mode():
            made = self._graphs[name](*(self._tensor(array) for array in arrays))
        return made if isinstance(made, tuple) else (made,)

    def _tensor(self, array: Any) -> "torch.Tensor":
        if isinstance(array, self._torch.Tensor):
            return array
        return self._torch.from_numpy(array if array.flags.writeable else array.copy())


def _opened(
    name_or_path: str | Path | None, engine: str, threads: int | None, names: Sequence[str], otherwise: str
) -> _Run | None:
    if name_or_path is None:
        return None
    try:
        return _OpenVINORun(name_or_path, threads, names) if engine == "openvino" else _TorchRun(name_or_path, names)
    except ModelError:
        raise
    except Exception as error:  # as for the engine: OpenVINO raises plain RuntimeError for most of what can go wrong
        logger.warning("the restoration network does not run here (%s); %s", error, otherwise)
        return None


def _picture(made: tuple[Any, ...]) -> Picture:
    picture: Picture = np.asarray(made[0])[0]
    return picture


def _graph(name: str, network: Any) -> "torch.nn.Module":
    from talkcodec.runtime.restoration_graphs import make_graph

    return make_graph(name, network)


def _convert(label: "Label", names: Sequence[str], folder: Path) -> None:
    from talkcodec.model.restoration_files import load_restoration
    from talkcodec.runtime.openvino_backend import convert_graphs
    from talkcodec.runtime.restoration_graphs import example_inputs

    logger.info("converting %s for OpenVINO, once", label.path.stem)
    network = load_restoration(label.path).network
    convert_graphs({name: (_graph(name, network), example_inputs(name, network)) for name in names}, folder)
