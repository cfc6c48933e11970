"""What an installed talkcodec is: its names, its version, and a wheel that works where no checkout is."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import talkcodec

ROOT = Path(__file__).parent.parent
PACKAGES = ("talkcodec", "sender", "receiver", "call", "eval")


def test_the_public_surface_is_exactly_this() -> None:
    """A name that is added or taken away here is a promise made or broken: CHANGELOG.md says so too."""
    assert talkcodec.__all__ == [
        "Decoder",
        "Encoder",
        "EncoderConfig",
        "FaceCropper",
        "UnitReader",
        "UnitWriter",
        "__version__",
        "open_engine",
    ]


def test_each_public_name_is_its_homes_own() -> None:
    for name in set(talkcodec.__all__) - {"__version__"}:
        value = getattr(talkcodec, name)
        assert value.__name__ == name
        assert value is getattr(sys.modules[value.__module__], name)
    assert set(talkcodec.__all__) <= set(dir(talkcodec))
    with pytest.raises(AttributeError, match="no attribute 'encoder_of_dreams'"):
        talkcodec.encoder_of_dreams  # noqa: B018
    with pytest.raises(ImportError):
        exec("from talkcodec import EncoderOfDreams")


def test_the_version_is_said_once() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", talkcodec.__version__)
    assert importlib.metadata.version("talkcodec") == talkcodec.__version__, "make venv again"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == talkcodec.__version__
    assert talkcodec.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since setuptools leaves its build folder, and takes what lies in it into the next wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    run([sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-w", str(folder)], source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment that has the wheel, and the dependencies of the running one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
    python = str(scripts / "python")
    packages = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip()
    # A path in a .pth file is searched after the environment's own, and .pth files in it, such as the one of an
    # editable talkcodec, are not read.
    (Path(packages) / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"]
    run([*pip, "--force-reinstall", str(wheel)], folder)
    return scripts


def run(command: list[str], where: Path) -> str:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != ".DS_Store"
    }
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert inside == wanted


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_works_where_no_checkout_is(installed: Path, tmp_path: Path) -> None:
    home = [str(installed / "python"), "-c", "import talkcodec, call; print(talkcodec.__file__, call.__file__)"]
    assert run(home, tmp_path).count(str(installed.parent)) == 2
    assert run([str(installed / "talkcodec"), "--version"], tmp_path).strip() == f"talkcodec {talkcodec.__version__}"
    run([str(installed / "talkcodec"), "demo", "--out", str(tmp_path / "out")], tmp_path)
    assert (tmp_path / "out" / "demo.mp4").stat().st_size > 100_000
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"demo.tkc", "demo.mp4", "contact-sheet.png"}
    for program in ("sender", "receiver", "call", "eval"):
        assert "--help" in run([str(installed / "python"), "-m", program, "--help"], tmp_path)
