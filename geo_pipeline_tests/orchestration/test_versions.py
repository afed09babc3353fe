from dataclasses import dataclass
from modulefinder import ModuleFinder

import pytest

from geo_pipeline.orchestration.partitions import variant_and_shard
from geo_pipeline.orchestration.versions import (
    DECIDES_NO_BYTES,
    PACKAGE_ROOT,
    SOURCES,
    Named,
    Sources,
    code_version,
    decides_nothing,
    digest,
    meaning,
)
from geo_pipeline_tests.orchestration.code_edits import EDIT, EDITS, LINEAGE, copied_package, stale_keys

ASSETS = LINEAGE.assets


@dataclass(frozen=True)
class Settings:
    model: str
    rate: float = 0.1


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return copied_package(tmp_path_factory.mktemp("code"))


def test_words_and_layout_have_no_meaning_and_code_has():
    plain = "def f(x):\n    return x + 1\n"
    told = '"""A module."""\n\n\ndef f(x):\n    """Adds."""\n    # one more\n    return (x +\n            1)\n'
    assert meaning(plain) == meaning(told)
    assert meaning(plain) != meaning(plain.replace("1", "2"))


def test_a_code_version_follows_functions_settings_and_columns():
    functions = (ASSETS["geocells"].function,)
    first = code_version(functions, Settings("m"))
    assert first == code_version(functions, Settings("m"))
    assert first != code_version(functions, Settings("m", 0.2))
    assert first != code_version((*functions, ASSETS["images"].function), Settings("m"))
    assert first != code_version(functions, Settings("m"), ("geocells",))


@pytest.mark.parametrize("edit", EDITS[:7], ids=lambda edit: edit.file)
def test_no_edit_that_decides_no_byte_of_geosurge_retrains_it(root, edit):
    found = stale_keys(root, edit.file, edit.old, edit.new)
    assert "geosurge_checkpoint" not in found
    assert not {"catalogue", "images", "segmentations", "features"} & set(found)


@pytest.mark.parametrize(
    ("file", "stale", "fresh"),
    [
        ("earth/coordinates.py", {"catalogue", "geocells"}, {"images", "census", "image_manifest"}),
        ("earth/distance.py", {"georouting_table", "benchmark_scores"}, {"images", "segmentations", "geocells"}),
        ("earth/regions.py", {"benchmark_report"}, set(ASSETS) - {"benchmark_report"}),
        ("methods/joining.py", {"retrieval_predictions", "features"}, {"geosurge_checkpoint", "images"}),
        ("routing/prompt.py", {"generation_predictions", "router_checkpoint"}, {"geosurge_checkpoint", "images"}),
        ("sample_world/scene.py", {"catalogue", "images"}, {"segmentations", "geocells", "geosurge_checkpoint"}),
        ("scoring/report/html.py", {"benchmark_report"}, {"geosurge_checkpoint", "features", "benchmark_scores"}),
        ("segmentation/worker.py", {"segmentations"}, set(ASSETS) - {"segmentations"}),
        ("segmentation/oneformer.py", {"segmentations"}, set(ASSETS) - {"segmentations"}),
        ("lvlm/model.py", {"generation_predictions", "routed_predictions"}, {"geosurge_checkpoint", "features"}),
        ("geosurge/loss.py", {"geosurge_checkpoint", "geosurge_ablations"}, {"segmentations", "router_checkpoint"}),
        ("imagery/decode.py", {"images", "segmentations", "geosurge_checkpoint"}, {"catalogue", "geocells"}),
    ],
)
def test_a_change_makes_stale_what_it_decides_and_leaves_the_rest(root, file, stale, fresh):
    found = set(stale_keys(root, file))
    assert stale <= found
    assert not found & fresh


