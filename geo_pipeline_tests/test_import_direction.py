import re
import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]


@pytest.fixture
def contracts():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def test_higher_layers_import_lower_ones_only(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == 0


def test_every_package_has_a_layer(contracts):
    layers = next(contract for contract in contracts if contract["type"] == "layers")
    named = {name.strip() for layer in layers["layers"] for name in layer.split("|")}
    rooms = {path.name for path in (ROOT / "geo_pipeline").iterdir() if (path / "__init__.py").is_file()}
    files = {path.stem for path in (ROOT / "geo_pipeline").glob("*.py")} - {"__init__"}
    assert named == rooms | files
    assert layers["exhaustive"] is True


def test_only_the_modules_named_after_ray_import_it_and_only_inside_functions():
    starts = {
        str(path.relative_to(ROOT)): [
            line for line in path.read_text().splitlines() if re.match(r"\s*(import|from) ray\b", line)
        ]
        for path in (ROOT / "geo_pipeline").rglob("*.py")
    }
    importing = {name: lines for name, lines in starts.items() if lines}
    assert sorted(importing) == [f"geo_pipeline/compute/{name}.py" for name in ("ray", "ray_shards", "ray_training")]
    assert all(line.startswith(" ") for lines in importing.values() for line in lines)


def test_only_one_module_imports_s2sphere():
    importing = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "geo_pipeline").rglob("*.py")
        if re.search(r"^\s*(import|from) s2sphere\b", path.read_text(), re.MULTILINE)
    ]
    assert importing == ["geo_pipeline/earth/regions.py"]
