"""Measuring instruments by name: landmark detectors for AKD, MKR and jitter, identity networks for AED."""

from eval.instruments.base import IdentityInstrument, Instruments, LandmarkInstrument
from eval.instruments.find import (
    IDENTITY_NAMES,
    LANDMARK_NAMES,
    Availability,
    Choice,
    available,
    choose_instruments,
    default_folder,
    open_instruments,
)

__all__ = [
    "IDENTITY_NAMES",
    "LANDMARK_NAMES",
    "Availability",
    "Choice",
    "IdentityInstrument",
    "Instruments",
    "LandmarkInstrument",
    "available",
    "choose_instruments",
    "default_folder",
    "open_instruments",
]
