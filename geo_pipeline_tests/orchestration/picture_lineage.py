"""The lineage from photographs to features on a drawn folder: the real catalogue, images and manifests, and two workers
of the tests in the place of the networks. Its stories are told in test_stories.py.
"""

import csv
import io
import itertools
import random
import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pyarrow as pa
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from PIL import Image

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.home.artifact import table
from geo_pipeline.home.home import Home
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assembly import assemble_lineage
from geo_pipeline.orchestration.assets import all_stages
from geo_pipeline.orchestration.lineage import Freshness
from geo_pipeline.orchestration.runner import bring_up_to_date
from geo_pipeline.orchestration.stage import Made, written_shards
from geo_pipeline.profiles.photos import photos
from geo_pipeline.profiles.sources import files_spec
from geo_pipeline_tests.orchestration.conftest import NO_TELEMETRY

SHARDS = 4
KEPT = (
    "catalogue",
    "images",
    "image_manifest",
    "segmentations",
    "segmentation_manifest",
    "features",
    "reference_gallery",
)


class StoppedError(RuntimeError):
    """The test stops the work in the middle, as a kill would."""


class CountingCompute(InProcessCompute):
    """Counts its calls, and stops after so many shards when told so."""

    def __init__(self, config):
        super().__init__(config)
        self.calls = []
        self.stop_after = None

    def map_shards(self, job, keys, on_cpu=False):
        self.calls.append(job.name)
        stops = self.stop_after is not None and "Flat" in job.name
        yield from itertools.islice(super().map_shards(job, keys, on_cpu), self.stop_after if stops else None)
        if stops:
            raise StoppedError("stopped in the middle")


class FlatMaps:
    """image_id, jpeg -> a class map of one class, which the configuration and the photograph decide."""

    def __init__(self, config):
        self.config = config

    def __call__(self, rows):
        sink, maps, sizes = None, [], []
        for jpeg in rows["jpeg"].to_pylist():
            with Image.open(io.BytesIO(jpeg)) as picture:
                colour, size = sum(picture.convert("RGB").getpixel((0, 0))), picture.size
            sink = io.BytesIO()
            Image.new("L", size, (colour + self.config.input_px) % 150).save(sink, "PNG")
            maps.append(sink.getvalue())
            sizes.append(size)
        columns = {"image_id": rows["image_id"], "class_map_png": pa.array(maps, pa.binary())}
        columns |= {
            name: pa.array([size[axis] for size in sizes], pa.int32()) for axis, name in enumerate(("width", "height"))
        }
        return pa.table(columns)


def features_of(rows):
    values = [[len(png) / 1000, png[-20] / 1000] for png in rows["class_map_png"].to_pylist()]
    return pa.table({"image_id": rows["image_id"], "feature": pa.array(values, pa.list_(pa.float32()))})


def lineage_of(profile):
    """The stages up to the gallery, with workers of the tests."""
    whole = all_stages(profile, METHODS, BENCHMARKS)

    def segment(step, keys):
        job = step.job(
            keys,
            FlatMaps,
            lambda reads, key: reads.table("images", key, ["image_id", "jpeg"]),
            lambda reads: {"config": profile.segmentation},
        )
        yield from written_shards(step, job, keys)

    def look(step, keys):
        for key in keys:
            step.table("images", key, ["image_id"])
            yield Made(key, {"features": features_of(step.table("segmentations", key))})

    stages = {name: whole.stages[name] for name in KEPT}
    stages["segmentations"] = replace(stages["segmentations"], make=segment)
    stages["features"] = replace(
        stages["features"], make=look, inputs=lambda key: (table("images", key), table("segmentations", key))
    )
    return replace(whole, stages=stages)


