"""Wrap-around arithmetic by name, and the 90 kHz media clock (RFC 3550, section 5.1)."""

__all__ = ["CLOCK_HZ", "seq16_add", "seq16_diff", "seq16_gt", "ticks", "time32_diff"]

CLOCK_HZ = 90_000


def ticks(seconds: float) -> int:
    """Seconds to 90 kHz ticks, wrapped to 32 bits."""
    return round(seconds * CLOCK_HZ) & 0xFFFFFFFF


def seq16_add(sequence: int, count: int) -> int:
    """Sequence number `count` after (or, negative, before) `sequence`."""
    return (sequence + count) & 0xFFFF


def seq16_diff(later: int, earlier: int) -> int:
    """Signed distance later - earlier in [-32768, 32767] (RFC 1982)."""
    return ((later - earlier + 0x8000) & 0xFFFF) - 0x8000


def seq16_gt(later: int, earlier: int) -> bool:
    """True when `later` comes after `earlier`."""
    return seq16_diff(later, earlier) > 0


def time32_diff(later: int, earlier: int) -> int:
    """Signed distance of two 32-bit timestamps in ticks, in [-2**31, 2**31 - 1]."""
    return ((later - earlier + 0x80000000) & 0xFFFFFFFF) - 0x80000000
