import functools
import shutil
from dataclasses import dataclass
from modulefinder import ModuleFinder

import pytest

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.home.artifact import digest
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import all_stages
from geo_pipeline.orchestration.code_versions import (
    DECIDES_NO_BYTES,
    PACKAGE_ROOT,
    Sources,
    code_version,
    meaning,
    modules_of,
)
from geo_pipeline.profiles.sample import sample

STAGES = all_stages(sample(0), METHODS, BENCHMARKS).stages
WORKERS = {
    "images": "imagery.ingest",
    "segmentations": "segmentation.worker",
    "geosurge_checkpoint": "geosurge.training",
    "features": "geosurge.worker",
    "lknn_checkpoint": "baselines.training",
    "router_checkpoint": "georouter.training",
    "geosurge_ablations": "geosurge.training",
    "geosurge_ablation_predictions": "geosurge.inference",
} | {method.asset: method.implementation.removeprefix("geo_pipeline.").split(":")[0] for method in METHODS.values()}
EDIT = "\nEDITED = True\n"


@dataclass(frozen=True)
class Settings:
    model: str
    rate: float = 0.1


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A copy of the package without its weights that may be edited."""
    place = tmp_path_factory.mktemp("code") / "geo_pipeline"
    everything = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.json", "*.png", "weights")
    shutil.copytree(PACKAGE_ROOT, place, ignore=everything)
    (place / "orchestration/assets/__init__.py").write_text("")  # lists all stages, so that one would import the others
    return place


def entries(stage):
    return {*stage.rooms, "home.home", *modules_of(stage.make)}


def versions(root):
    sources = Sources(root)
    return {name: sources.code_hash(entries(stage)) for name, stage in STAGES.items()}


def changed(root, file, old="", new=EDIT):
    """The stages that another text in a file makes stale."""
    path = root / file
    text = path.read_text()
    before = versions(root)
    try:
        assert old in text
        path.write_text(text.replace(old, new) if old else text + new)
        after = versions(root)
    finally:
        path.write_text(text)
    return {name for name in STAGES if before[name] != after[name]}


def test_words_and_layout_have_no_meaning_and_code_has():
    plain = "def f(x):\n    return x + 1\n"
    told = '"""A module."""\n\n\ndef f(x):\n    """Adds."""\n    # one more\n    return (x +\n            1)\n'
    assert meaning(plain) == meaning(told)
    assert meaning(plain) != meaning(plain.replace("1", "2"))


def test_a_code_version_follows_rooms_and_settings():
    first = code_version(("earth.distance",), Settings("m"))
    assert first == code_version(("earth.distance",), Settings("m"))
    assert first != code_version(("earth.distance",), Settings("m", 0.2))
    assert first != code_version(("earth.distance", "earth.cells"), Settings("m"))
    with pytest.raises(FileNotFoundError, match=r"geo_pipeline\.earth\.nosuch"):
        code_version(("earth.nosuch",), None)


def test_a_stage_has_the_version_of_its_rooms_and_of_its_make():
    for name, stage in STAGES.items():
        assert stage.code_version == code_version((*stage.rooms, "home.home"), stage.settings, stage.make)
        assert modules_of(stage.make), f"make of {name} stands in a module of the package"


def test_a_row_dropped_in_a_stages_own_module_makes_it_stale(root):
    dropped = changed(root, "orchestration/assets/images.py", '{"images": images,', '{"images": images.slice(1),')
    assert dropped == {"images"}
    other = changed(root, "orchestration/assets/geocells.py", '"train"', '"holdout"')
    assert other == {"geocells"}


@pytest.mark.parametrize(
    ("file", "stale", "fresh"),
    [
        ("earth/coordinates.py", {"catalogue", "geocells", "georouting_table"}, {"images", "census", "image_manifest"}),
        ("contracts/contract.py", set(STAGES), set()),
        ("orchestration/stage.py", set(STAGES), set()),
        ("home/home.py", set(STAGES), set()),
        ("methods/retrieval.py", {"retrieval_predictions"}, set(STAGES) - {"retrieval_predictions"}),
        ("home/joining.py", {"retrieval_predictions", "features"}, set()),
        ("routing/prompt.py", {"generation_predictions", "router_checkpoint"}, {"geosurge_checkpoint", "images"}),
        ("sample_world/scene.py", {"catalogue", "images"}, {"segmentations", "geocells", "geosurge_checkpoint"}),
        ("scoring/report/html.py", {"benchmark_report"}, {"geosurge_checkpoint", "lknn_checkpoint", "features"}),
        ("segmentation/worker.py", {"segmentations"}, set(STAGES) - {"segmentations"}),
        ("imagery/containers/tar_files.py", {"catalogue"}, {"images", "segmentations", "geosurge_checkpoint"}),
    ],
)
def test_a_change_makes_stale_what_it_decides_and_leaves_the_rest(root, file, stale, fresh):
    found = changed(root, file)
    assert stale <= found
    assert not found & fresh


@pytest.mark.parametrize(
    "file",
    [
        "profiles/sample.py",
        "profiles/sources.py",
        "methods/method.py",
        "methods/registry.py",
        "home/artifact.py",
        "orchestration/assets/__init__.py",
        "orchestration/code_versions.py",
        "compute/compute.py",
        "orchestration/shards.py",
        "orchestration/lineage.py",
        "orchestration/definition.py",
        "commands/status.py",
        "pretraining/clip.py",
        "cli.py",
    ],
)
def test_code_that_decides_no_bytes_makes_nothing_stale(root, file):
    assert changed(root, file) == set()


@pytest.mark.parametrize("name", sorted({*WORKERS, "catalogue", "geocells", "census", "benchmark_scores"}))
def test_every_module_that_make_or_its_worker_imports_counts(root, name):
    """Python's own `modulefinder` says what is imported; it reads byte code."""
    stage = STAGES[name]
    finder = ModuleFinder(path=[str(root.parent)], excludes=[f"geo_pipeline.{each}" for each in DECIDES_NO_BYTES])
    for module in (*modules_of(stage.make), *([WORKERS[name]] if name in WORKERS else [])):
        finder.import_hook(f"geo_pipeline.{module}")
    ours = {name.removeprefix("geo_pipeline."): found for name, found in finder.modules.items() if "." in name}
    wanted = {name for name, found in ours.items() if found.__path__ is None}  # package files hold only words
    assert len(wanted) > 5
    assert wanted <= set(Sources(root).reached(entries(stage)))


