"""Measuring instruments by name: landmark detectors for AKD, MKR and jitter, identity networks for AED."""

from eval.instruments.base import IdentityInstrument, Instruments, LandmarkInstrument
from eval.instruments.find import (
    IDENTITY_NAMES,
    LANDMARK_NAMES,
    Availability,
    available,
    default_folder,
    open_instruments,
)

__all__ = [
    "IDENTITY_NAMES",
    "LANDMARK_NAMES",
    "Availability",
    "IdentityInstrument",
    "Instruments",
    "LandmarkInstrument",
    "available",
    "default_folder",
    "open_instruments",
]
