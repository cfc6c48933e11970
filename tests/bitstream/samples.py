"""Values for the tests: strategies for every legal one, and the fields that stand behind tests/vectors/*.bin."""

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from talkcodec.bitstream import (
    AudioFormat,
    BasePicture,
    BaseRequest,
    BaseStart,
    BundledUnit,
    BundlePiece,
    Bye,
    Chat,
    Hello,
    KeyframeAck,
    KeyframePiece,
    KeyframeRequest,
    KeyframeUnit,
    Layer,
    Message,
    MotionBundle,
    MotionState,
    MotionSteps,
    MotionTable,
    MotionUnit,
    Presence,
    ReceiverReport,
    RecordingHeader,
    SoundClock,
    TimeBase,
    generic_table,
)
from talkcodec.coding import HeldReferences
from talkcodec.types import Crop, Motion

VECTORS = Path(__file__).parent.parent / "vectors"

STEPS = MotionSteps(32, 64)
TABLE = generic_table(2, True)  # 12 coefficients

u8, u16, u32, u64 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32, 64))
steps = st.builds(MotionSteps, st.integers(1, 4096), st.integers(1, 4096))
time_bases = st.builds(TimeBase, st.integers(1, 90_000), st.sampled_from([16, 32]))
names = st.text(max_size=64)

hellos = st.builds(
    Hello,
    model_hash=st.binary(min_size=8, max_size=8),
    picture_size=st.integers(1, 2048),
    keypoints=st.integers(1, 64),
    jacobians=st.booleans(),
    table_id=u16,
    steps=steps,
    time_base=time_bases,
    features=u32,
    creator=names,
    extras=st.lists(
        st.tuples(names, st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=256) | st.binary(max_size=256)),
        max_size=16,
    ).map(tuple),
    protocol_version=st.integers(1, 0xFFFF),
)


@st.composite
def pieces(draw: st.DrawFn) -> KeyframePiece:
    count = draw(st.integers(1, 239))
    index = draw(st.integers(0, count - 1))
    size = draw(st.integers(1, 1100)) if index == count - 1 else 1100
    return KeyframePiece(draw(u8), index, count, draw(st.binary(min_size=1, max_size=1)) * size)


@st.composite
def bundle_pieces(draw: st.DrawFn) -> BundlePiece:
    count = draw(st.integers(2, 64))
    return BundlePiece(draw(u16), draw(st.integers(0, count - 1)), count, draw(st.binary(min_size=1, max_size=1100)))


@st.composite
def bundles(draw: st.DrawFn) -> MotionBundle:
    payloads = draw(st.lists(st.binary(max_size=40), min_size=1, max_size=32))
    deltas = [0] + [draw(u32) for _ in payloads[1:]]
    return MotionBundle(draw(u8), draw(u16), draw(u32), tuple(map(BundledUnit, deltas, payloads)))


@st.composite
def layer_bundles(draw: st.DrawFn) -> MotionBundle:
    """With a base unit at least; any order of layers is legal."""
    layers = draw(st.lists(st.sampled_from(Layer), min_size=1, max_size=32).filter(lambda found: Layer.BASE in found))
    units = (
        BundledUnit(draw(u32) if number else 0, draw(st.binary(max_size=40)), layer)
        for number, layer in enumerate(layers)
    )
    return MotionBundle(draw(u8), draw(u16), draw(u32), tuple(units))


places = st.integers(-16384, 16384)
base_starts = st.builds(BaseStart, u8, st.builds(Crop, places, places, st.integers(1, 32768)))
base_pictures = st.builds(
    BasePicture,
    st.integers(0, 127),
    st.binary(min_size=1, max_size=60) | st.sampled_from([bytes(64 * 1024), b"\xff" * 64 * 1024]),
    st.none() | base_starts,
)

messages: st.SearchStrategy[Message] = st.one_of(
    hellos,
    pieces(),
    st.builds(KeyframeAck, u8),
    st.builds(KeyframeRequest, u8),
    bundles(),
    layer_bundles(),
    st.builds(ReceiverReport, u16, u64, *([u32] * 8)),
    st.builds(ReceiverReport, u16, u64, *([u32] * 10)),
    st.builds(Bye, u8, names),
    st.builds(SoundClock, u32, u32),
    st.builds(BaseRequest, u16),
    st.builds(Presence, *([st.booleans()] * 4), st.text(max_size=40)),
    st.builds(Chat, st.text(min_size=1, max_size=256)),
    bundle_pieces(),
)

tables = st.builds(generic_table, st.integers(1, 64), st.booleans())


def state_strategy(table: MotionTable, limit: int = 2**20 - 1) -> st.SearchStrategy[MotionState]:
    """Any legal state of a table, small values often; long ones by seed, since drawing each value is slow."""
    count = table.coefficients
    if count <= 12:
        value = st.integers(-3, 3) | st.integers(-40, 40) | st.integers(-limit, limit)
        return st.lists(value, min_size=count, max_size=count).map(lambda values: MotionState(tuple(values)))

    def seeded(seed: int, spread: float) -> MotionState:
        random = np.random.default_rng(seed)
        values = np.clip(random.laplace(0, 10**spread, count), -limit, limit).astype(np.int64)
        return MotionState(tuple(values.tolist()))

    return st.builds(seeded, u32, st.floats(-1, 6))


