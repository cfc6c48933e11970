"""The house rules that a program can check: layers, public names, light imports, one tree of errors, no sleeping."""

import ast
import builtins
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import talkcodec
from talkcodec import errors

ROOT = Path(__file__).parent.parent

LAYERS = [
    {"talkcodec.errors", "talkcodec.types", "talkcodec.clock"},
    {"talkcodec.bitstream"},
    {"talkcodec.coding"},
    {"talkcodec.model", "talkcodec.runtime", "talkcodec.picture", "talkcodec.sample"},
    {"talkcodec.codec", "talkcodec.session", "talkcodec.training", "talkcodec.media"},
    {"talkcodec.convert", "talkcodec.animate", "talkcodec.transport"},
    {"talkcodec.peer"},
    {"talkcodec.command"},
    {"sender", "receiver"},
    {"eval", "call"},
    {"talkcodec.cli", "talkcodec.__main__"},
]
"""From the ground up: a module imports from its own row or one below. The command line stands on top of all."""

PURE = {"talkcodec.bitstream", "talkcodec.coding", "talkcodec.session"}
FORBIDDEN_IN_PURE = {"torch", "cv2", "av", "aiortc", "aiohttp", "asyncio", "time", "socket", "openvino"}
FORBIDDEN_IN_PURE |= {"datetime", "multiprocessing", "random", "subprocess"}

PACKAGES = ["talkcodec", "sender", "receiver", "eval", "call"]
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The name by which the layers know a module: talkcodec.X, or the program's package."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "talkcodec" else parts[0]


def imports(path: Path, run_time_only: bool = False) -> Iterator[tuple[str, int]]:
    """(module, line) of every import, wherever it stands; without those under TYPE_CHECKING when asked."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if run_time_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped |= {inner for child in node.body for inner in ast.walk(child)}
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            for alias in node.names:
                yield imported_module(node.module or "", alias.name), node.lineno


def imported_module(module: str, name: str) -> str:
    """`from talkcodec import media` names a module; `from talkcodec import Encoder` what its home defines."""
    inside = ROOT / module.replace(".", "/") / name
    if module == "talkcodec" and name != "__version__" and not (inside.is_dir() or inside.with_suffix(".py").is_file()):
        return str(getattr(talkcodec, name).__module__)
    return f"{module}.{name}" if module == "talkcodec" else module


def layer_of(part: str) -> int | None:
    return next((number for number, row in enumerate(LAYERS) if part in row), None)


def test_layers_name_every_part_once_and_nothing_else() -> None:
    named = [part for row in LAYERS for part in row]
    assert len(named) == len(set(named))
    assert set(named) == {part_of(module_name(path)) for path in SOURCES} - {"talkcodec"}
    assert set(named) >= PURE


def test_what_takes_a_picture_says_its_colours_and_range() -> None:
    silent = []
    for part in ("codec", "media", "peer", "picture", "runtime"):
        for path in (ROOT / "talkcodec" / part).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                    continue
                takes = any(ast.unparse(each.annotation) == "Picture" for each in node.args.args if each.annotation)
                said = ast.get_docstring(node) or "As the class says."
                if takes and not said.startswith("As ") and not re.search("RGB|in any colours", said):
                    silent.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert silent == []


def test_the_drawing_shows_these_layers() -> None:
    """The first block of docs/architecture.md, from the roof to the ground."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [line[4:64] for line in text.split("\n\n")[2].splitlines()]
    drawn = [{part.rpartition(".")[2] for part in row} for row in reversed(LAYERS)]
    assert [set(re.findall(r"\w+", row)) - {"talkcodec"} for row in rows] == drawn


def test_imports_only_point_down() -> None:
    wrong = []
    for path in SOURCES:
        own = layer_of(part_of(module_name(path)))
        for module, line in imports(path):
            other = layer_of(part_of(module))
            if own is not None and other is not None and other > own:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}, which lies above it")
    assert wrong == []


def test_bitstream_and_session_are_pure() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in SOURCES
        if part_of(module_name(path)) in PURE
        for module, line in imports(path, run_time_only=True)
        if module.split(".")[0] in FORBIDDEN_IN_PURE
    ]
    assert wrong == []


def test_bitstream_and_session_reach_nothing_impure_by_detour() -> None:
    """A module of their own row may be impure; that they import nothing through it shows only when they run."""
    outside = FORBIDDEN_IN_PURE - set(sys.stdlib_module_names)
    for part in sorted(PURE):
        assert run_python(f"import sys, {part}; print(sorted({outside!r} & set(sys.modules)))") == "[]", part