class Pictures:
    """A folder of photographs with its CSV, a home, and a Dagster instance; what a user does to them."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.home = Home(self.folder / "home")
        self.instance = None
        self.segmentation = {}

    @contextmanager
    def opened(self):
        """With its Dagster instance."""
        (self.folder / "dagster").mkdir(exist_ok=True)
        with dg.DagsterInstance.local_temp(str(self.folder / "dagster"), overrides=NO_TELEMETRY) as instance:
            self.instance = instance
            yield self

    def copied(self, place):
        """The same in another place, times of change included."""
        return Pictures(shutil.copytree(self.folder, place))

    def photograph(self, number, colour=None):
        """Draw or redraw a photograph."""
        drawn = random.Random(f"{number} {colour}")
        picture = Image.new("RGB", (70, 66), tuple(drawn.randrange(256) for _ in range(3)))
        (self.folder / "photographs").mkdir(parents=True, exist_ok=True)
        picture.save(self.folder / "photographs" / f"photo-{number:03d}.jpg", quality=90)

    def listed(self, numbers):
        """Write the CSV: a photographer each, places far apart."""
        with (self.folder / "photographs.csv").open("w", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(["path", "latitude", "longitude", "author"])
            for number in numbers:
                writer.writerow(
                    [f"photo-{number:03d}.jpg", number % 120 - 60 + 0.5, (7 * number) % 340 - 170, f"author {number}"]
                )

    @property
    def profile(self):
        spec = files_spec(self.folder / "photographs", self.folder / "photographs.csv")
        made = photos(spec, 0, SHARDS)
        return replace(made, segmentation=replace(made.segmentation, **self.segmentation))

    def assembled(self):
        compute = CountingCompute(self.profile.compute)
        return assemble_lineage(lineage_of(self.profile), self.home, compute), compute

    def bring_up(self, selection=None):
        """Bring up to date; which keys each asset was executed for."""
        made, _ = self.assembled()
        return bring_up_to_date(
            made.definitions, made.lineage, self.home, made.control, self.instance, selection
        ).executed

    def shards_of(self, numbers):
        """In which shards photographs lie, by the catalogue."""
        wanted = {f"photo-{number:03d}.jpg" for number in numbers}
        found = set()
        for key in lineage_of(self.profile).stages["catalogue"].keys:
            locators = self.home.read_table("catalogue", key, ["locator"])["locator"].to_pylist()
            found |= {key} if wanted & set(locators) else set()
        return sorted(found)

    def files(self):
        """Every table's file with its time of change."""
        root = self.home.root / "tables"
        return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in root.rglob("*.parquet")}

    def cursor(self):
        """Where Dagster's record ends."""
        return self.instance.event_log_storage.get_maximum_record_id() or 0

    def materialized(self, cursor):
        """What was really made since then, by Dagster's record: the shards of each asset."""
        made = {}
        for name in KEPT:
            for record in self.instance.fetch_materializations(dg.AssetKey(name), limit=1000).records:
                event = record.asset_materialization
                if record.storage_id > cursor and not event.metadata["reused"].value:
                    made.setdefault(name, []).append(event.partition or "all")
        return {name: sorted(keys) for name, keys in made.items()}

    def stale_marks(self):
        """What is not fresh by Dagster's own marks, and by ours when inputs are taken as they are."""
        made, _ = self.assembled()
        graph = made.definitions.resolve_asset_graph()
        resolver = CachingStaleStatusResolver(self.instance, graph, LoadingContextForTest(self.instance))
        freshness = Freshness(made.lineage, self.home)
        dagsters, ours = set(), set()
        for stage in made.lineage.stages.values():
            for key in stage.keys:
                status = resolver.get_status(dg.AssetKey(stage.name), key if stage.partitioned else None)
                dagsters |= {(stage.name, key)} if status != StaleStatus.FRESH else set()
                ours |= {(stage.name, key)} if freshness.own_state(stage, key) != "fresh" else set()
        return dagsters, ours

    def not_up_to_date(self):
        """Assets that are not fresh when everything upstream counts, as `geo-pipeline status` says it."""
        made, _ = self.assembled()
        freshness = Freshness(made.lineage, self.home)
        return {
            (stage.name, key)
            for stage in made.lineage.stages.values()
            for key in stage.keys
            if freshness.state(stage, key) != "fresh"
        }
