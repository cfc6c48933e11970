"""msgpack arrays, bounded: the one door through which bytes of a peer or a file come in (docs/bitstream.md, 2)."""

from typing import Any

import msgpack

from talkcodec.errors import BitstreamError

__all__ = ["Value", "array", "binary", "boolean", "integer", "pack", "text", "unpack"]

Value = Any
"""A msgpack value whose type and range are not checked yet."""

MAX_ARRAY = 256


def pack(fields: list[Value]) -> bytes:
    """One msgpack array, every value in its shortest form."""
    packed: bytes = msgpack.packb(fields, use_bin_type=True)
    return packed


def unpack(data: bytes, limit_bytes: int, limit_values: int = MAX_ARRAY) -> list[Value]:
    """The fields of one msgpack array of at most `limit_values`, everything inside bounded by `limit_bytes`.

    Raises BitstreamError for anything else: other types, maps, extensions, trailing bytes, truncation.
    """
    if len(data) > limit_bytes:
        raise BitstreamError(f"message has {len(data)} bytes, at most {limit_bytes} are allowed")
    try:
        fields = msgpack.unpackb(
            data,
            raw=False,
            use_list=True,
            max_array_len=min(limit_values, len(data)),
            max_bin_len=len(data),
            max_str_len=len(data),
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise BitstreamError(f"message is not msgpack within bounds: {error}") from error
    if not isinstance(fields, list):
        raise BitstreamError(f"message is a {type(fields).__name__}, expected an array")
    return fields


def integer(value: Value, low: int, high: int, name: str) -> int:
    """The value if it is an integer in [low, high]; raises BitstreamError."""
    if type(value) is not int or not low <= value <= high:
        raise BitstreamError(f"{name} is {value!r:.40}, expected an integer from {low} to {high}")
    return value


def boolean(value: Value, name: str) -> bool:
    """The value if it is a boolean; raises BitstreamError."""
    if type(value) is not bool:
        raise BitstreamError(f"{name} is {value!r:.40}, expected true or false")
    return value


def binary(value: Value, low: int, high: int, name: str) -> bytes:
    """The value if it is binary of low to high bytes; raises BitstreamError."""
    if type(value) is not bytes or not low <= len(value) <= high:
        raise BitstreamError(f"{name} is {type(value).__name__}, expected {low} to {high} bytes")
    return value


def text(value: Value, high: int, name: str) -> str:
    """The value if it is a string of at most `high` characters; raises BitstreamError."""
    if type(value) is not str or len(value) > high:
        raise BitstreamError(f"{name} is {type(value).__name__}, expected a string of at most {high} characters")
    return value


def array(value: Value, low: int, high: int, name: str) -> list[Value]:
    """The value if it is an array of low to high values; raises BitstreamError."""
    if type(value) is not list or not low <= len(value) <= high:
        raise BitstreamError(f"{name} is {type(value).__name__}, expected an array of {low} to {high}")
    return value
