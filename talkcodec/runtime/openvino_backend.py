"""Execution by OpenVINO: the fast way on a CPU.

The graphs are converted from torch once and cached. Precision is pinned: left to itself, OpenVINO
computes in bfloat16 wherever the processor can.
"""

import logging
import tempfile
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import talkcodec.runtime.unreported  # isort: skip  # before openvino
import openvino
from openvino import opset13 as ops

import talkcodec
from talkcodec.errors import EngineError
from talkcodec.model.files import ModelFile, load_model
from talkcodec.runtime import quantise
from talkcodec.runtime.cache import GraphCache, cache_directory
from talkcodec.types import FloatArray, Motion, Picture

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Graph", "OpenVINOBackend", "compile_graphs", "convert_graphs", "kept", "save_graph", "version"]

logger = logging.getLogger(__name__)

CONVERTED = ("detect", "encode_reference", "generate_float")
"""The graphs that are kept; generate is generate_float, rounded to bytes."""

FORMAT = "2"
"""Of the cached graphs; raise it when talkcodec.runtime.graphs changes."""

Arrays = tuple[npt.NDArray[Any], ...]
_Temporary = tempfile.TemporaryDirectory[str] | None


class Graph:
    """One compiled graph, one request: calls wait for one another."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self._outputs = len(compiled.outputs)
        self._lock = threading.Lock()

    def __call__(self, *inputs: npt.NDArray[Any]) -> Arrays:
        with self._lock:
            self._request.infer(list(inputs), share_inputs=True, share_outputs=True)
            return tuple(np.array(self._request.get_output_tensor(i).data) for i in range(self._outputs))


class OpenVINOBackend:
    """Runs the converted graphs; generate_float is compiled when first asked for."""

    def __init__(
        self,
        file: ModelFile,
        device: str,
        threads: int | None,
        precision: str,
        calibration: Path | Sequence[Path] | None = None,
    ) -> None:
        self._core = openvino.Core()
        self._device = device.upper()
        if self._device.split(".")[0] not in {name.split(".")[0] for name in self._core.available_devices}:
            raise EngineError(f"OpenVINO has no device {device!r}; there are {', '.join(self._core.available_devices)}")
        self._options = self._compile_options(threads, precision)
        converted, self._temporary = _converted(file)
        self._folders = dict.fromkeys(CONVERTED, converted)
        if precision == "int8":
            quantised, self._temporary_int8 = self._quantised(file, calibration)
            self._folders |= dict.fromkeys(quantise.QUANTISED, quantised)
        self._detect = self._compile("detect")
        self._encode_reference = self._compile("encode_reference")
        self._generate = self._compile("generate")
        self._generate_float: Graph | None = None
        self._lock = threading.Lock()
        number = version().split("-")[0]
        used = f", {threads} threads" if threads else ""
        self.description = f"OpenVINO {number}, {self._device}, {precision}{used}"

    def detect(self, picture: Picture) -> Motion:
        """As Engine.detect."""
        keypoints, *jacobians = self._detect(_batch(picture))
        return Motion(keypoints[0], jacobians[0][0] if jacobians else None)

    def encode_reference(self, picture: Picture, motion: Motion) -> Arrays:
        """As Engine.encode_reference: float32 arrays, batch first."""
        return self._encode_reference(_batch(picture), *_motion(motion))

    def generate(self, reference: Arrays, motion: Motion) -> Picture:
        """As Engine.generate."""
        picture: Picture = self._generate(*_motion(motion), *reference)[0][0]
        return picture

    def generate_float(self, reference: Arrays, motion: Motion) -> FloatArray:
        """As Engine.generate_float."""
        with self._lock:
            if self._generate_float is None:
                self._generate_float = self._compile("generate_float")
        prediction: FloatArray = self._generate_float(*_motion(motion), *reference)[0][0]
        return prediction

    def _compile(self, name: str) -> Graph:
        if name != "generate":
            return Graph(self._core.compile_model(self._folders[name] / f"{name}.xml", self._device, self._options))
        floats = self._core.read_model(self._folders["generate_float"] / "generate_float.xml")
        rounded = _to_bytes(floats.output(0).get_node().input_value(0))
        graph = openvino.Model([rounded], floats.get_parameters())
        return Graph(self._core.compile_model(graph, self._device, self._options))

    def _quantised(self, file: ModelFile, calibration: Path | Sequence[Path] | None) -> tuple[Path, _Temporary]:
        """The folder of the int8 graphs. The key leaves NNCF's version out, so that a warm start does without NNCF."""
        clips = quantise.calibration_clips(calibration)
        key = (file.hash.hex(), version(), talkcodec.__version__, FORMAT)
        int8 = ("int8", quantise.FORMAT, *quantise.QUANTISED, quantise.calibration_hash(clips))

        def build(folder: Path) -> None:
            quantise.import_nncf()  # before the work whose end would need it
            logger.info("quantising %s to int8 on %d clips, once", file.name, len(clips))
            detect, encode_reference = self._compile("detect"), self._compile("encode_reference")
            samples = quantise.collect_samples(clips, file.config.picture_size, detect, encode_reference)
            for name in quantise.QUANTISED:
                graph = self._core.read_model(self._folders[name] / f"{name}.xml")
                save_graph(quantise.quantise(graph, samples[name]), folder / f"{name}.xml")

        return kept((*key, *int8), build)

    def _compile_options(self, threads: int | None, precision: str) -> dict[str, Any]:
        capabilities = self._core.get_property(self._device, "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and "BF16" not in capabilities:
            raise EngineError(f"this {self._device} has no bfloat16; use precision f32")
        if precision == "int8" and "INT8" not in capabilities:
            raise EngineError(f"this {self._device} has no int8; use precision f32")
        # Of an int8 model it is the precision of what stays float.
        hint = "f32" if precision == "int8" else precision
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
        return options | (_cpu_options(threads) if self._device == "CPU" else {})


def version() -> str:
    """OpenVINO's."""
    number: str = openvino.get_version()
    return number


def compile_graphs(paths: Sequence[Path], threads: int | None) -> list[Graph]:
    """Graphs in single precision on the CPU, ready to run one after another."""
    core = openvino.Core()
    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"} | _cpu_options(threads)
    return [Graph(core.compile_model(path, "CPU", options)) for path in paths]


def _cpu_options(threads: int | None) -> dict[str, Any]:
    """What a graph is compiled with on the CPU, whatever its precision."""
    # A pinned pool would bind graphs that run at the same time to the same cores.
    options: dict[str, Any] = {"NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    return options | ({"INFERENCE_NUM_THREADS": threads} if threads else {})


def _converted(file: ModelFile) -> tuple[Path, _Temporary]:
    return kept((file.hash.hex(), version(), talkcodec.__version__, FORMAT), lambda to: _convert(file, to))


def kept(key: tuple[str, ...], build: Callable[[Path], None]) -> tuple[Path, _Temporary]:
    """The folder that `build` fills; a temporary one, to be kept alive, when the cache cannot be written."""
    try:
        return GraphCache(cache_directory() / "openvino").entry(key, build), None
    except OSError as error:
        logger.warning("cannot keep converted graphs (%s): each start converts anew", error)
        temporary = tempfile.TemporaryDirectory(prefix="talkcodec-")
        build(Path(temporary.name))
        return Path(temporary.name), temporary


def _convert(file: ModelFile, folder: Path) -> None:
    from talkcodec.runtime.graphs import example_inputs, make_graph

    logger.info("converting %s for OpenVINO, once", file.name)
    network = load_model(file.path or file.name).network
    convert_graphs({name: (make_graph(name, network), example_inputs(name, network)) for name in CONVERTED}, folder)


def convert_graphs(graphs: "Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]", folder: Path) -> None:
    """Write torch modules, each with example inputs, as OpenVINO's graphs NAME.xml. Raises OSError."""
    import torch

    for name, (module, inputs) in graphs.items():
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer: shapes are meant to be constants
            traced = torch.jit.trace(module, inputs, check_trace=False)  # type: ignore[no-untyped-call]
        graph = openvino.convert_model(traced, example_input=inputs, input=[list(x.shape) for x in inputs])
        save_graph(graph, folder / f"{name}.xml")


def save_graph(graph: openvino.Model, path: Path) -> None:
    """Write a graph and its weights, as they are. Raises OSError where the disk is full, say."""
    try:
        openvino.save_model(graph, path, compress_to_fp16=False)
    except RuntimeError as error:  # all that OpenVINO has for it
        raise OSError(f"cannot write {path}: {error}") from error


def _to_bytes(prediction: Any) -> Any:
    """[0, 1] -> 0 to 255, half to even as torch and numpy round."""
    return ops.convert(ops.round(ops.multiply(prediction, np.float32(255)), "half_to_even"), "u8")


def _batch(picture: Picture) -> npt.NDArray[Any]:
    return np.ascontiguousarray(picture)[None]


def _motion(motion: Motion) -> Arrays:
    arrays = (motion.keypoints,) if motion.jacobians is None else (motion.keypoints, motion.jacobians)
    return tuple(np.ascontiguousarray(array, dtype=np.float32)[None] for array in arrays)
