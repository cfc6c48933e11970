"""What every training run shares: stages, several processes, logs, and a checkpoint that is taken up exactly."""

import csv
import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from talkcodec.errors import ModelError

__all__ = ["Loop", "Progress", "RunConfig", "Scheduled", "Score"]


class Score(Protocol):
    """What a validation found: numbers by name, in words, and one number to be made small."""

    @property
    def badness(self) -> float:
        """Error as a share of that of the method that needs no training."""

    def describe(self) -> str:
        """One line."""

    def _asdict(self) -> dict[str, Any]: ...


class Scheduled(Protocol):
    """The part of a stage that the loop looks at; `size` is logged alone."""

    @property
    def size(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def warmup(self) -> int: ...
    @property
    def decay(self) -> float: ...


class RunConfig(Protocol):
    """The part of a training configuration that the loop looks at."""

    @property
    def seed(self) -> int: ...
    @property
    def precision(self) -> str: ...
    @property
    def ema(self) -> float: ...
    @property
    def validate_every(self) -> int: ...
    @property
    def checkpoint_every(self) -> int: ...
    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary with the network's configuration under "model"."""


class _Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


StageT = TypeVar("StageT", bound=Scheduled)


@dataclass(slots=True)
class Progress:
    """Where a run stands; handed to the caller after every step."""

    step: int
    steps: int
    stage: int
    terms: dict[str, float] = field(default_factory=dict)
    score: Score | None = None


class Loop(ABC, Generic[StageT]):
    """Steps through the stages of one run. The checkpoint in `out` holds all that the next step depends on.

    A subclass sets `network`, its running `average`, and `kept`: what the checkpoint holds, by name.
    """

    network: nn.Module
    average: nn.Module
    kept: Mapping[str, _Stateful]

    def __init__(self, config: RunConfig, stages: Sequence[StageT], out: Path) -> None:
        self.run_config, self.stages, self.out = config, stages, out
        self.rank, self.world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        self.local = int(os.environ.get("LOCAL_RANK", "0"))
        self.cuda = torch.cuda.is_available()
        self.device = torch.device("cuda", self.local) if self.cuda else torch.device("cpu")
        if self.world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self.cuda else "gloo")
        torch.manual_seed(config.seed)
        self.step, self.best = 0, float("inf")
        self.bf16 = config.precision == "bf16" and (self.cuda or torch.ops.mkldnn._is_mkldnn_bf16_supported())

    @abstractmethod
    def _train_step(self, stage: StageT, within: int) -> dict[str, float]:
        """One step; the weighted terms of the loss."""

    @abstractmethod
    def _validate(self, stage: StageT) -> Score | None:
        """On the first process alone."""

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[int, StageT, int]:
        """-> stage number, stage, and how far into it `step` lies."""
        for number, stage in enumerate(self.stages):
            if step < stage.steps:
                return number, stage, step
            step -= stage.steps
        raise IndexError(step)

    def run(self, report: Callable[[Progress], None], stopped: Callable[[], bool] = lambda: False) -> Score | None:
        """Train from the present step to the end, or until `stopped()`; always leaves a checkpoint."""
        score = None
        while self.step < self.steps and not stopped():
            number, stage, within = self.stage_at(self.step)
            started = time.perf_counter()
            terms = self._train_step(stage, within)
            self.step += 1
            progress = Progress(self.step, self.steps, number, terms)
            if self.step % self.run_config.validate_every == 0 or self.step == self.steps:
                progress.score = score = self._validate(stage) if self.rank == 0 else None
                if score is not None and score.badness < self.best:
                    self.best = score.badness
                    torch.save(self.average.state_dict(), self.out / "best.pt")
            if self.rank == 0:
                self._log(progress, stage, time.perf_counter() - started)
                if self.step % self.run_config.checkpoint_every == 0:
                    self.save_checkpoint()
            report(progress)
        if self.rank == 0:
            self.save_checkpoint()
        return score

    def _set_rate(self, optimizer: torch.optim.Optimizer, stage: StageT, within: int) -> None:
        left = (stage.steps - within) / max(1.0, stage.decay * stage.steps)
        for group in optimizer.param_groups:
            group["lr"] = stage.rate * min(1.0, (within + 1) / max(1, stage.warmup), left)

    def _average(self) -> None:
        decay = min(self.run_config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - decay)
            for kept, now in zip(self.average.buffers(), self.network.buffers(), strict=True):
                kept.copy_(now)

    def _log(self, progress: Progress, stage: StageT, seconds: float) -> None:
        if progress.step % 20 == 0:
            row = {"step": progress.step, "stage": progress.stage, "size": stage.size, "seconds": round(seconds, 3)}
            self._append("train.csv", {**row, **{k: round(v, 5) for k, v in progress.terms.items()}})
        if progress.score:
            self._append("validation.csv", {"step": progress.step, "size": stage.size, **progress.score._asdict()})

    def _append(self, name: str, row: dict[str, Any]) -> None:
        path = self.out / name
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(row)
            writer.writerow(row.values())

    def save_checkpoint(self) -> None:
        """Write everything that the next step depends on; atomically, so that a kill leaves the old one."""
        state = {"config": self.run_config.to_dict(), "step": self.step, "best": self.best}
        partial = self.out / "checkpoint.pt.partial"
        torch.save({**state, **{name: kept.state_dict() for name, kept in self.kept.items()}}, partial)
        partial.replace(self.out / "checkpoint.pt")

    def resume(self) -> bool:
        """Take up the checkpoint in `out`, if there is one; ModelError when it is of another model."""
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["config"]["model"] != self.run_config.to_dict()["model"]:
            raise ModelError(f"{path} holds another model configuration; choose another --out, or delete it")
        for name, kept in self.kept.items():
            kept.load_state_dict(state[name])
        self.step, self.best = state["step"], state["best"]
        return True

    def start_from(self, state: dict[str, torch.Tensor]) -> None:
        """Begin with the weights of another run."""
        self.network.load_state_dict(state)
        self.average.load_state_dict(state)

    def metadata(self) -> dict[str, str]:
        """How the weights came about, for the model file."""
        return {"training": json.dumps(self.run_config.to_dict()), "steps": str(self.step)}
