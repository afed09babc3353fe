"""The habits of CONTRIBUTING.md that a machine can see. Each is one test that lists every offender."""

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import yaml

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.profiles.sample import sample

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "geo_pipeline").rglob("*.py"))
TESTS = sorted((ROOT / "geo_pipeline_tests").rglob("*.py"))
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "base", "core", "shared"}
LONGEST_MODULE, LONGEST_FUNCTION, LONGEST_PREFIX = 400, 60, 10
HEAVY = {"torch", "ray", "transformers", "peft", "open_clip", "torchvision"}
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", ".csv", ".svg", ".html", ".mmd", ""}
KEPT_OUT = {".git", "workspace", "__pycache__", "build", "dist", "shared"}  # .git is a file in a linked worktree


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def texts() -> tuple[Path, ...]:
    """Every file of text that belongs to the project."""
    found = []
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts[:-1])
        kept = not hidden and not any(part in KEPT_OUT or part.endswith("egg-info") for part in parts)
        if kept and path.is_file() and path.suffix in TEXT_SUFFIXES and path.stat().st_size < 2_000_000:
            found.append(path)
    return tuple(sorted(found))


def test_no_dumping_grounds():
    """A module is named after what it holds."""
    named = {path: {part.removesuffix(".py") for part in path.relative_to(ROOT).parts} for path in [*LIBRARY, *TESTS]}
    assert [_short(path) for path, names in named.items() if names & BANNED_NAMES] == []


def test_modules_are_short_enough_to_hold_in_the_head():
    lines = {_short(path): path.read_text().count("\n") for path in LIBRARY}
    assert {path: count for path, count in lines.items() if count > LONGEST_MODULE} == {}


def test_functions_are_short_enough_to_hold_in_the_head():
    functions = {
        f"{_short(path)}: {node.name}": _lines_of_code(node)
        for path in LIBRARY
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: count for name, count in functions.items() if count > LONGEST_FUNCTION} == {}


