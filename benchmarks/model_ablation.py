"""What each idea of the research line is worth: one switch at a time, equal small budgets, same pairs.

    python benchmarks/model_ablation.py --data TRAIN --validation VAL --out runs/ablation

Trains a reduced light network for each row and measures it on the validation clips, from their first
frame coded as a keyframe. Landmark error (AKD) needs the evaluation's instruments; without them that
column is empty. Prints a Markdown table and writes rows.json; finished rows are not trained again.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress

from talkcodec.errors import TalkcodecError
from talkcodec.model.config import LiteNetworks, ModelConfig
from talkcodec.model.lite import LiteNetwork
from talkcodec.training.config import LossWeights, Stage, TrainingConfig
from talkcodec.training.data import Clip, build_cache, load_cache
from talkcodec.training.trainer import Trainer
from talkcodec.training.validate import to_tensor

SIZE = 128
BASE = ModelConfig(
    picture_size=SIZE,
    lite=LiteNetworks(
        motion_size=32,
        detector_channels=(16, 32, 48, 64),
        dense_channels=(24, 32, 48, 64),
        channels=(16, 24, 32, 48),
        bottleneck_blocks=1,
    ),
)
PLAIN = LossWeights()
MATCHING = replace(PLAIN, feature_matching=1.0, adversarial=0.02)
ROWS: dict[str, tuple[ModelConfig, LossWeights]] = {
    "base: first order, deformable skips, one reference": (BASE, PLAIN),
    "zeroth order (no Jacobians)": (replace(BASE, jacobians=False), PLAIN),
    "bottleneck skips": (replace(BASE, lite=replace(BASE.lite, skips="bottleneck")), PLAIN),
    "two references, attention": (replace(BASE, lite=replace(BASE.lite, references=2)), PLAIN),
    "+ adversarial and feature matching": (BASE, MATCHING),
    "+ the same and nearest neighbour": (BASE, replace(MATCHING, nearest_neighbour=2.0)),
}


@torch.no_grad()
def generate_clip(network: LiteNetwork, clip: Clip, chosen: np.ndarray) -> np.ndarray:
    """The chosen frames from the first keyframe, and from the last one too where two are fused."""
    device = next(network.parameters()).device
    driving = to_tensor(clip.frames[chosen], SIZE, device)
    references = []
    for number in range(network.config.lite.references):
        source = to_tensor(clip.keyframes[[0, -1][number]][None], SIZE, device)
        reference = network.encode_reference(source, *network.detect(source))
        references.append(tuple(t.expand(len(chosen), *t.shape[1:]) for t in reference))
    prediction = network.fuse(references, *network.detect(driving)).prediction
    return (prediction.movedim(1, -1).clamp(0, 1) * 255).round().byte().cpu().numpy()


def measure(network: LiteNetwork | None, clips: list[Clip], frames: int) -> dict[str, float | None]:
    """Means over clips; network None means copying the keyframe."""
    try:
        from eval.instruments import open_instruments
        from eval.metrics import observe, score_clip

        instruments = open_instruments(identity="none")
    except (ImportError, TalkcodecError) as error:
        raise SystemExit(f"the measurement needs the evaluation's instruments: {error}") from error
    rows = []
    for clip in clips:
        chosen = np.linspace(0, len(clip.frames) - 1, min(frames, len(clip.frames))).round().astype(int)
        truth = (to_tensor(clip.frames[chosen], SIZE, torch.device("cpu")).movedim(1, -1) * 255).round().byte().numpy()
        if network is None:
            source = to_tensor(clip.keyframes[:1], SIZE, torch.device("cpu")).movedim(1, -1)
            made = np.repeat((source * 255).round().byte().numpy(), len(chosen), 0)
        else:
            made = generate_clip(network, clip, chosen)
        # The instruments see the size that they were made for.
        big_truth, big_made = (np.repeat(np.repeat(x, 2, 1), 2, 2) for x in (truth, made))
        seen = observe(big_truth, instruments)
        scores = score_clip(big_truth, big_made, instruments, reference=seen).strict
        rows.append((scores.l1, scores.psnr_db, scores.ssim, np.nan if scores.akd_px is None else scores.akd_px))
    l1, psnr, ssim, akd = np.nanmean(np.array(rows, dtype=float), axis=0)
    return {"l1": float(l1), "psnr_db": float(psnr), "ssim": float(ssim), "akd_px": float(akd)}


def train(trainer: Trainer, name: str) -> None:
    with Progress() as bar:
        task = bar.add_task(name, total=trainer.steps)
        trainer.run(lambda at: bar.update(task, completed=at.step))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of training clips")
    parser.add_argument("--validation", type=Path, required=True, help="folder of clips of other people")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="decoded clips (default: OUT/cache)")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--frames", type=int, default=10, help="frames measured of each clip")
    arguments = parser.parse_args()
    cache = arguments.cache or arguments.out / "cache"
    for name, folder in (("train", arguments.data), ("validation", arguments.validation)):
        build_cache(folder, cache / name, 256, 16)
    clips, held_out = load_cache(cache / "train"), load_cache(cache / "validation")
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "rows.json"
    rows = json.loads(path.read_text()) if path.exists() else {}
    if "copy the keyframe" not in rows:
        rows["copy the keyframe"] = measure(None, held_out, arguments.frames)
    for number, (name, (model, weights)) in enumerate(ROWS.items()):
        if name in rows:
            continue
        stage = Stage(size=SIZE, steps=arguments.steps, batch=arguments.batch, rate=1e-3, weights=weights)
        config = TrainingConfig(model, (stage,), validate_every=10**9, checkpoint_every=10**9)
        folder = arguments.out / str(number)
        folder.mkdir(exist_ok=True)
        trainer = Trainer(config, clips, [], folder)
        train(trainer, name)
        rows[name] = measure(trainer.average.eval(), held_out, arguments.frames)
        path.write_text(json.dumps(rows, indent=1))
    path.write_text(json.dumps(rows, indent=1))
    print(f"\n{arguments.steps} steps of {arguments.batch} pairs at {SIZE}x{SIZE}, {len(held_out)} validation clips\n")
    print("| variant | L1 | PSNR dB | SSIM | AKD px at 256 |\n|---|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row['l1']:.4f} | {row['psnr_db']:.2f} | {row['ssim']:.3f} | {row['akd_px']:.2f} |")


if __name__ == "__main__":
    main()
