"""`eval ablation`: what each switch of the codec, and each of several models, is worth beside the default."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.points import Point, make_point
from eval.report.tables import METRICS, Table
from eval.rows import Row
from eval.summary import bootstrap_mean
from talkcodec.errors import ModelError, UsageError

__all__ = ["Switch", "ablation_table", "switches"]

_COMPARED = ("l1", "psnr_db", "akd_px", "aed")


@dataclass(frozen=True)
class Switch:
    """A change of the default and the point that measures it."""

    name: str
    point: Point


def switches(model: str, models_dir: Path | None = None) -> list[Switch]:
    """The default first, then the codec's switches, then one model file of `models_dir` each.

    Model switches (zeroth or first order, skips, references, losses) lie in the weights, so that each is a file trained
    for it. Raises ModelError when the folder has none.
    """
    found = [
        Switch("default", make_point("talkcodec", model=model)),
        Switch("no Jacobians", make_point("talkcodec", model=model, jacobians=0)),
        *(
            Switch(f"steps {kp}, {2 * kp}", make_point("talkcodec", model=model, kp=kp, jac=2 * kp))
            for kp in (8, 64, 128)
        ),
        Switch("motion for each 2nd frame", make_point("talkcodec", model=model, every=2, bundle=2)),
        Switch("keyframe each 2 s", make_point("talkcodec", model=model, interval=2.0)),
        Switch("keyframe when L1 > 0.05", make_point("talkcodec", model=model, refresh=0.05)),
        Switch("keyframe quality 15", make_point("talkcodec", model=model, quality=15)),
        Switch("keyframe quality 75", make_point("talkcodec", model=model, quality=75)),
        Switch("true keyframe, motion not quantised", make_point("talkcodec", model=model, quality=-1)),
    ]
    if models_dir is not None:
        files = sorted(models_dir.glob("*.safetensors"))
        if not files:
            raise ModelError(f"no *.safetensors in {models_dir}")
        found += [Switch(f"model {file.stem}", make_point("talkcodec", model=str(file))) for file in files]
    return found


def ablation_table(rows: Sequence[Row], measured: Sequence[Switch]) -> Table:
    """Differences to the default, clip by clip, with 95 % bootstrap intervals over clips."""
    scores = {(row.clip, row.point): row for row in rows if not row.error}
    base = measured[0].point.key
    clips = sorted(clip for clip, point in scores if point == base)
    if not clips:
        raise UsageError("the default was measured on no clip; see the errors in the results")
    lines = []
    for switch in measured:
        pairs = [
            (scores[clip, base], scores[clip, switch.point.key]) for clip in clips if (clip, switch.point.key) in scores
        ]
        rates = [
            sum(row.rates[rate] for _, row in pairs) / max(len(pairs), 1) / 1000 for rate in ("payload_bps", "wire_bps")
        ]
        cells = [_difference(pairs, metric, switch is measured[0]) for metric in _COMPARED]
        lines.append([switch.name, str(len(pairs)), *(f"{rate:.1f}" for rate in rates), *cells])
    header = ["switch", "clips", "payload", "wire both", *(METRICS[metric][0] for metric in _COMPARED)]
    note = (
        "The first line is the default, strict mode. Below it: differences to the default on the same clips, 95 % "
        "bootstrap interval over clips in brackets; an interval without 0 is a difference that another draw of such "
        "clips would show too. Rates in kbit/s."
    )
    return Table("Ablation", note, header, lines)


def _difference(pairs: Sequence[tuple[Row, Row]], metric: str, is_base: bool) -> str:
    digits = METRICS[metric][1]
    values = [
        changed.strict[metric] - (0 if is_base else base.strict[metric])
        for base, changed in pairs
        if base.strict[metric] is not None and changed.strict[metric] is not None
    ]
    interval = bootstrap_mean(values)
    if interval.count == 0:
        return "-"
    sign = "" if is_base else "+"
    return f"{interval.mean:{sign}.{digits}f} [{interval.low:{sign}.{digits}f}, {interval.high:{sign}.{digits}f}]"
