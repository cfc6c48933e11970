"""Everything that the page shows, once a second, as one JSON object."""

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from call.conversation import Conversation
from call.options import CALL_FPS
from call.pace import Load, PaceControl
from call.quality import judge
from call.talk import Talk
from call.words import Phase
from talkcodec.peer.meters import RateMeter
from talkcodec.peer.report import CallMeter

if TYPE_CHECKING:
    from talkcodec.runtime import Engine

__all__ = ["Status", "StatusMeter"]


@dataclass(frozen=True, slots=True)
class Status:
    """Rates in kbit/s on the wire, with IP, UDP, DTLS, SCTP and RTP; up is away from here. None: not known (yet).

    peer_*: what the other side says of itself; peer_speaks: it reads what we say of ourselves, and chat.
    chat: number of the newest line. recorded: the last finished recording.
    kbps_*: the whole call. voice_kbps: the coded voice in it, away from here. rung, carrier, budget_kbps: as in
    peer.report.CallStats. total_*: of the last call, once it is over.
    picture_*: keyframes, motion and their acknowledgements; sound_*: the rest. conventional_kbps: as in CallStats.
    latency_ms: from the peer's camera to our screen, without the two pages' own delays; latency_measured: False when
    the two machines' clocks differ and it is put together from the round trip and the delays on this side.
    """

    phase: str
    text: str
    invitation: str | None
    command: str | None
    reachable: bool
    model: str
    machine: str
    source: str | None
    camera: bool
    microphone: bool
    keypoints: bool
    self_view: bool
    recording: str | None
    recorded: str | None
    capture_width_px: int
    capture_fps: int
    name: str
    peer_name: str
    peer_here: bool
    peer_camera: bool
    peer_microphone: bool
    peer_recording: bool
    peer_speaks: bool
    ringing: bool
    chat: int
    total_seconds: float | None
    total_kbps_up: float
    total_kbps_down: float
    total_bytes: int
    budget_kbps: float | None
    quality_bars: int = 0
    quality: str = ""
    kbps_up: float = 0.0
    kbps_down: float = 0.0
    voice_kbps: float | None = None
    rung: str | None = None
    carrier: str | None = None
    keyframes_sent: int = 0
    keyframes_received: int = 0
    face_visible: bool | None = None
    seconds: float | None = None
    calls: int = 0
    picture_kbps_up: float = 0.0
    picture_kbps_down: float = 0.0
    sound_kbps_up: float = 0.0
    sound_kbps_down: float = 0.0
    conventional_kbps: float | None = None
    fps_sent: float = 0.0
    fps_shown: float = 0.0
    fps_wanted: float = CALL_FPS
    latency_ms: float | None = None
    latency_measured: bool = False
    rtt_ms: float | None = None
    loss_up: float | None = None
    loss_down: float | None = None
    keyframe_age_s: float | None = None
    concealed: int = 0
    frozen: int = 0
    encode_ms: float | None = None
    generate_ms: float | None = None