def test_nothing_but_its_command_imports_training() -> None:
    users = {
        module_name(path)
        for path in SOURCES
        for module, _ in imports(path)
        if module.startswith("talkcodec.training") and not module_name(path).startswith("talkcodec.training")
    }
    assert users <= {"talkcodec.cli.train"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: module_name(path))
def test_public_names_are_listed_once_and_exist(path: Path) -> None:
    """Every module that defines something says in __all__ what is public; each name there is defined."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    listed: list[str] | None = None
    defined: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
            defined |= names
            if "__all__" in names and node.value is not None:
                listed = ast.literal_eval(node.value)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    has_public = any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")
        for node in tree.body
    )
    if listed is None:
        assert not has_public or path.name == "__main__.py", "public definitions, but no __all__"
        return
    assert len(listed) == len(set(listed))
    assert set(listed) - defined == set()


def test_files_are_readable_in_one_sitting() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > 450} == {}


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    return done.stdout.strip()


def test_import_talkcodec_is_torch_free_and_does_nothing() -> None:
    code = """
import sys, threading
import talkcodec, talkcodec.bitstream, talkcodec.session
heavy = {"torch", "cv2", "av", "openvino", "aiortc", "aiohttp", "scipy", "matplotlib"} & set(sys.modules)
print(sorted(heavy), threading.active_count())
"""
    assert run_python(code) == "[] 1"


def test_the_command_line_and_the_codec_start_without_torch() -> None:
    for module, heavy in (
        ("talkcodec.cli", {"torch", "cv2", "av", "openvino", "numpy"}),
        ("talkcodec.codec", {"torch", "openvino"}),
        ("talkcodec.runtime", {"torch", "openvino"}),
    ):
        assert run_python(f"import sys, {module}; print(sorted({heavy!r} & set(sys.modules)))") == "[]", module


def test_whoever_imports_openvino_keeps_it_from_reporting() -> None:
    """Regression: the restoration network's runner imported it before anything that does."""
    guard = "talkcodec.runtime.unreported"
    wrong = []
    for path in SOURCES:
        found = sorted((line, module) for module, line in imports(path))
        first = next((line for line, module in found if module.split(".")[0] == "openvino"), None)
        if first is not None and not any(module == guard and line < first for line, module in found):
            wrong.append(f"{path.relative_to(ROOT)}:{first}")
    assert wrong == []


def test_openvino_reports_nothing_to_its_makers() -> None:
    """Its converter sends telemetry unless the package for it is missing; ours pretends that it is."""
    code = """
import sys, talkcodec.runtime.openvino_backend, openvino.tools.ovc.telemetry_utils as used
print(sys.modules["openvino_telemetry"], used.tm.__name__)
"""
    assert run_python(code) == "None openvino.tools.ovc.telemetry_stub"


def test_every_module_can_be_imported() -> None:
    for path in SOURCES:
        if path.name != "__main__.py":
            importlib.import_module(module_name(path))


def drawn_tree(text: str) -> dict[str, str]:
    """Class to its parent, as a docstring draws them with branches four columns wide."""
    parents, path = {}, [errors.TalkcodecError.__name__]
    for branch, name in re.findall(r"^ {4}([│ ├└─]+ )([A-Z]\w+) ", text, re.MULTILINE):
        del path[len(branch) // 4 :]
        parents[name] = path[-1]
        path.append(name)
    return parents


def test_the_tree_of_errors_is_the_one_drawn_above_it() -> None:
    classes = [getattr(errors, name) for name in errors.__all__ if name != "TalkcodecError"]
    assert errors.__doc__ is not None
    assert drawn_tree(errors.__doc__) == {each.__name__: each.__base__.__name__ for each in classes}


def test_errors_are_defined_in_the_one_tree() -> None:
    wrong = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef) or module_name(path) == "talkcodec.errors":
                continue
            bases = [ast.unparse(base).split(".")[-1] for base in node.bases]
            if any(is_error(base) for base in bases):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} defines {node.name}")
    assert wrong == []


def is_error(name: str) -> bool:
    built_in = getattr(builtins, name, None)
    return name.endswith("Error") or (isinstance(built_in, type) and issubclass(built_in, BaseException))


MAY_SLEEP = {"peer/waiting.py"}
"""Tests, from tests/ on, that sleep: the one helper that polls what gives no event, and paces a camera."""


def test_tests_do_not_sleep() -> None:
    """sleep(0), which only lets other tasks run, is no sleep."""
    wrong = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or ast.unparse(node.func).split(".")[-1] != "sleep":
                continue
            nothing = isinstance(node.args[0], ast.Constant) and node.args[0].value == 0
            if not nothing and path.relative_to(ROOT / "tests").as_posix() not in MAY_SLEEP:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} sleeps")
    assert wrong == []
