"""What the documents name exists: files, links, modules, commands with their options, make targets, quoted code."""

import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from talkcodec.codec import Rung
from talkcodec.codec.ladder import LADDER

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

FOLDERS = ("talkcodec", "sender", "receiver", "call", "eval", "tests", "docs", "benchmarks", "examples", "scripts")
"""Top-level folders whose paths are looked for in the text, wherever they stand in it."""

PARTS = ("bitstream", "coding", "codec", "media", "model", "peer", "picture", "runtime", "session", "transport")
"""Parts of talkcodec that the text may name without saying talkcodec."""

FILES = (".safetensors", ".json", ".toml", ".py")
"""Ends of names with a dot that are no modules."""

FOREIGN = {"pip", "pytest", "venv"}
"""Modules of others after `python -m`."""

SCRIPT = "(script)"
PROGRAMS = {SCRIPT: "talkcodec.cli.app", "eval": "eval.cli", "sender.demo": "sender.demo"}
"""What is run (the script `talkcodec`, or a module after `python -m`) to the module that has its typer `app`."""


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.name)
def document(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def code_lines(text: str) -> Iterator[str]:
    """Lines of fenced and indented blocks, continued ones joined; and what stands between single backticks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^ {4}(\S.*)$", rest.replace("\\\n", " "), re.MULTILINE)
    for block in blocks:
        yield from block.replace("\\\n", " ").splitlines()
    yield from indented
    yield from (span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", rest))


def commands(text: str) -> Iterator[tuple[str, str]]:
    """(program, the rest of its line without the comment) of every call of a program in the code of a document."""
    for line in code_lines(text):
        bare = line.split(" #")[0]
        for match in re.finditer(r"(?<![\w./-])(?:\.venv/bin/)?(?:python -m ([\w.]+)|talkcodec)(?= |$)", bare):
            yield match[1] or SCRIPT, bare[match.end() :]


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_links_lead_somewhere(document: Path) -> None:
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if re.match(r"https?:|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        path = document.parent / name if name else document
        if not path.exists():
            wrong.append(target)
        elif anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            wrong += [target] if anchor not in map(slug, headings) else []
    assert wrong == []


def test_paths_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    found = re.findall(rf"(?<![\w./$-])((?:{'|'.join(FOLDERS)})/[\w./{{}},-]*)", text)
    there = [path for path in found if all(exists(each) for each in expanded(path))]
    assert [path for path in found if path not in there] == []
    files = re.findall(r"`([\w./-]+\.py)`", text)
    homes = {path.name for path in (ROOT / "talkcodec").rglob("*.py")}
    missing = [name for name in files if not (ROOT / name).exists() and not (ROOT / "talkcodec" / name).exists()]
    assert [name for name in missing if name not in homes] == []


def exists(path: str) -> bool:
    return (ROOT / path).exists() or (ROOT / f"{path}.py").exists()


def expanded(path: str) -> list[str]:
    """a/{b,c} as a/b and a/c; without the punctuation of the sentence around it."""
    match = re.fullmatch(r"([^{}]*)\{([^{}]*)\}.*", path)
    if match:
        return [match[1] + each for each in match[2].split(",")]
    return [path.rstrip(".,{}")]


def test_names_are_defined(document: Path) -> None:
    """`talkcodec.peer.peer.Peer`, `coding.UnitWriter`: a module, or what can be had from one."""
    tops = "|".join((*PARTS, "types", "talkcodec", "eval"))
    spans = re.findall(rf"`((?:{tops})(?:\.\w+)+)[`(]", document.read_text(encoding="utf-8"))
    assert [name for name in spans if not defined(name) and not name.endswith(FILES)] == []


def defined(name: str) -> bool:
    full = name if name.split(".")[0] in ("talkcodec", "eval") else f"talkcodec.{name}"
    parts = full.split(".")
    for length in range(len(parts), 0, -1):
        if importlib.util.find_spec(parts[0]) is None:
            return False
        try:
            value: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(value, part):
                return part in getattr(value, "__dataclass_fields__", {})
            value = getattr(value, part)
        return True
    return False


def test_modules_that_are_run_exist(document: Path) -> None:
    wrong = []
    for name, _ in commands(document.read_text(encoding="utf-8")):
        if name == SCRIPT or name in FOREIGN:
            continue
        spec = importlib.util.find_spec(name) if name.split(".")[0] in FOLDERS else None
        runs = spec is not None and (spec.origin is None or not spec.origin.endswith("__init__.py"))
        if not runs and (spec is None or importlib.util.find_spec(f"{name}.__main__") is None):
            wrong.append(name)
    assert wrong == []


def test_commands_and_their_options_exist(document: Path) -> None:
    if document.name in ("results.md", "results-motion.md"):
        return  # made by the evaluation: what stands in backticks there are names of points
    wrong = []
    for program, rest in commands(document.read_text(encoding="utf-8")):
        if program not in PROGRAMS:
            continue
        command: Any = typer.main.get_command(importlib.import_module(PROGRAMS[program]).app)
        words = rest.split()
        while hasattr(command, "commands") and words and not words[0].startswith(("-", "`")):
            name = words.pop(0)
            alternatives = [command.commands.get(each) for each in name.split("|")]  # as in `model list|info`
            if None in alternatives:
                wrong.append(f"{program}{rest}")
                break
            command = alternatives[0] or command
        else:
            known = {"--help"} | {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
            wrong += [f"{program}{rest}: {word}" for word in words if word.startswith("--") and word not in known]
    assert wrong == []


def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = [
        word
        for line in code_lines(document.read_text(encoding="utf-8"))
        for match in re.finditer(r"^make((?: (?:[a-z]+|[A-Z]+=\S+))+)", line.split(" #")[0])
        for word in match[1].split()
        if "=" not in word
    ]
    assert [word for word in named if word not in targets] == []


def test_code_of_the_first_page_is_that_of_the_examples() -> None:
    """In the order in which it stands there, so that what the tests run is what people read."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    examples = [
        [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (ROOT / "examples").glob("*.py")
    ]
    assert blocks
    for block in blocks:
        lines = [line.strip() for line in block.splitlines()]
        assert any(in_order(lines, example) for example in examples), block


def test_the_first_page_has_the_rungs_where_the_ladder_has_them() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for rung in (Rung.HYBRID, Rung.VIDEO):
        lowest_bps = min(step.bitrate_bps for step in LADDER if step.rung is rung)
        assert f"- **{rung.value}**, from about {lowest_bps / 1000:.0f} kbit/s: " in text


def in_order(lines: list[str], text: list[str]) -> bool:
    rest = iter(text)
    return all(line in rest for line in lines)
