"""The wheel with the lowest versions that pyproject.toml declares: the core, without its extras, where nothing else is.

`python -m geo_pipeline_tests.campaigns.floors [--python python3.12]` builds sdist and wheel and compares what they hold
with the tree; installs the wheel beside exactly the declared floors; starts the commands from folders with a
`data_contracts/` of their own; and runs the tests of the core on what was installed. It needs a package index. About
two minutes; the exit code is 1 when a part does not hold.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

from typer import echo

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAME = PROJECT["project"]["name"]
LARGEST_MB = 1000
NOT_IN_THE_CORE = ("torch", "ray", "dagster", "transformers", "tensorflow")
TOOLS = ("pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "geographiclib", "webdataset", "jsonschema")
TOOLS += ("open-data-contract-standard",)
TESTS = ("earth", "contracts", "routing", "scoring", "imagery/metadata", "imagery/containers", "imagery/stores")
TESTS += ("imagery/test_exif.py", "commands/test_score.py", "commands/test_partition.py", "commands/test_sql.py")
LEFT_OUT = ("scoring/report/test_report_browser.py", "imagery/stores/test_object_store.py")
"""A browser's speed is no matter of floors; clients of object stores are the extra `cloud`."""
BESIDE_THE_PACKAGE = {
    *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "SECURITY.md"),
    *("constraints.txt", "docs", "pyproject.toml", "setup.cfg", "workspace.yaml"),
}


class BrokenFloorError(RuntimeError):
    """A part of the campaign does not hold."""


def require(holds: bool, words: str) -> None:
    """Raise BrokenFloorError with what was found."""
    if not holds:
        raise BrokenFloorError(words)


def floors(requirements: Sequence[str], only: Sequence[str] = ()) -> list[str]:
    """Requirements `name>=version` as pins at their lowest version; of some names when `only` is given."""
    found = {}
    for each in requirements:
        match = re.match(r"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?>=([0-9.]+)", each)
        if match is not None:
            found[match[1]] = f"{match[1]}=={match[2]}"
        else:
            require(each.partition("[")[0] not in only and bool(only), f"found {each!r} without a lowest version")
    require(set(only) <= set(found), f"found no floor of {sorted(set(only) - set(found))}")
    return [found[name] for name in only or found]


