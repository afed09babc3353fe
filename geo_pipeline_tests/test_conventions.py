"""The habits of DESIGN and CONTRIBUTING that a machine can see."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "geo_pipeline").rglob("*.py"))
TESTS = sorted((ROOT / "geo_pipeline_tests").rglob("*.py"))
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "base", "core", "shared"}
LONGEST_MODULE, LONGEST_FUNCTION = 400, 60
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", ".csv", ".svg", ".html", ".mmd", ""}
KEPT_OUT = {".git", "workspace", "__pycache__", "build", "dist", "shared"}  # .git is a file in a linked worktree


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _texts() -> list[Path]:
    found = []
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts[:-1])
        kept = not hidden and not any(part in KEPT_OUT or part.endswith("egg-info") for part in parts)
        if kept and path.is_file() and path.suffix in TEXT_SUFFIXES and path.stat().st_size < 2_000_000:
            found.append(path)
    return sorted(found)


@pytest.mark.parametrize("path", [*LIBRARY, *TESTS], ids=_short)
def test_no_dumping_grounds(path):
    names = {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}
    assert not names & BANNED_NAMES, "name a module after what it holds"


@pytest.mark.parametrize("path", LIBRARY, ids=_short)
def test_modules_and_functions_are_short_enough_to_hold_in_the_head(path):
    text = path.read_text()
    assert text.count("\n") <= LONGEST_MODULE
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {node.name: _lines_of_code(node) for node in functions if _lines_of_code(node) > LONGEST_FUNCTION}
    assert not long


def _lines_of_code(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(node.body) > 1
    start = (first.end_lineno or first.lineno) + 1 if documented else node.lineno
    return (node.end_lineno or node.lineno) - start + 1


@pytest.mark.parametrize("path", LIBRARY, ids=_short)
def test_every_module_says_what_it_holds(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text, "open the module with a sentence that says what it holds"


@pytest.mark.parametrize("path", [p for p in LIBRARY if p.name == "__init__.py" and len(p.parts) > 1], ids=_short)
def test_packages_stay_lazy(path):
    """A package's file imports nothing heavy, so that reading a configuration never loads a network."""
    heavy = {"torch", "ray", "transformers", "peft", "open_clip", "torchvision"}
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {name.split(".")[0] for name in names} & heavy


@pytest.mark.parametrize("path", [p for p in LIBRARY if p.stem == "config"], ids=_short)
def test_configurations_are_torch_free(path):
    tree = ast.parse(path.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in imported} & {"torch", "transformers", "peft", "open_clip", "ray"}


def test_nothing_in_the_library_unpickles_or_is_left_undone():
    wrong = re.compile(r"\bimport pickle\b|\bpickle\.load|torch\.load\(|raise NotImplementedError|\bTODO\b|\bFIXME\b")
    found = [f"{_short(path)}: {hit.group()}" for path in LIBRARY for hit in wrong.finditer(path.read_text())]
    assert not found


def test_no_machine_of_ours_is_named_in_the_tree():
    """Absolute paths of a home and private registries differ from machine to machine."""
    wrong = re.compile(
        r"(?<![\w.])/(?:home|root|Users|work|tmp/w)/\w|--(?:extra-)?index-url|https?://[^\s\"')]*(?:artifactory|/simple\b)"
    )
    itself = Path(__file__)
    found = [
        f"{_short(p)}: {hit.group()}"
        for p in _texts()
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
    wanted = {re.split(r"[\[<>=]", floor)[0].lower().replace("_", "-") for floor in floors} - {project["name"]}
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
    block += re.findall(r"^(?:cloud|dev) = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    lines = [line for part in block for line in part.splitlines()]
    assert len(lines) > 20
    assert [line for line in lines if not re.search(r'",\s+# \w', line)] == []


@pytest.mark.parametrize("path", sorted((ROOT / "data_contracts").glob("*.yaml")), ids=_short)
def test_a_contract_stands_for_the_table_of_its_name(path):
    document = yaml.safe_load(path.read_text())
    assert document["kind"] == "DataContract"
    assert document["apiVersion"].startswith("v3.")
    assert [table["name"] for table in document["schema"]] == [path.stem]


def test_every_table_of_the_lineage_has_a_contract():
    tables = {"catalogue", "quarantine", "images", "segmentations", "geocells", "coverage", "features", "predictions"}
    tables |= {"georouting", "training_curves", "scores", "routing_scores", "census", "duplicates", "leakage"}
    assert tables <= {path.stem for path in (ROOT / "data_contracts").glob("*.yaml")}


def test_users_words_are_never_taken_for_terminal_markup():
    """Every terminal is made in one place, which takes nothing for markup; JSON is written without NaN."""
    made = re.compile(r"\bConsole\(|from_markup\(|rich\.print|\[/?(?:dim|bold|green|yellow|red)\]")
    found = [_short(path) for path in LIBRARY if made.search(path.read_text())]
    assert found == ["geo_pipeline/commands/printing.py"]
    assert "json.dumps" not in (ROOT / "geo_pipeline/cli.py").read_text()
