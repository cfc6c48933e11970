"""Execution by torch: any device, no preparation, slower on a CPU than OpenVINO."""

import threading
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from talkcodec.errors import EngineError
from talkcodec.model.files import ModelFile, load_model
from talkcodec.runtime.graphs import GRAPHS, make_graph
from talkcodec.types import FloatArray, Motion, Picture

__all__ = ["TorchBackend"]


class TorchBackend:
    """Runs the graphs eagerly on one device."""

    def __init__(self, file: ModelFile, device: str, threads: int | None, precision: str) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            self._device = torch.device(device.lower())
            network = load_model(file.path or file.name).network.to(self._device)
        except (RuntimeError, AssertionError) as error:
            raise EngineError(f"torch has no device {device!r} here: {error}") from error
        if self._device.type != "cpu":
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._graphs = {name: make_graph(name, network) for name in GRAPHS}
        self._locks = {name: threading.Lock() for name in GRAPHS}
        self._bf16 = precision == "bf16"
        where = f"{torch.get_num_threads()} threads" if self._device.type == "cpu" else "eager"
        self.description = f"torch {torch.__version__}, {device}, {precision}, {where}"

    def detect(self, picture: Picture) -> Motion:
        """As Engine.detect."""
        keypoints, *jacobians = self._run("detect", self._tensor(picture))
        return Motion(self._array(keypoints), self._array(jacobians[0]) if jacobians else None)

    def encode_reference(self, picture: Picture, motion: Motion) -> tuple[Tensor, ...]:
        """As Engine.encode_reference: tensors on the device."""
        return self._run("encode_reference", self._tensor(picture), *self._motion(motion))

    def generate(self, reference: tuple[Tensor, ...], motion: Motion) -> Picture:
        """As Engine.generate."""
        picture: Picture = self._run("generate", *self._motion(motion), *reference)[0][0].cpu().numpy()
        return picture

    def generate_float(self, reference: tuple[Tensor, ...], motion: Motion) -> FloatArray:
        """As Engine.generate_float."""
        return self._array(self._run("generate_float", *self._motion(motion), *reference)[0])

    def _run(self, name: str, *inputs: Tensor) -> tuple[Tensor, ...]:
        narrow: AbstractContextManager[object] = nullcontext()
        if self._bf16:
            narrow = torch.autocast(self._device.type, torch.bfloat16)
        with self._locks[name], torch.inference_mode(), narrow:
            out = self._graphs[name](*inputs)
        return out if isinstance(out, tuple) else (out,)

    def _motion(self, motion: Motion) -> tuple[Tensor, ...]:
        arrays = (motion.keypoints,) if motion.jacobians is None else (motion.keypoints, motion.jacobians)
        return tuple(self._tensor(array.astype(np.float32, copy=False)) for array in arrays)

    def _tensor(self, array: npt.NDArray[np.float32] | npt.NDArray[np.uint8]) -> Tensor:
        writable = array if array.flags.writeable and array.flags.c_contiguous else array.copy()
        return torch.from_numpy(writable)[None].to(self._device)

    def _array(self, tensor: Tensor) -> FloatArray:
        array: FloatArray = tensor[0].float().cpu().numpy()
        return array
