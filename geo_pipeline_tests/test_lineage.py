"""The whole lineage on a dozen photographs with EXIF that the test draws; every arrow of the graph is really read."""

import json
import shutil
from dataclasses import replace

import dagster as dg
import pytest
from PIL import Image
from typer.testing import CliRunner

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.cli import app
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.home.artifact import checkpoint, table
from geo_pipeline.home.home import Home
from geo_pipeline.home.views import query
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.bring_up_to_date import bring_up_to_date, wanted
from geo_pipeline.orchestration.code_location import code_location
from geo_pipeline.orchestration.dagster_home import prepare_dagster_home
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.orchestration.progress import Progress
from geo_pipeline.profiles.photos import photos
from geo_pipeline.profiles.sources import files_spec
from geo_pipeline.sample_world.config import PlanetConfig
from geo_pipeline.sample_world.source import PlanetSource
from geo_pipeline_tests.orchestration.running_functions import RunningFunctions, uncounted

pytestmark = pytest.mark.xdist_group("one_lineage_run")
PLACES = ((48.86, 2.35), (40.42, -3.7), (52.52, 13.4), (41.9, 12.5), (59.33, 18.07), (-33.87, 151.2))


class RecordingHome(Home):
    """A home that remembers what each asset opens."""

    def __init__(self, root, reads=None):
        super().__init__(root)
        self.reads = {} if reads is None else {name: set(read) for name, read in reads.items()}
        self.at_work = None
        self.running = RunningFunctions()

    def opened(self, artifact):
        self.reads.setdefault(self.at_work, set()).add(artifact)


class Watch(Progress):
    """Says to the home which asset is at work."""

    def __init__(self, home):
        self.home = home

    def asset_begins(self, asset, keys):
        self.home.at_work = asset.name


def bring_up(lineage, home, selection=None, progress=None):
    """One run in process, with the home's own Dagster; what it executed."""
    if progress is not None:
        lineage = home.running.watched(lineage)
    definitions = code_location(lineage, home, InProcessCompute(lineage.profile.compute))
    what = wanted(definitions, lineage, selection)
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(home))) as instance:
        return bring_up_to_date(definitions, lineage, home, instance, what, progress).executed


def degrees(value):
    whole = int(abs(value))
    minutes = int((abs(value) - whole) * 60)
    return (float(whole), float(minutes), round(((abs(value) - whole) * 60 - minutes) * 60, 3))


