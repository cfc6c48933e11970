"""The handshake's parameters: made from an engine and a configuration, and checked against an engine."""

from typing import TYPE_CHECKING

from talkcodec.bitstream import Hello, MotionTable, TimeBase, agree, load_table, table_for_model
from talkcodec.codec.config import DecoderConfig, EncoderConfig

if TYPE_CHECKING:
    from talkcodec.runtime import Engine  # not at run time: the codec itself needs no torch

__all__ = ["accept_hello", "hello_for"]


def hello_for(
    engine: "Engine", config: EncoderConfig, *, creator: str = "", time_base: TimeBase | None = None
) -> Hello:
    """What a decoder must know of the streams that an Encoder with this engine and configuration writes."""
    table = table_of(engine, config.table_id)
    return Hello(
        model_hash=engine.model_hash[:8],
        picture_size=engine.config.picture_size,
        keypoints=table.keypoints,
        jacobians=table.jacobians,
        table_id=table.table_id,
        steps=config.steps,
        time_base=time_base or TimeBase(),
        creator=creator,
    )


def accept_hello(engine: "Engine", hello: Hello) -> DecoderConfig:
    """The decoder configuration for a stream of whoever says this Hello. Raises MismatchError as `agree`."""
    agree(hello_for(engine, EncoderConfig()), hello)
    return DecoderConfig(steps=hello.steps, table_id=hello.table_id)


def table_of(engine: "Engine", table_id: int | None) -> MotionTable:
    """The motion table with this id, or the newest that fits the engine's model."""
    keypoints, jacobians = engine.config.keypoints, engine.config.jacobians
    if table_id is None:
        return table_for_model(engine.name, keypoints, jacobians)
    return load_table(table_id, keypoints, jacobians)
