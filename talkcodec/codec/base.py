"""The base layer: small coded pictures, one after another, for restoration, or to be shown by themselves."""

from dataclasses import dataclass

import cv2
import numpy as np

from talkcodec.bitstream import BasePicture, BaseStart
from talkcodec.bitstream.base import BASE_NUMBERS
from talkcodec.clock import CLOCK_HZ, time32_diff
from talkcodec.errors import BitstreamError, ConfigError, StateError
from talkcodec.picture.stream import StreamSettings, open_decoder, open_encoder
from talkcodec.types import Crop, Picture

__all__ = ["VP9_STREAM", "BaseConfig", "BaseDecoder", "BaseEncoder", "Pace"]

VP9_STREAM = 1
"""Id of the only coder."""

_TOLERANCE = 0.25
"""Share of a period by which a picture may come early."""


@dataclass(frozen=True, slots=True)
class BaseConfig:
    """size: side of the coded pictures, even, 16 to 1024 px. fps: pictures a second at most. quality: 0 to 100."""

    size: int = 128
    fps: float = 12.5
    quality: float = 10.0

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 1024 or self.size % 2:
            raise ConfigError(f"base size is {self.size}, expected an even number from 16 to 1024")
        if not 1 <= self.fps <= 120:
            raise ConfigError(f"base fps is {self.fps}, expected 1 to 120")
        if not 0 <= self.quality <= 100:
            raise ConfigError(f"base quality is {self.quality}, expected 0 to 100")


class Pace:
    """Which pictures of a source are coded, to keep to a frame rate on average, whatever the source's own is."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self._last: int | None = None
        self._due_in = 0.0  # 90 kHz ticks from the last picture to the time at which the next is due

    def wants(self, timestamp: int) -> bool:
        """Whether a picture of this 90 kHz time is due; it is after a time that goes back, too."""
        if self._last is None:
            return True
        elapsed = self._elapsed(timestamp, self._last)
        return not 0 <= elapsed < self._due_in - _TOLERANCE * CLOCK_HZ / self.fps

    def took(self, timestamp: int) -> None:
        """The picture of this time is coded. One that came early or late moves the next, unless by a whole period."""
        period = CLOCK_HZ / self.fps
        late = 0.0 if self._last is None else self._elapsed(timestamp, self._last) - self._due_in
        self._due_in = period - late if abs(late) < period else period
        self._last = timestamp

    @staticmethod
    def _elapsed(timestamp: int, last: int) -> int:
        return time32_diff(timestamp & 0xFFFFFFFF, last & 0xFFFFFFFF)


class BaseEncoder:
    """Codes pictures (S, S, 3), reduced; the first one, and each after another crop or size, starts afresh."""

    def __init__(self, config: BaseConfig) -> None:
        self._config = config
        self._stream = open_encoder(StreamSettings(quality=config.quality))
        self._number = 0
        self._crop: Crop | None = None
        self._pace = Pace(config.fps)
        self._afresh = True
        self._hurry = False

    @property
    def config(self) -> BaseConfig:
        """What is coded at present."""
        return self._config

    def change(self, config: BaseConfig) -> None:
        """Code so from the next picture on; a new size or quality starts afresh."""
        if config != self._config:
            self._stream.change(StreamSettings(quality=config.quality))
            self._afresh |= (config.size, config.quality) != (self._config.size, self._config.quality)
            self._config, self._pace.fps = config, config.fps

    def wants(self, timestamp: int) -> bool:
        """Whether a picture of this 90 kHz time is to be coded, to keep to `fps`, or because the other end waits."""
        return self._hurry or self._pace.wants(timestamp)

    def restart(self) -> None:
        """The other end has lost a picture: start afresh with the next one, whenever it is."""
        self._afresh = self._hurry = True

    def encode(self, picture: Picture, timestamp: int, crop: Crop, afresh: bool = False) -> BasePicture:
        """The next coded picture, of one (S, S, 3), RGB, 0 to 255."""
        size = self._config.size
        if picture.shape[0] != size:
            picture = np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        afresh |= self._afresh or crop != self._crop
        self._afresh = True  # a coder that fails starts afresh with the next picture
        data = self._stream.encode(picture, intra=afresh)
        number, self._number = self._number, (self._number + 1) % BASE_NUMBERS
        self._pace.took(timestamp)
        self._crop, self._afresh, self._hurry = crop, False, False
        return BasePicture(number, data, BaseStart(VP9_STREAM, crop) if afresh else None)

    def close(self) -> None:
        """Free the coder."""
        self._stream.close()


class BaseDecoder:
    """Decodes pictures in order; after a gap only one that starts afresh."""

    def __init__(self, max_size: int) -> None:
        self._stream = open_decoder(max_size)
        self._expected: int | None = None
        self.crop: Crop | None = None

    @property
    def quantiser(self) -> int:
        """How coarsely pictures are coded since the last fresh start, 0 to 255."""
        return self._stream.quantiser

    def decode(self, base: BasePicture) -> Picture:
        """The picture (h, h, 3); `crop` says what of the captured frame it shows.

        Raises BitstreamError for damage, StateError when one before it is missing: ask for a fresh start then.
        """
        if base.start is None and base.number != self._expected:
            expected, self._expected = self._expected, None
            raise StateError(f"base picture {base.number} came where {expected} was due: one before it is missing")
        self._expected = None
        if base.start is not None:
            if base.start.coder != VP9_STREAM:
                raise BitstreamError(f"base pictures are of coder {base.start.coder}, known is {VP9_STREAM}")
            self._stream.reset()
            self.crop = base.start.crop
        picture = self._stream.decode(base.data)
        if picture.shape[0] != picture.shape[1]:
            self._stream.reset()
            raise BitstreamError(f"base picture is {picture.shape[1]}x{picture.shape[0]}, expected a square")
        self._expected = (base.number + 1) % BASE_NUMBERS
        return picture
