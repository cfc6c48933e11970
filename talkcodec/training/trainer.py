"""The training loop: stages, mixed precision, several processes, a running average, exact resumption."""

import csv
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from talkcodec.errors import ConfigError, ModelError
from talkcodec.model.lite import LiteNetwork
from talkcodec.training.augment import jitter_rows, zoom_some
from talkcodec.training.config import Stage, TrainingConfig
from talkcodec.training.data import Clip, Pairs
from talkcodec.training.discriminator import Discriminator
from talkcodec.training.losses import adversarial_discriminator
from talkcodec.training.objective import Objective
from talkcodec.training.validate import Score, contact_sheet, to_tensor, validate

__all__ = ["Progress", "Trainer"]

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """Where a run stands; handed to the caller after every step."""

    step: int
    steps: int
    stage: int
    terms: dict[str, float] = field(default_factory=dict)
    score: Score | None = None


class Trainer:
    """Trains one LiteNetwork. The checkpoint in `out` holds all that the next step depends on."""

    def __init__(self, config: TrainingConfig, clips: list[Clip], validation: list[Clip], out: Path) -> None:
        self.config, self.validation, self.out = config, validation, out
        self.rank, self.world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        cuda = torch.cuda.is_available()
        self.device = torch.device("cuda", local) if cuda else torch.device("cpu")
        if self.world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if cuda else "gloo")
        torch.manual_seed(config.seed)
        self.network = LiteNetwork(config.model).to(self.device)
        self.average = LiteNetwork(config.model).to(self.device).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        self.discriminator = Discriminator().to(self.device)
        self.objective: nn.Module = Objective(self.network, config).to(self.device)
        if self.world > 1:
            self.objective = DistributedDataParallel(
                self.objective, device_ids=[local] if cuda else None, find_unused_parameters=True
            )
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3, betas=(0.9, 0.99))
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4, betas=(0.5, 0.9))
        if config.needs_landmarks and all(clip.landmarks is None for clip in clips):
            raise ConfigError("guide and face_focus need landmarks: give --landmarks FILE")
        self.pairs = Pairs(clips, config.seed, self.rank, config.near_share)
        self.step, self.best = 0, float("inf")
        self.bf16 = config.precision == "bf16" and (cuda or torch.ops.mkldnn._is_mkldnn_bf16_supported())

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.config.stages)

    def stage_at(self, step: int) -> tuple[int, Stage, int]:
        """-> stage number, stage, and how far into it `step` lies."""
        for number, stage in enumerate(self.config.stages):
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
            if self.step % self.config.validate_every == 0 or self.step == self.steps:
                progress.score = score = self._validate(stage.size)
            if self.rank == 0:
                self._log(progress, stage, time.perf_counter() - started)
                if self.step % self.config.checkpoint_every == 0:
                    self.save_checkpoint()
            report(progress)
        if self.rank == 0:
            self.save_checkpoint()
        return score

    def _train_step(self, stage: Stage, within: int) -> dict[str, float]:
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step * 1_009 + self.rank)
        batch = self.pairs.batch(self.step, stage.batch, self.config.model.lite.references)
        sources = to_tensor(batch.keyframes, stage.size, self.device)
        driving = to_tensor(batch.frames, stage.size, self.device)
        pictures = torch.cat([sources, driving[:, None]], 1)
        landmarks = torch.from_numpy(batch.landmarks).to(self.device)
        pictures, landmarks = jitter_rows(pictures, landmarks, generator)
        zoomed, moved = zoom_some(pictures.flatten(0, 1), landmarks.flatten(0, 1), generator, self.config.zoom_share)
        pictures, landmarks = zoomed.view_as(pictures), moved.view_as(landmarks)
        rate = stage.rate * min(1.0, (within + 1) / max(1, stage.warmup))
        left = (stage.steps - within) / max(1.0, stage.decay * stage.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * min(1.0, left)
        adversarial = stage.weights.adversarial > 0 or stage.weights.feature_matching > 0
        self.discriminator.requires_grad_(False)
        self.network.detector.requires_grad_(not stage.freeze_detector).train(not stage.freeze_detector)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            terms, prediction = self.objective(
                pictures, landmarks, stage.weights, self.discriminator if adversarial else None, generator
            )
        loss = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        if torch.isfinite(norm):
            self.optimizer.step()
        if adversarial and prediction is not None:
            terms["discriminator"] = self._discriminate(prediction.detach(), pictures[:, -1])
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - decay)
            for kept, now in zip(self.average.buffers(), self.network.buffers(), strict=True):
                kept.copy_(now)
        names = list(terms)
        values = torch.stack([terms[name].detach() for name in names]).tolist()
        return dict(zip(names, values, strict=True))

    def _discriminate(self, fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        self.discriminator.requires_grad_(True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            real_scores, fake_scores = self.discriminator(torch.cat([real, fake]))[0].float().chunk(2)
            loss = adversarial_discriminator(real_scores, fake_scores)
        self.optimizer_d.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if self.world > 1:
            for parameter in self.discriminator.parameters():
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad)
                    parameter.grad /= self.world
        self.optimizer_d.step()
        return loss

    def _validate(self, size: int) -> Score | None:
        if self.rank != 0 or not self.validation:
            return None
        score, _ = validate(self.average, self.validation, size, self.device)
        import cv2

        sheet = contact_sheet(
            self.average, self.validation[:: max(1, len(self.validation) // 8)][:8], size, self.device
        )
        cv2.imwrite(str(self.out / f"sheet-{self.step:07d}.png"), sheet[:, :, ::-1])
        if score.l1 / score.copy_l1 < self.best:
            self.best = score.l1 / score.copy_l1
            torch.save(self.average.state_dict(), self.out / "best.pt")
        return score

    def _log(self, progress: Progress, stage: Stage, seconds: float) -> None:
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
        state = {
            "config": self.config.to_dict(),
            "step": self.step,
            "best": self.best,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "optimizer_d": self.optimizer_d.state_dict(),
        }
        partial = self.out / "checkpoint.pt.partial"
        torch.save(state, partial)
        partial.replace(self.out / "checkpoint.pt")

    def resume(self) -> bool:
        """Take up the checkpoint in `out`, if there is one; ModelError when it is of another model."""
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["config"]["model"] != self.config.model.to_dict():
            raise ModelError(f"{path} holds another model configuration; choose another --out, or delete it")
        for name in ("network", "average", "discriminator", "optimizer", "optimizer_d"):
            getattr(self, name).load_state_dict(state[name])
        self.step, self.best = state["step"], state["best"]
        return True

    def start_from(self, state: dict[str, torch.Tensor]) -> None:
        """Begin with the weights of another run."""
        self.network.load_state_dict(state)
        self.average.load_state_dict(state)

    def metadata(self) -> dict[str, str]:
        """How the weights came about, for the model file."""
        return {"training": json.dumps(self.config.to_dict()), "steps": str(self.step)}
