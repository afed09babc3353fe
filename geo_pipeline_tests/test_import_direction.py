import re
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
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
    packages = {path.name for path in (ROOT / "geo_pipeline").iterdir() if (path / "__init__.py").is_file()}
    files = {path.stem for path in (ROOT / "geo_pipeline").glob("*.py")} - {"__init__"}
    assert named == packages | files
    assert layers["exhaustive"] is True


def circle(graph):
    """One circle of a mapping from modules to what they import, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_imports_go_in_no_circle_lazy_ones_and_those_for_types_included():
    graph = grimp.build_graph("geo_pipeline", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 200
    assert circle(imports) == []
    imports["geo_pipeline.earth.distance"] = {"geo_pipeline.cli"}
    assert circle(imports) != []


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


def test_s2sphere_is_imported_where_few_cells_at_a_time_are_looked_at():
    importing = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "geo_pipeline").rglob("*.py")
        if re.search(r"^\s*(import|from) s2sphere\b", path.read_text(), re.MULTILINE)
    }
    assert importing == {"geo_pipeline/earth/regions.py", "geo_pipeline/earth/reference_cells.py"}
