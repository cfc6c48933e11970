"""What a microphone hears, on the monotonic clock."""

import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av

from talkcodec.errors import MediaError
from talkcodec.media.sound import SoundBlock, SoundTimeline

__all__ = ["check_microphone", "read_microphone"]

_DRIFT_S = 0.1
_ALSA_CONFIGURATION = "/usr/share/alsa/alsa.conf"


def read_microphone(device: str = "default") -> Iterator[SoundBlock]:
    """What a microphone hears in blocks of 20 ms, until the iterator is closed; times on the monotonic clock.

    device: a name of the system's sound interface (ALSA, AVFoundation, DirectShow; "plughw:0" under ALSA), or
    INTERFACE:DEVICE with any input of FFmpeg. Raises MediaError when it cannot be opened, or breaks off.
    """
    # The sound card's clock is not ours: the sound is put in its place when they have drifted apart, or the machine
    # slept.
    timeline = SoundTimeline(tolerance_s=_DRIFT_S, restart_s=math.inf)
    zero_s = time.monotonic() - 1.0
    with _open_microphone(device) as container:
        try:
            for decoded in container.decode(container.streams.audio[0]):
                heard_s = time.monotonic() - decoded.samples / decoded.sample_rate - zero_s
                for block in timeline.add(decoded, heard_s):
                    yield block._replace(time_s=block.time_s + zero_s)
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"the microphone {device} broke off: {error}") from error
    raise MediaError(f"the microphone {device} delivers no more sound")


def check_microphone(device: str) -> None:
    """Raises MediaError when `read_microphone` could not open this device."""
    _open_microphone(device).close()


def _open_microphone(device: str) -> av.container.InputContainer:
    interface, known, name = device.partition(":")
    if not known or interface not in av.formats_available:
        interface, name = {"darwin": "avfoundation", "win32": "dshow"}.get(sys.platform, "alsa"), device
    name = {"avfoundation": f":{name}", "dshow": f"audio={name}"}.get(interface, name)
    if interface == "alsa" and Path(_ALSA_CONFIGURATION).exists():
        os.environ.setdefault("ALSA_CONFIG_PATH", _ALSA_CONFIGURATION)  # PyAV's own copy looks elsewhere
    try:
        container = av.open(name, format=interface)
    except (av.FFmpegError, ValueError, OSError) as error:
        raise MediaError(f"no microphone {device}: {error}") from error
    if not container.streams.audio:
        container.close()
        raise MediaError(f"{device} gives no sound")
    return container
