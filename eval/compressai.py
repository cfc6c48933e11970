"""Results in CompressAI's schema, one file a curve, so that `python -m compressai.utils.plot -f ...` draws them."""

import json
import re
from pathlib import Path
from typing import Any

from eval.rows import Row
from eval.summary import Mean, summarise

__all__ = ["export"]


def export(rows: list[Row], folder: Path) -> list[Path]:
    """Write one JSON file a curve into `folder`; rates are payload bits a pixel, scores the strict means over clips.

    `msssim` and `psnr` are named as the plot tool asks for them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    curves: dict[str, list[Mean]] = {}
    for mean in summarise(rows):
        curves.setdefault(mean.curve, []).append(mean)
    written = []
    for curve, means in curves.items():
        path = folder / (re.sub(r"[^A-Za-z0-9]+", "-", curve).strip("-") + ".json")
        path.write_text(json.dumps(_document(curve, means), indent=1) + "\n", encoding="utf-8")
        written.append(path)
    return written


def _document(curve: str, means: list[Mean]) -> dict[str, Any]:
    ordered = sorted(means, key=lambda mean: mean.rate("payload_bps"))
    results: dict[str, list[float | None]] = {
        "bpp": [mean.bits_per_pixel for mean in ordered],
        "psnr": [mean.value("psnr_db") for mean in ordered],
        "msssim": [mean.value("ms_ssim") for mean in ordered],
        "ssim": [mean.value("ssim") for mean in ordered],
        "l1": [mean.value("l1") for mean in ordered],
        "akd": [mean.value("akd_px") for mean in ordered],
        "aed": [mean.value("aed") for mean in ordered],
    }
    return {"name": curve, "description": "strict mode, mean over clips", "results": results}