def _lines_of_code(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(node.body) > 1
    start = (first.end_lineno or first.lineno) + 1 if documented else node.lineno
    return (node.end_lineno or node.lineno) - start + 1


def test_no_package_hides_a_package_in_a_prefix():
    """Ten modules of a package whose names begin with one word want a folder of that name."""
    shared = Counter((path.parent, path.stem.split("_")[0]) for path in LIBRARY if path.name != "__init__.py")
    found = {f"{_short(folder)}/{word}_*": count for (folder, word), count in shared.items()}
    assert {name: count for name, count in found.items() if count >= LONGEST_PREFIX} == {}


def test_every_module_says_what_it_holds():
    """It opens with a sentence that says so."""
    assert [_short(path) for path in LIBRARY if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_packages_stay_lazy():
    """A package's file imports nothing heavy, so that reading a configuration never loads a network."""
    found = {_short(path): _imported(path) & HEAVY for path in LIBRARY if path.name == "__init__.py"}
    assert {path: names for path, names in found.items() if names} == {}


def test_configurations_are_torch_free():
    found = {_short(path): _imported(path) & HEAVY for path in LIBRARY if path.stem == "config"}
    assert len(found) > 5
    assert {path: names for path, names in found.items() if names} == {}


def _imported(path: Path) -> set[str]:
    """The packages that a module imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


def test_errors_begin_with_what_was_found():
    """Messages written where they are raised; machine words (`too_large`) and what another function words pass."""
    wrong = []
    for path in LIBRARY:
        raised = (node.exc for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Raise))
        calls = (call for call in raised if isinstance(call, ast.Call) and call.args)
        wrong += [f"{_short(path)}: {text}" for call in calls if not _says_found(text := _beginning(call.args[0]))]
    assert wrong == []


def _beginning(message: ast.expr) -> str:
    """The words with which a message begins; empty where it is not written here or begins with a value."""
    first = message.values[0] if isinstance(message, ast.JoinedStr) and message.values else message
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def _says_found(text: str) -> bool:
    return " " not in text or text.startswith("found ")


def test_nothing_in_the_library_unpickles_or_is_left_undone():
    unpickles = r"\bimport pickle\b|\bpickle\.load|torch\.load\((?!.*weights_only=True)"
    wrong = re.compile(rf"{unpickles}|raise NotImplementedError|\bTODO\b|\bFIXME\b")
    found = [f"{_short(path)}: {hit.group()}" for path in LIBRARY for hit in wrong.finditer(path.read_text())]
    assert not found


def test_no_generator_gives_out_while_it_holds_threads():
    """Left unfinished, it would wait for them wherever the garbage collector closes it; `imagery.ahead` does not."""
    wrong = []
    for path in LIBRARY:
        for held in ast.walk(ast.parse(path.read_text())):
            if isinstance(held, ast.With) and any("Executor(" in ast.unparse(item) for item in held.items):
                gives = [inner for inner in ast.walk(held) if isinstance(inner, ast.Yield | ast.YieldFrom)]
                wrong += [f"{_short(path)}: line {inner.lineno}" for inner in gives]
    assert wrong == []


def test_no_machine_of_ours_is_named_in_the_tree():
    """Absolute paths of a home and private registries differ from machine to machine."""
    wrong = re.compile(
        r"(?<![\w.])/(?:home|root|Users|work|tmp/w)/\w|--(?:extra-)?index-url|https?://[^\s\"')]*(?:artifactory|/simple\b)"
    )
    itself = Path(__file__)
    found = [
        f"{_short(p)}: {hit.group()}"
        for p in texts()
        if p != itself
        for hit in wrong.finditer(p.read_text(errors="replace"))
    ]
    assert not found


def test_constraints_pin_every_dependency():
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in _pins()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    floors = [
        *project["dependencies"],
        *(floor for extra in project["optional-dependencies"].values() for floor in extra),
    ]
    wanted = _names(floors) - {project["name"]}
    assert {"numpy", "torch", "dagster", "pytest"} <= wanted
    assert wanted - pinned == set()


def _pins() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line) for line in pins)
    return pins


def test_every_dependency_has_its_reason():
    project = (ROOT / "pyproject.toml").read_text()
    block = re.findall(r"^dependencies = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    block += re.findall(r"^(?:run|cloud|dev) = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    lines = [line for part in block for line in part.splitlines()]
    assert len(lines) > 20
    assert [line for line in lines if not re.search(r'",\s+# \w', line)] == []


def test_every_import_is_a_declared_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    library = _names([*project["dependencies"], *extras["run"]])
    declared = {"geo_pipeline": library, "geo_pipeline_tests": library | _names(extras["dev"])}
    own = {*sys.stdlib_module_names, *declared, "_typeshed", ""}  # _typeshed is the type checker's
    imported = {
        place: set().union(*map(_imported, files)) - own
        for place, files in (("geo_pipeline", LIBRARY), ("geo_pipeline_tests", TESTS))
    }
    providers = packages_distributions()
    undeclared = [
        f"{place}: {name}"
        for place, names in imported.items()
        for name in sorted(names)
        if not _names(providers.get(name, ())) & declared[place]
    ]
    assert {"numpy", "torch", "dagster", "sqlalchemy"} <= imported["geo_pipeline"]
    assert undeclared == []


def _names(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[\[<>=]", each)[0].lower().replace("_", "-") for each in requirements}


def test_users_are_told_to_install_this_project_and_no_other():
    """`geo-pipeline` is another project's name on the package index."""
    name = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]
    told = {
        (_short(path), what)
        for path in texts()
        for what in re.findall(r"pip install\s+(?:-\S+\s+)*['\"]?([\w./-]+)(?=\[)", path.read_text(errors="replace"))
    }
    assert {what for _, what in told} <= {name, ".", "ray"}
    assert {path for path, what in told if what == name} >= {"docs/data.md", "geo_pipeline/commands/plain_errors.py"}


def test_a_contract_stands_for_the_table_of_its_name():
    wrong = []
    for path in sorted((ROOT / "data_contracts").glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        tables = [table["name"] for table in document["schema"]]
        if document["kind"] != "DataContract" or not document["apiVersion"].startswith("v3.") or tables != [path.stem]:
            wrong.append(_short(path))
    assert wrong == []


def test_every_table_of_the_lineage_has_a_contract_and_every_contract_a_table():
    lineage = bind(ASSETS, sample(0), METHODS, BENCHMARKS)
    outputs = [each for asset in lineage.assets.values() for key in asset.keys for each in asset.outputs(key)]
    tables = {artifact.name.split("/")[0] for artifact in outputs if artifact.kind == "table"}
    assert tables == {path.stem for path in (ROOT / "data_contracts").glob("*.yaml")}


def test_users_words_are_never_taken_for_terminal_markup():
    """Every terminal is made in one place, which takes nothing for markup; JSON is written without NaN."""
    made = re.compile(r"\bConsole\(|\(Console\):|from_markup\(|rich\.print|\[/?(?:dim|bold|green|yellow|red)\]")
    found = [_short(path) for path in LIBRARY if made.search(path.read_text())]
    assert found == ["geo_pipeline/commands/printing.py"]
    assert "json.dumps" not in (ROOT / "geo_pipeline/cli.py").read_text()