class StatusMeter:
    """Reads a conversation once a second; also drives the pace of this machine."""

    def __init__(self, engine: "Engine", conversation: Conversation) -> None:
        self._engine, self._conversation = engine, conversation
        self._pace = PaceControl()
        self._restart(None)
        self.status = Status(**self._head(), text="Starting.")  # type: ignore[arg-type]
        self.source: str | None = None

    def _restart(self, call: Talk | None) -> None:
        self._call = call
        self._meter = CallMeter()
        names = ("up", "down", "shown", "sent")
        self._rates = {name: RateMeter() for name in names}
        self._dropped = self._drawn_before = self._draw_dropped = 0

    def _head(self) -> dict[str, object]:
        conversation = self._conversation
        stage, invitation = conversation.stage, conversation.invitation
        switches, pace = stage.switches, self._pace.pace
        recording, company, summary, call = (
            stage.recording,
            conversation.company,
            conversation.summary,
            conversation.call,
        )
        theirs = company.theirs
        return {
            "recorded": None if stage.recorded is None else str(stage.recorded.resolve()),
            "name": company.name,
            "peer_name": company.their_name,
            "peer_here": conversation.peer_here,
            "peer_camera": theirs is None or theirs.camera,
            "peer_microphone": theirs is None or theirs.microphone,
            "peer_recording": call is not None and theirs is not None and theirs.recording,
            "peer_speaks": call is not None and call.peer.reads_people,
            "ringing": conversation.ringing,
            "chat": company.written,
            "total_seconds": None if summary is None else summary.seconds,
            "total_kbps_up": 0.0 if summary is None else summary.kbps[0],
            "total_kbps_down": 0.0 if summary is None else summary.kbps[1],
            "total_bytes": 0 if summary is None else summary.up_bytes + summary.down_bytes,
            "phase": conversation.phase.value,
            "invitation": None if invitation is None else str(invitation),
            "command": None if invitation is None else invitation.command,
            "reachable": conversation.reachable,
            "model": f"{self._engine.name}, {self._engine.config.picture_size} px",
            "machine": self._pace.text,
            "source": getattr(self, "source", None),
            "camera": switches.camera,
            "microphone": switches.microphone,
            "keypoints": switches.keypoints,
            "self_view": switches.self_view,
            "recording": None if recording is None else str(recording.path.resolve()),
            "capture_width_px": pace.capture_width_px,
            "capture_fps": round(CALL_FPS),
            "calls": conversation.calls,
            "budget_kbps": conversation.options.peer.budget_kbps,
        }

    def refresh(self) -> Status:
        """The last figures under the present state: after a button, before the next second."""
        same = self._conversation.call is self._call is not None  # figures do not outlive their call
        values = (asdict(self.status) if same else {}) | self._head() | {"text": self._conversation.text}
        self.status = Status(**values)
        return self.status

    async def read(self) -> Status:
        """Measure; to be called once a second."""
        conversation, call = self._conversation, self._conversation.call
        if call is not self._call:
            self._restart(call)
        values = self._head() | {"text": conversation.text}
        if call is not None and call.peer.agreed.is_set():
            values |= await self._measure(call)
        self.status = Status(**values)  # type: ignore[arg-type]
        return self.status

    async def _measure(self, call: Talk) -> dict[str, object]:
        now_s = time.monotonic()
        stats = await self._meter.read(call.peer, self._conversation.phase.value)
        rates, peer, stage = self._rates, call.peer, self._conversation.stage
        traffic = peer.link.transport.traffic
        up = rates["up"].update(traffic.wire_up_bytes, now_s) * 8 / 1000
        down = rates["down"].update(traffic.wire_down_bytes, now_s) * 8 / 1000
        shown = rates["shown"].update(stage.frames_shown, now_s)
        sending, receiving = peer.sending, peer.receiving
        values: dict[str, object] = {
            "kbps_up": stats.wire_kbps_up,
            "kbps_down": stats.wire_kbps_down,
            "voice_kbps": stats.sound_kbps_up,
            "conventional_kbps": stats.conventional_kbps,
            "rung": stats.rung,
            "carrier": stats.carrier,
            "picture_kbps_up": up,
            "picture_kbps_down": down,
            "sound_kbps_up": max(0.0, stats.wire_kbps_up - up),
            "sound_kbps_down": max(0.0, stats.wire_kbps_down - down),
            "fps_shown": shown,
            "rtt_ms": stats.rtt_ms,
            "loss_down": stats.loss,
            "keyframe_age_s": stats.keyframe_age_s,
            "concealed": stats.concealed,
            "frozen": stats.frozen,
            "encode_ms": stats.encode_ms,
            "generate_ms": stats.generate_ms,
            "latency_ms": stats.latency_ms_p50,
            "latency_measured": stats.latency_ms_p50 is not None,
            "seconds": None if self._conversation.since_s is None else now_s - self._conversation.since_s,
        }
        if sending is not None:
            counts = sending.session.counts
            values["fps_sent"] = rates["sent"].update(counts.units_sent, now_s)
            values["loss_up"] = counts.loss
            values["keyframes_sent"] = counts.keyframes_sent
            values["face_visible"] = sending.face_visible
        if receiving is not None and stats.latency_ms_p50 is None and stats.rtt_ms is not None:
            values["latency_ms"] = (
                stats.rtt_ms / 2
                + receiving.session.jitter_buffer.delay_ms
                + (stats.encode_ms or 0)
                + (stats.generate_ms or 0)
            )
        if receiving is not None:
            values["keyframes_received"] = receiving.session.counts.keyframes
        quality = judge(
            bad_network=self._conversation.phase is Phase.BAD_NETWORK,
            loss=max(
                (value for value in (stats.loss, values.get("loss_up")) if isinstance(value, float)), default=None
            ),
            rtt_ms=stats.rtt_ms,
            slowed=bool(self._pace.text),
            shown=None if stats.shown_fps is None else stats.shown_fps / CALL_FPS,
        )
        values |= {"quality_bars": quality.bars, "quality": quality.word}
        if sending is not None and receiving is not None:
            missed = receiving.dropped_frames + receiving.session.played.left_out
            self._set_pace(stats.encode_ms, sending.dropped_frames, missed)
        return values

    def _set_pace(self, encode_ms: float | None, dropped: int, draw_dropped: int) -> None:
        stage = self._conversation.stage
        drawn = stage.frames_shown
        load = Load(
            encode_ms,
            dropped - self._dropped,
            drawn - self._drawn_before if self._drawn_before else 0,
            draw_dropped - self._draw_dropped,
        )
        self._dropped, self._drawn_before, self._draw_dropped = dropped, drawn, draw_dropped
        stage.pace = self._pace.update(load)