def finished(command: Sequence[object], folder: Path, code: int = 0) -> str:
    """What a command prints; its environment has no path to the checkout. Raises BrokenFloorError for another code."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GEO_PIPELINE"))}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    printed = done.stdout + done.stderr
    require(done.returncode == code, f"{' '.join(words)} ended with {done.returncode}, expected {code}:\n{printed}")
    return printed


def built(folder: Path) -> Path:
    """Build sdist and wheel into a folder and look into both; the wheel."""
    shutil.rmtree(ROOT / f"{NAME.replace('-', '_')}.egg-info", ignore_errors=True)  # its list of files would be reused
    finished([sys.executable, "-m", "build", "--outdir", folder, ROOT], folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    package = {
        str(path.relative_to(ROOT))
        for place in (ROOT / "geo_pipeline", ROOT / "geo_pipeline" / "data_contracts")
        for path in place.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as file:
        inside = {name for name in file.namelist() if not name.partition("/")[0].endswith((".dist-info", ".data"))}
        beside = {name.partition("/")[2] for name in file.namelist()} - inside
    require(inside == package, f"the wheel and the tree differ: {sorted(inside ^ package)[:9]}")
    require(any(name.endswith("/protocol.md") for name in beside), "docs/protocol.md is not in the wheel")
    with tarfile.open(sdist) as file:
        members = [member.name.partition("/")[2] for member in file.getmembers() if member.isfile()]
    own = {name for name in members if name.startswith("geo_pipeline/")}
    others = {name.partition("/")[0] for name in members if not name.startswith(("geo_pipeline/", "geolocalization"))}
    require(own == package, f"the sdist and the tree differ: {sorted(own ^ package)[:9]}")
    require(
        others == BESIDE_THE_PACKAGE, f"the sdist holds {sorted(others ^ BESIDE_THE_PACKAGE)} too much or too little"
    )
    require("docs/protocol.md" in members, "docs/protocol.md is not in the sdist")
    echo(f"sdist and wheel: {len(package)} files of the package each, {wheel.stat().st_size / 1e6:.1f} MB")
    return wheel


def installed(wheel: Path, python: str, folder: Path) -> Path:
    """An environment with the wheel and the floors; its folder of commands."""
    finished([python, "-m", "venv", folder], wheel.parent)
    commands, core = folder / "bin", floors(PROJECT["project"]["dependencies"])
    install = [commands / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    finished([*install, wheel, *core], wheel.parent)
    size_mb = sum(path.lstat().st_size for path in folder.rglob("*")) / 1e6
    echo(f"floors: {', '.join(core)}")
    require(size_mb < LARGEST_MB, f"the core takes {size_mb:.0f} MB, expected less than {LARGEST_MB}")
    found = {path.name for path in folder.glob("lib/python*/site-packages/*")}
    require(not found & set(NOT_IN_THE_CORE), f"the core brought {sorted(found & set(NOT_IN_THE_CORE))}")
    echo(f"core: {size_mb:.0f} MB without {', '.join(NOT_IN_THE_CORE)}")
    finished([*install, *floors(PROJECT["project"]["optional-dependencies"]["dev"], TOOLS)], wheel.parent)
    return commands


def start_commands(commands: Path, folder: Path) -> None:
    """Version, score and partition from folders with a `data_contracts/` of their own, and `run` without its extra."""
    ours = sorted(path.stem for path in (ROOT / "data_contracts").glob("*.yaml"))
    for name, files in {"folder": (), "package": ("__init__.py",)}.items():
        here = folder / name
        (here / "data_contracts").mkdir(parents=True)
        for file in ("catalogue.yaml", "foreign.yaml", *files):
            (here / "data_contracts" / file).write_text("{}")
        (here / "truth.csv").write_text("image_id,lat,lon\na,48.1,11.5\nb,-33.9,18.4\n")
        for start in ([commands / "geo-pipeline"], [commands / "python", "-m", "geo_pipeline.cli"]):
            version = finished([*start, "--version"], here)
            require(version.split() == ["geo-pipeline", wheel_version()], f"--version printed {version!r}")
            score = finished([*start, "score", "truth.csv", "--truth", "truth.csv"], here)
            require("100.00 %" in score, score)
            cut = [*start, "partition", "truth.csv", "--out", "cells", "--tau-min", "1", "--tau-max", "9"]
            require("2 coordinates used" in finished(cut, here), "partition did not use both coordinates")
        words = (
            "from geo_pipeline.contracts.contract import load, names; print(*names(), len(load('catalogue').columns))"
        )
        contracts = finished([commands / "python", "-c", words], here).split()
        require(contracts[:-1] == ours and int(contracts[-1]) > 5, f"contracts are {contracts}")
        refused = finished([commands / "geo-pipeline", "run"], here, code=1)
        require(refused.count("\n") == 1 and f"pip install '{NAME}[run]'" in refused, f"run printed {refused!r}")
    echo("--version, score, partition and the contracts are the package's beside a data_contracts/ of another")


def wheel_version() -> str:
    """The version that the source declares."""
    match = re.search(r'^__version__ = "(.+)"$', (ROOT / "geo_pipeline" / "__init__.py").read_text(), re.MULTILINE)
    return "" if match is None else match[1]


def run_tests(commands: Path, folder: Path) -> None:
    """The tests of the core, copied away from the checkout, on what was installed.

    Warnings are no errors here: the oldest of ours stands beside the newest of what it requires itself.
    """
    shutil.copytree(
        ROOT / "geo_pipeline_tests", folder / "geo_pipeline_tests", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("*.png"))  # tests read what it says
    if (ROOT.parent / "shared").is_dir():
        (folder.parent / "shared").symlink_to(ROOT.parent / "shared")
    settings = PROJECT["tool"]["pytest"]["ini_options"]
    lines = ["[pytest]", f"timeout = {settings['timeout']}", "xfail_strict = true", "markers ="]
    lines += [f"    {marker}" for marker in settings["markers"]]
    (folder / "pytest.ini").write_text("\n".join([*lines, ""]))
    tests = [f"geo_pipeline_tests/{name}" for name in TESTS]
    left_out = [f"--ignore=geo_pipeline_tests/{name}" for name in LEFT_OUT]
    command = [commands / "python", "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider"]
    printed = finished([*command, *settings["addopts"], *left_out, *tests], folder)
    echo(f"tests of the core: {printed.strip().splitlines()[-1]}")


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the new environment")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="floors-") as name:
        folder = Path(name)
        for part in ("dist", "elsewhere", "tests"):
            (folder / part).mkdir()
        wheel = built(folder / "dist")
        commands = installed(wheel, parser.parse_args().python, folder / "environment")
        start_commands(commands, folder / "elsewhere")
        run_tests(commands, folder / "tests")
    echo(f"floors hold, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
