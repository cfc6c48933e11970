"""A step of a restoration's training; the rest is `loop.Loop`."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from talkcodec.errors import ConfigError
from talkcodec.model.restoration import RestorationNetwork
from talkcodec.training.data import Clip
from talkcodec.training.face_features import FaceFeatures
from talkcodec.training.loop import Loop
from talkcodec.training.restoration.config import RestorationStage, RestorationTraining
from talkcodec.training.restoration.objective import RestorationObjective
from talkcodec.training.restoration.samples import Batch, CodedClip, Samples
from talkcodec.training.restoration.validate import RestorationScore, contact_sheet, validate, validation_set

__all__ = ["RestorationTrainer"]

LARGEST_NORM = 1.0
"""Gradients are scaled down to it."""


class RestorationTrainer(Loop[RestorationStage]):
    """Trains one RestorationNetwork. One thread makes the next batch while this one trains."""

    network: RestorationNetwork
    average: RestorationNetwork

    def __init__(
        self,
        config: RestorationTraining,
        clips: list[CodedClip],
        validation: list[Clip],
        out: Path,
        features: FaceFeatures | None = None,
    ) -> None:
        super().__init__(config, config.stages, out)
        self.config = config
        if config.needs_landmarks and all(clip.clip.landmarks is None for clip in clips):
            raise ConfigError("face_focus and identity need landmarks: give --landmarks FILE, or set face_focus = 0")
        if config.needs_features and features is None:
            raise ConfigError("identity needs a recognition network: give --face-features FOLDER, or set identity = 0")
        self.network = RestorationNetwork(config.model).to(self.device)
        self.average = RestorationNetwork(config.model).to(self.device).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        for parameter in self.network.parameters():  # a third quicker on CPUs than rows of channels
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        known = None if features is None else features.to(self.device)
        self.objective: nn.Module = RestorationObjective(self.network, known)
        if self.world > 1:
            self.objective = DistributedDataParallel(self.objective, device_ids=[self.local] if self.cuda else None)
        self.optimizer = torch.optim.Adam(self.network.parameters(), betas=(0.9, 0.99))
        self.kept = {name: getattr(self, name) for name in ("network", "average", "optimizer")}
        self.samples = Samples(clips, config, self.rank)
        self.validation = validation_set(validation, whole=config.whole) if validation and self.rank == 0 else None
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="samples")
        self._ahead: tuple[int, Future[Batch]] | None = None

    def _train_step(self, stage: RestorationStage, within: int) -> dict[str, float]:
        batch = self._batch()
        self._set_rate(self.optimizer, stage, within)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            terms: dict[str, torch.Tensor] = self.objective(batch, stage.losses)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_NORM)
        if torch.isfinite(norm):
            self.optimizer.step()
        self._average()
        return {name: float(value.detach()) for name, value in terms.items()}

    def _batch(self) -> Batch:
        number, made = self._ahead or (-1, None)
        if made is None or number != self.step:
            made = self._make(self.step)
        if self.step + 1 < self.steps:
            self._ahead = self.step + 1, self._make(self.step + 1)
        return made.result()

    def _make(self, step: int) -> "Future[Batch]":
        stage = self.stage_at(step)[1]
        return self._maker.submit(self.samples.batch, step, stage.batch, stage.size)

    def _validate(self, stage: RestorationStage) -> RestorationScore | None:
        if self.validation is None:
            return None
        sheet = contact_sheet(self.average, self.validation, self.device)
        cv2.imwrite(str(self.out / f"sheet-{self.step:07d}.png"), sheet[:, :, ::-1])
        return validate(self.average, self.validation, self.device)