def draw_photographs(folder):
    """Twelve drawn JPEGs with GPS in their EXIF, two at each of six places, and one that is cut short."""
    folder.mkdir()
    source = PlanetSource(11, PlanetConfig(places=12))
    locators = [record.locator for record in source.records()][: 2 * len(PLACES)]
    for number, locator in enumerate(locators):
        (folder / "drawn.png").write_bytes(source.read(locator))
        lat, lon = PLACES[number // 2]
        lat += 0.001 * (number % 2)
        exif = Image.Exif()
        exif[0x8825] = {1: "N" if lat >= 0 else "S", 2: degrees(lat), 3: "E" if lon >= 0 else "W", 4: degrees(lon)}
        with Image.open(folder / "drawn.png") as picture:
            picture.convert("RGB").save(folder / f"photo{number:02d}.jpg", exif=exif, quality=95)
        (folder / "drawn.png").unlink()
    whole = (folder / "photo00.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The lineage, run once in process through a home that records what is read."""
    base = tmp_path_factory.mktemp("lineage")
    draw_photographs(base / "pictures")
    # One of the thirteen is cut short on purpose; more than the 5 % that a run allows by default.
    profile = replace(photos(files_spec(str(base / "pictures"))), max_rejected_share=0.1)
    home = RecordingHome(base / "home")
    home.root.mkdir()
    lineage = bind(ASSETS, profile, METHODS, BENCHMARKS)
    return base, home, lineage, bring_up(lineage, home, None, Watch(home))


@pytest.fixture(scope="module")
def compared(finished, tmp_path_factory):
    """A copy of the home with what is made when it is asked for, for two baselines and three ablations."""
    _, first, lineage, _ = finished
    home = RecordingHome(tmp_path_factory.mktemp("compared") / "home", first.reads)
    shutil.copytree(first.root, home.root)
    some = {name: each for name, each in METHODS.items() if each.baseline in (None, "lknn", "isns")}
    profile = replace(lineage.profile, ablations=("classifier", "depth_1", "fusion_0", "other_crops"))
    lineage = bind(ASSETS, profile, some, BENCHMARKS)
    executed = bring_up(lineage, home, "+comparison_report", Watch(home))
    return home, lineage, executed, bring_up(lineage, home, "+comparison_report")


def test_a_plain_run_makes_the_everyday_keys_of_every_asset_and_nothing_else(finished):
    _, home, lineage, executed = finished
    observed = [name for name, asset in lineage.assets.items() if asset.declared.observed]
    assert observed == ["photographs"]
    assert executed == {
        name: list(asset.everyday) for name, asset in lineage.assets.items() if asset.everyday and name not in observed
    }
    for asset in lineage.assets.values():
        for key in set(asset.keys) - set(asset.everyday):
            assert not any(home.stored(output) for output in asset.outputs(key)), (asset.name, key)
    assert "comparison_report" not in lineage.everyday
    assert 0 < len(lineage.assets["baseline_checkpoints"].everyday) < len(lineage.assets["baseline_checkpoints"].keys)


def test_what_is_asked_for_is_made_once(compared):
    home, lineage, executed, again = compared
    rest = {name: set(asset.keys) - set(asset.everyday) for name, asset in lineage.assets.items()}
    for name, keys in rest.items():
        assert keys <= set(executed.get(name, ())), name
    assert {"geosurge_ablations", "comparison_scores", "comparison_report"} <= set(executed)
    assert {name for name, keys in executed.items() if not rest[name]} == set(), "what a plain run made is fresh"
    assert again == {}
    for variant in lineage.profile.ablations:
        folder = home.location(checkpoint("geosurge_ablations", variant))
        assert (folder / "model.safetensors").is_file() is (variant != "other_crops"), "asked otherwise, not trained"
    answered = query(home, "select method, count(*) n from predictions group by 1").to_pylist()
    count = {row["method"]: row["n"] for row in answered}
    queries = query(home, "select count(*) n from images where set_name = 'photos'").to_pylist()[0]["n"]
    assert {count[name] for name in (*lineage.profile.ablations, "isns", "lknn_without_idea")} == {queries}
    text = (home.location(lineage.assets["comparison_report"].outputs("all")[0]) / "report.md").read_text()
    for words in ("Table VI", "Table VII", "Table VIII", "Its idea", "ISNs", "Not run, so without a row"):
        assert words in text


def test_every_function_that_runs_while_an_asset_is_made_counts_or_is_declared_to_decide_no_byte(finished, compared):
    """The other side of code versions: what really runs, against what was read in the source."""
    _, home, lineage, _ = finished
    later, whole = compared[0], compared[1]
    watched = {**later.running.seen, **home.running.seen}
    made = set(lineage.everyday) | {"geosurge_ablations", "comparison_scores", "comparison_report"}
    assert made - {"photographs"} <= set(watched)
    assert any(each.module == "geosurge.training" for each in watched["geosurge_checkpoint"]), "the probe sees calls"
    wrong = {
        f"{name}: {each.module}.{each.name}"
        for lineage, seen in ((lineage, home.running.seen), (whole, later.running.seen))
        for name, functions in seen.items()
        for each in uncounted(lineage.assets[name], functions)
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_every_declared_dependency_is_read_and_nothing_else(compared):
    home, lineage, _, _ = compared
    listings = {
        "image_manifest": {"images"},
        "ingest_manifest": {"catalogue", "images", "quarantine"},
        "segmentation_manifest": {"segmentations"},
        "reference_gallery": {"images", "features"},
    }
    looked_at = set()
    for asset in lineage.assets.values():
        inputs = {read.artifact for key in asset.keys for read in asset.inputs(key)}
        declared = {artifact for artifact in inputs if artifact.kind != "observation"}
        looked_at |= {asset.name} if inputs != declared else set()
        read = home.reads.get(asset.name, set())
        assert declared <= read, f"{asset.name} declares what it does not read: {declared - read}"
        through = {name for each in declared if each.kind == "manifest" for name in listings[each.name]}
        unlisted = {each for each in read - declared if not (each.kind == "table" and each.name in through)}
        assert not unlisted, f"{asset.name} reads what it does not declare: {unlisted}"
    assert looked_at == {"catalogue"}, "photographs lie outside the home; test_stories changes them"


def test_every_photograph_is_counted_somewhere(finished):
    _, home, _, _ = finished
    sets = {
        row["set_name"]: row["n"]
        for row in query(home, "select set_name, count(*) n from catalogue group by 1").to_pylist()
    }
    assert {"train", "router_queries", "photos"} <= set(sets)
    rejected = query(home, "select locator, reason from quarantine").to_pylist()
    assert [row["locator"] for row in rejected] == ["cut.jpg"]
    assert sum(sets.values()) + len(rejected) - ("cut.jpg" in _listed(home)) == 13
    scores = home.examined(table("scores", "photos")).to_pylist()
    assert {row["count"] for row in scores} == {sets["photos"]}
    answered = query(home, "select method, count(*) n from predictions group by 1").to_pylist()
    assert {row["method"] for row in answered} >= {"geosurge", "retrieval", "generation", "router"}


def _listed(home):
    return {row["locator"] for row in query(home, "select locator from catalogue").to_pylist()}


def test_the_report_says_what_it_is(finished):
    _, home, lineage, _ = finished
    report = home.location(lineage.assets["benchmark_report"].outputs("all")[0])
    text = (report / "report.md").read_text()
    assert "small" in text
    assert "drawn planets" in text
    assert (report / "index.html").stat().st_size > 1000


def test_the_command_finds_nothing_to_do_and_locates_a_photograph(finished, tmp_path):
    base, home, _, _ = finished
    before = {path: path.read_bytes() for path in sorted(home.root.rglob("*.parquet"))}
    words = ["--profile", "photos", "--images", str(base / "pictures"), "--home", str(home.root)]
    refused = CliRunner().invoke(app, ["run", *words, "--in-process"])
    assert refused.exit_code == 1
    assert "1 of 13 photographs are rejected (7.7%), expected at most 5.0%" in refused.output
    words += ["--max-rejected", "0.1"]
    done = CliRunner().invoke(app, ["run", *words, "--in-process"])
    assert done.exit_code == 0, done.output
    assert "nothing to do" in done.stdout
    assert "index.html" in done.stdout
    assert {path: path.read_bytes() for path in sorted(home.root.rglob("*.parquet"))} == before
    words = ["--home", str(home.root), "--json"]
    told = CliRunner().invoke(app, ["status", *words])
    assert told.exit_code == 0, told.output
    assets = json.loads(told.stdout)["assets"]
    assert [each["asset"] for each in assets] == list(finished[2].assets)
    located = CliRunner().invoke(app, ["locate", str(base / "pictures" / "photo03.jpg"), *words])
    assert located.exit_code == 0, located.output
    answer = json.loads(located.stdout)[0]
    assert answer["image"] == str(base / "pictures" / "photo03.jpg")
    assert answer["router"]["chosen"] in ("retrieval", "generation")
    assert len(answer["references"]) >= 1
    chosen = answer[answer["router"]["chosen"]]
    assert (answer["router"]["lat_deg"], answer["router"]["lon_deg"]) == (chosen["lat_deg"], chosen["lon_deg"])


def test_a_photograph_that_cannot_be_read_is_named_and_stops_no_other(finished, tmp_path):
    base, home, _, _ = finished
    good = (base / "pictures" / "photo03.jpg").read_bytes()
    for name, data in (("a/IMG_1.jpg", good), ("cut.jpg", good[:1000]), ("b/IMG_1.jpg", good)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    given = [str(tmp_path / name) for name in ("a/IMG_1.jpg", "cut.jpg", "absent.jpg", "b/IMG_1.jpg")]
    located = CliRunner().invoke(app, ["locate", *given, "--home", str(home.root), "--json"])
    assert located.exit_code == 1
    first, cut, absent, last = answers = json.loads(located.stdout)
    assert [each["image"] for each in answers] == given
    assert cut["refused"].startswith("truncated: ")
    assert absent["refused"].startswith("missing_file: ")
    assert first["references"] == last["references"]
    assert first["router"]["score"] == pytest.approx(last["router"]["score"], abs=1e-6)
    assert "2 of 4 photographs cannot be read" in located.stderr
    nothing = CliRunner().invoke(app, ["locate", given[1], "--home", str(home.root)])
    assert nothing.exit_code == 1
    assert f"{given[1]}\n  not located: truncated" in nothing.stdout


def test_the_job_rebenchmark_renews_scores_that_are_gone(finished):
    _, home, lineage, _ = finished
    definitions = code_location(lineage, home, InProcessCompute(lineage.profile.compute))
    scores = home.location(table("scores", "photos"))
    before = scores.read_bytes()
    scores.unlink()
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(home))) as instance:

        def events():
            return {
                name: len(instance.fetch_materializations(dg.AssetKey(name), limit=999).records)
                for name, asset in lineage.assets.items()
                if not asset.declared.observed
            }

        counts = events()
        done = definitions.resolve_job_def("rebenchmark").execute_in_process(instance=instance)
        assert done.success
        assert {name: count - counts[name] for name, count in events().items() if count != counts[name]} == {
            "benchmark_scores": 1
        }
        started = instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": done.run_id}))
        (made,) = instance.fetch_materializations(dg.AssetKey("benchmark_scores"), limit=1).records
        assert [run.run_id for run in started] == [made.run_id], "the job links the one run that it started"
    assert scores.read_bytes() == before