def test_an_edit_of_any_counted_module_changes_the_version(root):
    sources = Sources(root)
    for name in ("images", "geocells", "features", "benchmark_scores"):
        before = sources.code_hash(entries(STAGES[name]))
        for module in sources.reached(entries(STAGES[name])):
            place = root.joinpath(*module.split("."))
            path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            text = path.read_text()
            path.write_text(text + EDIT)
            edited = Sources(root).code_hash(entries(STAGES[name]))
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
    assert Sources(tmp_path).reached(["room", "f"]) == ["f", "room", "room.inner", "room.other"]


def test_our_package_imports_by_whole_names():
    relative = [path for path in PACKAGE_ROOT.rglob("*.py") if "\nfrom ." in path.read_text()]
    assert relative == [], "code versions read whole names"


def test_a_function_is_found_through_all_that_holds_it():
    first, second = Sources.reached, digest

    def around(step):
        return first(step)

    @functools.wraps(second)
    def decorated(value, also=first):
        return value, also

    @dataclass
    class Holder:
        queries: object
        count: int = 1

        def make(self):
            return self.count

    versions_module, artifacts_module = "orchestration.code_versions", "home.artifact"
    holder = Holder(second)
    assert modules_of(around) == modules_of(functools.partial(max, key=first)) == {versions_module}
    assert modules_of(functools.partial(functools.partial(around), second)) == {versions_module, artifacts_module}
    assert modules_of(decorated) == {versions_module, artifacts_module}
    assert modules_of(holder.make) == modules_of(lambda: holder) == {artifacts_module}
    assert modules_of(None) == modules_of(len) == set()


def test_weights_count_by_content_and_not_by_place(tmp_path):
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
    found = changed(root, "scoring/published.csv", "54.4", "99.9")
    assert {"benchmark_report", "comparison_report"} <= found
    assert {STAGES[name].group for name in found} == {"reports"}
