"""The graph cache: atomic, safe with several processes, rebuilt when damaged."""

import multiprocessing
from pathlib import Path

import pytest

from talkcodec.runtime.cache import GraphCache, cache_directory

KEY = ("model", "version")


def build(folder: Path) -> None:
    (folder / "graph.xml").write_text("<net/>")
    (folder / "graph.bin").write_bytes(bytes(100_000))


def never(folder: Path) -> None:
    raise AssertionError("built again")


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_entry_is_built_once(tmp_path: Path) -> None:
    cache = GraphCache(tmp_path / "deep" / "cache")
    entry = cache.entry(KEY, build)
    assert contents(entry) == {"graph.xml", "graph.bin", "manifest.json"}
    assert cache.entry(KEY, never) == entry
    assert contents(cache.directory) == {entry.name}


def test_every_part_of_the_key_counts(tmp_path: Path) -> None:
    cache = GraphCache(tmp_path)
    keys = [("a", "b"), ("a", "c"), ("ab", ""), ("a", "b", "")]
    assert len({cache.entry(key, build) for key in keys}) == len(keys)


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "no manifest", "bad manifest", "extra file", "empty"])
def test_a_damaged_entry_is_rebuilt(damage: str, tmp_path: Path) -> None:
    cache = GraphCache(tmp_path)
    entry = cache.entry(KEY, build)
    graph, manifest = entry / "graph.bin", entry / "manifest.json"
    if damage == "flip":
        graph.write_bytes(bytes(99_999) + b"\1")
    elif damage == "cut":
        graph.write_bytes(b"")
    elif damage == "remove":
        graph.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "bad manifest":
        manifest.write_text("{")
    elif damage == "extra file":
        (entry / "other.bin").write_text("x")
    else:
        for path in entry.iterdir():
            path.unlink()
    assert cache.entry(KEY, build) == entry
    assert graph.read_bytes() == bytes(100_000)
    assert cache.entry(KEY, never) == entry
    assert contents(tmp_path) == {entry.name}


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        build(folder)
        raise RuntimeError("unknown operator")

    with pytest.raises(RuntimeError, match="unknown operator"):
        GraphCache(tmp_path).entry(KEY, fail)
    assert contents(tmp_path) == set()


def _open_at_once(directory: str, barrier: object, results: object) -> None:
    def together(folder: Path) -> None:
        build(folder)
        barrier.wait(30)  # type: ignore[attr-defined]

    entry = GraphCache(Path(directory)).entry(KEY, together)
    results.put((entry.name, (entry / "graph.bin").stat().st_size))  # type: ignore[attr-defined]


def test_processes_that_build_at_once_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(3), context.Queue()
    workers = [context.Process(target=_open_at_once, args=(str(tmp_path), barrier, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = {results.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join(60)
    assert len(found) == 1
    assert found.pop()[1] == 100_000
    assert len(contents(tmp_path)) == 1


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "talkcodec"


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # what it does for a user that is not known
    with pytest.raises(OSError, match="no home folder"):
        cache_directory()
