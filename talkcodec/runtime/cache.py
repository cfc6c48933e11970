"""Converted graphs on disk, so that a second start needs neither torch nor conversion.

One folder a model and version, made complete under another name and then renamed: two processes
may build at the same time, the first to finish wins. A manifest of SHA-256 tells a damaged entry,
which is built anew.
"""

import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["GraphCache", "cache_directory"]

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"


def cache_directory() -> Path:
    """The user's cache folder for talkcodec (XDG_CACHE_HOME, or the platform's custom). OSError for a user without one,
    as programs in containers are."""
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "talkcodec"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or _home()) / "talkcodec"
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches" / "talkcodec"
    return _home() / ".cache" / "talkcodec"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise FileNotFoundError("this user has no home folder; XDG_CACHE_HOME can name one for them") from error


class GraphCache:
    """Entries of files, named by everything that they depend on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def entry(self, key: tuple[str, ...], build: Callable[[Path], None]) -> Path:
        """The folder of an entry; `build` fills a fresh one. OSError when the disk does not let us."""
        name = hashlib.sha256("\0".join(key).encode()).hexdigest()[:24]
        target = self.directory / name
        if _intact(target):
            return target
        self.directory.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=self.directory))
        try:
            build(fresh)
            (fresh / MANIFEST).write_text(json.dumps(_digests(fresh)))
            return self._put(fresh, target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _put(self, fresh: Path, target: Path) -> Path:
        for _ in range(3):
            try:
                os.rename(fresh, target)  # atomic; fails when a non-empty target is there
                return target
            except OSError:
                if _intact(target):  # another process was faster
                    return target
                logger.warning("rebuilding the damaged graph cache entry %s", target)
                trash = Path(tempfile.mkdtemp(prefix=".trash-", dir=self.directory))
                try:
                    os.rename(target, trash / "entry")
                except FileNotFoundError:
                    pass
                finally:
                    shutil.rmtree(trash, ignore_errors=True)
        raise OSError(f"cannot write {target}")


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST
    }


def _intact(folder: Path) -> bool:
    try:
        stored = json.loads((folder / MANIFEST).read_text())
        return bool(stored) and stored == _digests(folder)
    except (OSError, ValueError):
        return False