def random_motion(random: np.random.Generator, keypoints: int, jacobians: bool = True) -> Motion:
    """Keypoints in the picture, Jacobians around the identity."""
    return Motion(
        random.uniform(-1, 1, (keypoints, 2)).astype(np.float32),
        (np.eye(2) + 0.2 * random.normal(size=(keypoints, 2, 2))).astype(np.float32) if jacobians else None,
    )


def held_states() -> HeldReferences:
    """What the vectors' units are predicted from."""
    held = HeldReferences()
    held.store(7, MotionState((0, 1, -2, 3, 10, -20, 30, -40, 100, 0, 0, 5)), None)
    for sequence in (0, 99, 65535, 65500):
        held.add_unit(sequence, MotionState(tuple(range(sequence % 7, sequence % 7 + 12))))
    return held


def _state(*values: int) -> MotionState:
    return MotionState(values)


MESSAGE_VECTORS: dict[str, Message] = {
    "hello": Hello(bytes(range(8)), 256, 10, True, 1, STEPS, TimeBase(64, 16), creator="talkcodec"),
    "hello-extras": Hello(
        bytes(range(8)), 2048, 64, False, 65535, MotionSteps(1, 4096), TimeBase(3600, 32), 5, "é" * 64,
        (("session", b"\x00\xff"), ("weight", -3), ("name", "value")), 65535,
    ),
    "keyframe-piece": KeyframePiece(3, 1, 3, bytes(range(256)) * 4 + bytes(76)),
    "keyframe-piece-last": KeyframePiece(255, 238, 239, b"end"),
    "keyframe-ack": KeyframeAck(200),
    "keyframe-request": KeyframeRequest(3),
    "motion-bundle": MotionBundle(1, 65535, 40000, (BundledUnit(0, bytes(range(10))),)),
    "motion-bundle-three": MotionBundle(
        255, 2, 4294967295, (BundledUnit(0, b""), BundledUnit(56, b"\x01"), BundledUnit(300, b"abc"))
    ),
    "layer-bundle": MotionBundle(
        200, 65534, 4294967295,
        (
            BundledUnit(0, b"\x01\x02"), BundledUnit(0, b"\x0512", Layer.BASE),
            BundledUnit(240, b"\x06" + bytes(range(256)), Layer.BASE), BundledUnit(4294967295, b"", Layer.MOTION),
        ),
    ),
    "receiver-report": ReceiverReport(65535, (1 << 64) - 1, 1000, 50, 90, 40000, 12, 940, 8, 2),
    "receiver-report-way": ReceiverReport(65535, 0, 1000, 50, 90, 40000, 12, 940, 8, 2, 4294967295, 18_000),
    "bye": Bye(1, "model hash differs"),
    "sound-clock": SoundClock(4294967295, 90_000),
    "base-request": BaseRequest(65535),
    "bundle-piece": BundlePiece(65535, 1, 64, b"\x08piece"),
    "presence": Presence(True, False, True, False, "Zoë " + "x" * 36),
    "presence-away": Presence(False, False, False, True),
    "chat": Chat("<b>hello</b> \u202eé"),
}  # fmt: skip

MOTION_VECTORS: dict[str, MotionUnit] = {
    "motion-same-as-keyframe": MotionUnit(5, 0, 7, 0, _state(0, 1, -2, 3, 10, -20, 30, -40, 100, 0, 0, 5)),
    "motion-from-keyframe": MotionUnit(5, 0, 7, 0, _state(1, 1, -2, 3, 9, -20, 30, -38, 100, 0, 0, 5)),
    "motion-from-unit-before": MotionUnit(100, 0, 7, 1, _state(1, 2, 3, 4, 5, 6, 7, 9, 9, 11, 12, 13)),
    "motion-across-wrap": MotionUnit(3, 0, 7, 4, _state(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)),
    "motion-far": MotionUnit(35, 0, 7, 71, _state(*range(1, 13))),
    "motion-escapes": MotionUnit(5, 0, 7, 0, _state(1048575, -1048575, 0, 0, 0, 0, 0, 0, 0, 0, 77, -77)),
}

BASE_VECTORS: dict[str, BasePicture] = {
    "base": BasePicture(5, b"\x30 a picture"),
    "base-last-number": BasePicture(127, b"\x00"),
    "base-start": BasePicture(0, b"\x0a a sequence header, a picture", BaseStart(1, Crop(-12, 40, 700))),
    "base-start-largest-fields": BasePicture(127, b"\xff", BaseStart(255, Crop(-16384, 16384, 32768))),
}

KEYFRAME_VECTORS: dict[str, KeyframeUnit] = {
    "keyframe": KeyframeUnit(
        7, 1, 256, 256, Crop(-12, 40, 700), (1280, 720), _state(0, 1, -2, 3, 10, -20, 30, -40, 100, 0, 0, 5), b"picture"
    ),
    "keyframe-largest-fields": KeyframeUnit(
        255, 255, 2048, 2048, Crop(-16384, 16384, 32768), (16384, 16384), _state(*[1048575] * 12), bytes(300)
    ),
}

RECORDING_HEADER = RecordingHeader(
    Hello(bytes(range(8)), 256, 2, True, 0, STEPS, TimeBase(3600, 32), creator="vectors"),
    model_name="tiny",
    frame_ticks=3600,
    audio=AudioFormat(channels=2),
    metadata=(("title", "A face"),),
)
