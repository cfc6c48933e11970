"""Configuration files into dataclasses, with errors that name the file and the key."""

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from talkcodec.errors import ConfigError

__all__ = ["checked", "read_toml"]

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file; ConfigError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read the training configuration {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def checked(cls: type[T], values: dict[str, Any]) -> T:
    """A dataclass of these values; ConfigError for a key that it does not have, or a value of no such kind."""
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(known)):
        raise ConfigError(f"unknown {', '.join(unknown)} for {cls.__name__}; known are {', '.join(known)}")
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{cls.__name__}: {error}") from error
