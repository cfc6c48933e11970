"""Short timestamps: the bits of a 90 kHz time that a receiver cannot guess (docs/bitstream.md, section 8.2)."""

from dataclasses import dataclass

from talkcodec.errors import ConfigError

__all__ = ["TimeBase"]

MAX_TICKS = 90_000


@dataclass(frozen=True, slots=True)
class TimeBase:
    """How timestamps travel: floor(timestamp / ticks) modulo 2**bits.

    ticks: 90 kHz ticks a wire unit, 1 to 90000; bits: 16 or 32. The default, 0.71 ms, wraps after 46.6 s.
    Timestamps that wrap at 32 bits need a power of two (2**32 is then a whole number of wraps); those that
    count on without end may use any, such as 3600 for exact times at 25 Hz in a file.
    """

    ticks: int = 64
    bits: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.ticks <= MAX_TICKS:
            raise ConfigError(f"time base has {self.ticks} ticks, expected 1 to {MAX_TICKS}")
        if self.bits not in (16, 32):
            raise ConfigError(f"time base has {self.bits} bits, expected 16 or 32")

    def to_wire(self, timestamp: int) -> int:
        """The wire time of a 90 kHz timestamp."""
        return timestamp // self.ticks & ((1 << self.bits) - 1)

    def from_wire(self, wire: int, near: int) -> int:
        """The 90 kHz timestamp with this wire time that lies nearest to `near`.

        The result counts on where `near` does, and may be negative or pass 2**32; the caller masks if it wraps.
        """
        half = 1 << (self.bits - 1)
        units = near // self.ticks
        return (units + ((wire - units + half) & (2 * half - 1)) - half) * self.ticks
