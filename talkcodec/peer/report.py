"""What a call looks like from outside: one snapshot a second, as a line for a person and as JSON for a program."""

import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from talkcodec.errors import UsageError
from talkcodec.peer.conventional import leanest_conventional_kbps
from talkcodec.peer.meters import RateMeter
from talkcodec.peer.peer import Peer

__all__ = ["CallMeter", "CallStats", "StatsFile", "status_line"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallStats:
    """One second of a call. Rates in kbit/s; "wire" includes IP, UDP, DTLS, SCTP and RTP, up is away from here.

    fps: units sent, or pictures generated and shown. shown_fps: frames a second that are to be
    shown, fewer than captured where generating is slow; left_out: captured frames that were not shown for that.
    payload: units, keyframes, control. sound_kbps_up: the voice that is sent, in packets of sound_frame_ms.
    budget_kbps: of all that is sent; budget_share: of it what the network carries at present. conventional_kbps: what
    the leanest conventional call would send in its place.
    first_timestamp: 90 kHz time of the source's start (sender) or of the first picture shown (receiver).
    None: not known on this side, or not yet.
    """

    time_s: float
    state: str
    fps: float = 0.0
    payload_kbps_up: float = 0.0
    payload_kbps_down: float = 0.0
    sound_kbps_up: float | None = None
    wire_kbps_up: float = 0.0
    wire_kbps_down: float = 0.0
    rtt_ms: float | None = None
    loss: float | None = None
    keyframe_age_s: float | None = None
    keyframe_bytes: int = 0
    encode_ms: float | None = None
    generate_ms: float | None = None
    latency_ms_p50: float | None = None
    latency_ms_p95: float | None = None
    playout_delay_ms: float | None = None
    jitter_ms: float | None = None
    lip_sync_ms_p95: float | None = None
    bundle: int | None = None
    motion_fps: float | None = None
    units: int = 0
    lost: int = 0
    exact: int = 0
    concealed: int = 0
    frozen: int = 0
    interpolated: int = 0
    dropped_frames: int = 0
    shown_fps: float | None = None
    left_out: int = 0
    malformed: int = 0
    rung: str | None = None
    carrier: str | None = None
    sound_frame_ms: int | None = None
    budget_kbps: float | None = None
    budget_share: float | None = None
    conventional_kbps: float | None = None
    face_visible: bool | None = None
    first_timestamp: int | None = None


class CallMeter:
    """Makes CallStats of a peer, once a second."""

    def __init__(self) -> None:
        self._rates = {
            name: RateMeter() for name in ("fps", "payload_up", "payload_down", "wire_up", "wire_down", "sound")
        }
        self._lost = (0, 0)

    async def read(self, peer: Peer, state: str, first_timestamp: int | None = None) -> CallStats:
        """The present state of a peer. first_timestamp: of what it sends, where it receives nothing."""
        now_s = time.monotonic()
        traffic = peer.link.transport.traffic
        wire_up, wire_down = await peer.connection.wire_bytes() or (traffic.wire_up_bytes, traffic.wire_down_bytes)
        sending, receiving = peer.sending, peer.receiving
        values: dict[str, object] = {}
        frames = 0
        if sending is not None:
            counts, plan = sending.session.counts, sending.session.plan
            frames = counts.units_sent
            values.update(
                rtt_ms=counts.rtt_ms, loss=counts.loss, keyframe_age_s=_age(sending.keyframe_sent_s, now_s),
                keyframe_bytes=counts.keyframe_bytes, encode_ms=sending.encode_ms.at(0.5), bundle=plan.bundle,
                motion_fps=sending.config.sender.capture_fps / plan.every, units=counts.units_sent,
                dropped_frames=sending.dropped_frames, face_visible=sending.face_visible,
                rung=sending.rung.value, carrier=peer.carrier, budget_kbps=peer.config.budget_kbps,
                budget_share=sending.session.budget_share,
            )  # fmt: skip
            if peer.sound_sent is not None:
                coded_bytes, frame_ms = peer.sound_sent
                sound_kbps = self._rates["sound"].update(coded_bytes, now_s) * 8 / 1000
                values.update(sound_kbps_up=sound_kbps, sound_frame_ms=frame_ms)
                if peer.aimed_bps is not None:
                    theirs_kbps = leanest_conventional_kbps(peer.aimed_bps / 1000, sound_kbps, frame_ms)
                    values.update(conventional_kbps=theirs_kbps)
        if receiving is not None:
            session, played = receiving.session, receiving.session.played
            frames = receiving.generated
            values.update(
                loss=self._new_loss(session.counts.units, session.counts.lost),
                keyframe_age_s=_age(receiving.keyframe_ready_s, now_s), keyframe_bytes=session.counts.keyframe_bytes,
                generate_ms=receiving.generate_ms.at(0.5), latency_ms_p50=receiving.latency_ms.at(0.5),
                latency_ms_p95=receiving.latency_ms.at(0.95), playout_delay_ms=session.jitter_buffer.delay_ms,
                jitter_ms=session.counts.jitter_ms, units=session.counts.units, lost=session.counts.lost,
                exact=played.exact, concealed=played.concealed, frozen=played.frozen,
                interpolated=played.interpolated, dropped_frames=receiving.dropped_frames,
                shown_fps=receiving.shown_fps, left_out=played.left_out,
            )  # fmt: skip
        rates = self._rates
        return CallStats(
            time_s=round(time.time(), 3),
            state=state,
            fps=rates["fps"].update(frames, now_s),
            payload_kbps_up=rates["payload_up"].update(traffic.sent_bytes, now_s) * 8 / 1000,
            payload_kbps_down=rates["payload_down"].update(traffic.received_bytes, now_s) * 8 / 1000,
            wire_kbps_up=rates["wire_up"].update(wire_up, now_s) * 8 / 1000,
            wire_kbps_down=rates["wire_down"].update(wire_down, now_s) * 8 / 1000,
            lip_sync_ms_p95=peer.lip_sync.error_ms.at(0.95),
            malformed=peer.link.malformed,
            first_timestamp=first_timestamp if peer.first_timestamp is None else peer.first_timestamp,
            **values,  # type: ignore[arg-type]
        )

    def _new_loss(self, units: int, lost: int) -> float:
        before_units, before_lost = self._lost
        self._lost = (units, lost)
        new_units, new_lost = units - before_units, max(0, lost - before_lost)
        return new_lost / (new_units + new_lost) if new_units + new_lost > 0 else 0.0


def _age(since_s: float | None, now_s: float) -> float | None:
    return None if since_s is None else now_s - since_s


class StatsFile:
    """Writes one JSON object a line. A disk that fills up ends the statistics, not the call."""

    def __init__(self, path: Path | None) -> None:
        self._file: IO[str] | None = None
        if path is not None:
            try:
                self._file = path.open("w", encoding="utf-8")
            except OSError as error:
                raise UsageError(f"--stats {path}: {error}") from error

    def write(self, stats: CallStats) -> None:
        """Append a line; figures are rounded to three decimals."""
        if self._file is not None:
            row = {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(stats).items()}
            try:
                self._file.write(json.dumps(row) + "\n")
                self._file.flush()
            except OSError as error:
                logger.warning("%s: no more statistics are written (%s)", self._file.name, error)
                self._file = None

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()


def status_line(stats: CallStats) -> str:
    """One line for a person."""
    parts = [stats.state, f"{stats.fps:.0f} fps"]
    parts.append(f"wire ↑{stats.wire_kbps_up:.1f} ↓{stats.wire_kbps_down:.1f} kbit/s")
    parts.append(f"picture ↑{stats.payload_kbps_up:.1f} ↓{stats.payload_kbps_down:.1f}")
    if stats.sound_kbps_up is not None:
        parts.append(f"voice ↑{stats.sound_kbps_up:.1f}")
    if stats.conventional_kbps is not None:
        parts.append(f"leanest conventional call ↑{stats.conventional_kbps:.1f}")
    if stats.rung is not None:
        parts.append(f"{stats.rung} rung")
    for label, value, unit in (
        ("RTT", stats.rtt_ms, "ms"),
        ("encode", stats.encode_ms, "ms"),
        ("generate", stats.generate_ms, "ms"),
        ("latency", stats.latency_ms_p50, "ms"),
        ("lip sync", stats.lip_sync_ms_p95, "ms"),
        ("keyframe", stats.keyframe_age_s, "s old"),
    ):
        if value is not None:
            parts.append(f"{label} {value:.0f} {unit}")
    if stats.loss is not None:
        parts.append(f"loss {100 * stats.loss:.0f} %")
    if stats.exact:
        parts.append(f"exact/concealed/frozen {stats.exact}/{stats.concealed}/{stats.frozen}")
    if stats.shown_fps is not None and stats.left_out:
        parts.append(f"shows {stats.shown_fps:.3g} frames a second, as this machine can")
    if stats.bundle is not None and stats.rung == "motion":
        parts.append(f"{stats.bundle} units a message at {stats.motion_fps:g} fps")
    if stats.face_visible is False:
        parts.append("NO FACE")
    return " · ".join(parts)
