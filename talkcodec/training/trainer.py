"""A step of the motion model's training: pairs, disturbed, through the objective; the rest is `loop.Loop`."""

import logging
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from talkcodec.errors import ConfigError
from talkcodec.model.lite import LiteNetwork
from talkcodec.training.augment import jitter_rows, zoom_some
from talkcodec.training.config import Stage, TrainingConfig
from talkcodec.training.data import Clip, Pairs
from talkcodec.training.discriminator import Discriminator
from talkcodec.training.loop import Loop
from talkcodec.training.losses import adversarial_discriminator
from talkcodec.training.objective import Objective
from talkcodec.training.validate import Score, contact_sheet, to_tensor, validate

__all__ = ["Trainer"]

logger = logging.getLogger(__name__)


class Trainer(Loop[Stage]):
    """Trains one LiteNetwork."""

    network: LiteNetwork
    average: LiteNetwork

    def __init__(self, config: TrainingConfig, clips: list[Clip], validation: list[Clip], out: Path) -> None:
        super().__init__(config, config.stages, out)
        self.config, self.validation = config, validation
        self.network = LiteNetwork(config.model).to(self.device)
        self.average = LiteNetwork(config.model).to(self.device).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        self.discriminator = Discriminator().to(self.device)
        self.objective: nn.Module = Objective(self.network, config).to(self.device)
        if self.world > 1:
            self.objective = DistributedDataParallel(
                self.objective, device_ids=[self.local] if self.cuda else None, find_unused_parameters=True
            )
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3, betas=(0.9, 0.99))
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4, betas=(0.5, 0.9))
        if config.needs_landmarks and all(clip.landmarks is None for clip in clips):
            raise ConfigError("guide and face_focus need landmarks: give --landmarks FILE")
        self.pairs = Pairs(clips, config.seed, self.rank, config.near_share)
        self.kept = {
            name: getattr(self, name) for name in ("network", "average", "discriminator", "optimizer", "optimizer_d")
        }

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
        self._set_rate(self.optimizer, stage, within)
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
        self._average()
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

    def _validate(self, stage: Stage) -> Score | None:
        if not self.validation:
            return None
        import cv2

        score, _ = validate(self.average, self.validation, stage.size, self.device)
        shown = self.validation[:: max(1, len(self.validation) // 8)][:8]
        sheet = contact_sheet(self.average, shown, stage.size, self.device)
        cv2.imwrite(str(self.out / f"sheet-{self.step:07d}.png"), sheet[:, :, ::-1])
        return score