def test_what_is_declared_to_decide_no_byte_is_there_and_makes_nothing_stale(root):
    stale = {}
    for module in DECIDES_NO_BYTES:
        path = root.joinpath(*module.split("."))
        files = [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else sorted(path.rglob("*.py"))
        counted = next((file for file in files if "assets" not in file.parts), None)
        stale[module] = "not there" if counted is None else stale_keys(root, str(counted.relative_to(root)))
    assert len(stale) > 10
    assert {module: keys for module, keys in stale.items() if keys} == {}


def test_a_row_dropped_in_the_function_of_an_asset_makes_it_stale_and_no_other_of_its_module(root):
    file = "orchestration/assets/images.py"
    assert set(stale_keys(root, file, "batch_rows=DECODE_ROWS", "batch_rows=1 + DECODE_ROWS")) == {"images"}
    assert set(stale_keys(root, file, "DECODE_ROWS = 256", "DECODE_ROWS = 255")) == {"images"}
    assert set(stale_keys(root, "orchestration/assets/geocells.py", '"train"', '"holdout"')) == {"geocells"}
    assert stale_keys(root, file, 'title="Images"', 'title="Pictures"') == {}


def test_an_edit_of_what_a_method_reads_makes_its_predictions_stale_and_one_of_its_words_does_not(root):
    file = "methods/retrieval.py"
    read = stale_keys(root, file, 'reads.table("features", query_set)', 'reads.table("features", query_set[:])')
    assert set(read) == {"retrieval_predictions"}
    assert stale_keys(root, file, 'title="Retrieval', 'title="The retrieval') == {}


def test_what_assets_have_of_one_another_counts_for_each(root):
    found = stale_keys(root, "orchestration/assets/scores.py", 'work.read_all("catalogue"', 'work.read_all("images"')
    assert set(found) == {"benchmark_scores", "comparison_scores"}


def test_a_baseline_that_is_edited_is_stale_alone(root):
    found = stale_keys(root, "baselines/pigeon.py")
    assert found["baseline_checkpoints"] == ["pigeon", "pigeon_without_idea"]
    assert {variant_and_shard(key)[0] for key in found["baseline_predictions"]} == {"pigeon", "pigeon_without_idea"}
    assert set(found) == {"baseline_checkpoints", "baseline_predictions"}


@pytest.mark.parametrize(
    "name", ["catalogue", "images", "segmentations", "geocells", "geosurge_checkpoint", "router_checkpoint", "census"]
)
def test_every_module_that_an_asset_imports_counts(root, name):
    """Python's own `modulefinder` says what is imported; it reads byte code."""
    excluded = [f"geo_pipeline.{each}" for each in DECIDES_NO_BYTES]
    counted = set(Sources(root).modules(map(Named.of, ASSETS[name].counted)))
    finder = ModuleFinder(path=[str(root.parent)], excludes=excluded)
    for module in counted:
        finder.import_hook(f"geo_pipeline.{module}")
    ours = {each.removeprefix("geo_pipeline."): found for each, found in finder.modules.items() if "." in each}
    wanted = {each for each, found in ours.items() if found.__path__ is None}  # package files hold only words
    assert len(wanted) > 5
    assert wanted <= counted


def test_an_edit_of_any_counted_module_changes_the_version(root):
    for name in ("images", "geocells", "features", "benchmark_scores"):
        named = list(map(Named.of, ASSETS[name].counted))
        sources = Sources(root)
        before = sources.code_hash(named)
        for module in sources.modules(named):
            folder = root.joinpath(*module.split("."))
            path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
            text = path.read_text()
            path.write_text(text + EDIT)
            edited = Sources(root).code_hash(named)
            path.write_text(text)
            assert edited != before, f"{module} is no part of {name}"


def test_imports_count_wherever_they_stand_and_not_for_types_alone(tmp_path):
    files = {
        "a": "import geo_pipeline.b\nfrom geo_pipeline import c\nfrom geo_pipeline.d import THING\nimport numpy\n",
        "b": "def f():\n    try:\n        from geo_pipeline.e import x\n    except ImportError:\n        pass\n",
        "c": "if TYPE_CHECKING:\n    from geo_pipeline.f import T\nelse:\n    T = 1\n",
        "d": "from geo_pipeline.a import x\nfrom geo_pipeline.profiles.sample import y\n",
        "e": "class C:\n    def g(self):\n        with 1:\n            import geo_pipeline.room.inner\n",
        "f": "",
    }
    (tmp_path / "room").mkdir()
    for name in ("inner", "__init__", "other"):
        (tmp_path / f"room/{name}.py").touch()
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    assert Sources(tmp_path).reached(["a"]) == ["a", "b", "c", "d", "e", "room.inner"]


def test_our_package_imports_by_whole_names():
    relative = [path for path in PACKAGE_ROOT.rglob("*.py") if "\nfrom ." in path.read_text()]
    assert relative == [], "code versions read whole names"


def test_a_slice_holds_what_a_function_names_and_nothing_else(tmp_path):
    (tmp_path / "thing.py").write_text(
        "from geo_pipeline.used import g\nfrom geo_pipeline.unused import h\nN = 1\nM = 2\n"
        "def inner():\n    return N\n\ndef other():\n    return h()\n\n"
        "@deco(M)\ndef made(work: M):\n    return g(inner())\n"
    )
    for name in ("used", "unused"):
        (tmp_path / f"{name}.py").write_text(f"def {'g' if name == 'used' else 'h'}():\n    return 1\n")
    found = Sources(tmp_path).slice(Named("thing", "made"))
    assert {each.name for each in found.functions} == {"made", "inner", "N"}
    with pytest.raises(LookupError, match="found no nosuch at the top of thing"):
        Sources(tmp_path).slice(Named("thing", "nosuch"))


def test_weights_count_by_content_and_not_by_location(tmp_path):
    for name, text in (("one", "a"), ("two", "a"), ("three", "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text(text)
    one, two, three = (digest(Settings(str(tmp_path / name))) for name in ("one", "two", "three"))
    assert one == two != three
    assert digest(Settings(f"local-dir:{tmp_path / 'one'}")) == one


def test_a_value_without_a_stable_text_is_refused():
    with pytest.raises(TypeError, match="object"):
        digest({"x": object()})


def test_a_published_number_that_is_corrected_makes_the_reports_stale_and_no_network(root):
    found = stale_keys(root, "scoring/published.csv", "54.4", "99.9")
    assert {"benchmark_report", "comparison_report"} <= set(found)
    assert {ASSETS[name].declared.group_name for name in found} == {"reports"}


def test_nothing_that_counts_is_declared_to_decide_nothing():
    for asset in ASSETS.values():
        assert not [name for name in SOURCES.modules(map(Named.of, asset.counted)) if decides_nothing(name)]
