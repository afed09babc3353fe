"""The lineage from photographs to features on a drawn folder: the real observation, catalogue, images and manifests,
and two workers of the tests in the place of the networks. Its stories are told in test_stories.py.
"""

import csv
import io
import itertools
import random
import shutil
import sys
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
from geo_pipeline.home.home import Home
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration import events
from geo_pipeline.orchestration.assets import (
    catalogue,
    image_manifest,
    images,
    photographs,
    reference_gallery,
    segmentation_manifest,
)
from geo_pipeline.orchestration.assets.segmentations import in_the_shards_order, oneformer
from geo_pipeline.orchestration.assets.segmentations import photographs as jpegs
from geo_pipeline.orchestration.bring_up_to_date import bring_up_to_date, wanted
from geo_pipeline.orchestration.code_location import code_location
from geo_pipeline.orchestration.freshness import Freshness
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.orchestration.observation import observe
from geo_pipeline.orchestration.partitions import all_shards, same_shard
from geo_pipeline.orchestration.recipe import asset, tables
from geo_pipeline.profiles.photos import photos
from geo_pipeline.profiles.sources import files_spec
from geo_pipeline_tests.orchestration.small_lineage import NO_TELEMETRY

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

    def configured(self, config):
        return self

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


@asset(
    title="Segmentations",
    partitions=all_shards,
    reads={"images": same_shard},
    writes=tables("segmentations"),
    settings=lambda scope: scope.profile.segmentation,
    group_name="segmentation",
    kinds={"parquet"},
)
def segmentations(work):
    """Maps of one class."""
    work.map_shards(FlatMaps, jpegs, oneformer, finish=in_the_shards_order)


@asset(
    title="Features",
    partitions=all_shards,
    reads={"images": same_shard, "segmentations": same_shard},
    writes=tables("features"),
    group_name="geosurge",
    kinds={"parquet"},
)
def features(work):
    """Two numbers of each map."""
    for key in work.keys:
        work.table("images", key, ["image_id"])
        work.write(key, features=features_of(work.table("segmentations", key)))


RECIPES = (
    photographs,
    catalogue,
    images,
    image_manifest,
    segmentations,
    segmentation_manifest,
    features,
    reference_gallery,
)


def lineage_of(profile):
    """The assets up to the gallery, with workers of the tests."""
    return bind(RECIPES, profile, METHODS, BENCHMARKS)


class Opened:
    """Which files whose path begins so Python opens while `watched`."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.files = None
        sys.addaudithook(self._heard)

    def _heard(self, event, arguments):
        if event == "open" and self.files is not None and isinstance(arguments[0], str | Path):
            self.files += [str(arguments[0])] if str(arguments[0]).startswith(self.folder) else []

    @contextmanager
    def watched(self):
        """The list of files, which grows meanwhile."""
        self.files = []
        try:
            yield self.files
        finally:
            self.files = None


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

    def location(self):
        """The code location as it loads now, its lineage, and where its work runs."""
        lineage, compute = lineage_of(self.profile), CountingCompute(self.profile.compute)
        return code_location(lineage, self.home, compute), lineage, compute

    def bring_up(self, selection=None):
        """Bring up to date; which keys each asset was executed for."""
        definitions, lineage, _ = self.location()
        what = wanted(definitions, lineage, selection)
        return bring_up_to_date(definitions, lineage, self.home, self.instance, what).executed

    def look(self):
        """Observe once, as `geo-pipeline observe` does; the shards that hold other photographs than before."""
        lineage = lineage_of(self.profile)
        changed = observe(lineage.scope, self.home)
        events.record_observations(self.instance, lineage.assets["photographs"], Freshness(lineage, self.home))
        return sorted(changed)

    def look_in_dagster(self):
        """Observe once, as the UI and its automation do: by executing the source asset; the shards observed anew."""
        cursor = self.cursor()
        definitions, _, _ = self.location()
        key = dg.AssetKey("photographs")
        job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection={key})
        assert job.execute_in_process(instance=self.instance).success
        records = self.instance.fetch_observations(key, limit=1000).records
        return sorted(record.partition_key for record in records if record.storage_id > cursor)

    def shards_of(self, numbers):
        """In which shards photographs lie, by the catalogue."""
        wanted = {f"photo-{number:03d}.jpg" for number in numbers}
        found = set()
        for key in lineage_of(self.profile).assets["catalogue"].keys:
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
                if record.storage_id > cursor and not event.metadata["unchanged"].value:
                    made.setdefault(name, []).append(event.partition or "all")
        return {name: sorted(keys) for name, keys in made.items()}

    def stale_marks(self):
        """What is not fresh by Dagster's own marks, and by ours when inputs are taken as they are."""
        definitions, lineage, _ = self.location()
        resolver = CachingStaleStatusResolver(
            self.instance, definitions.resolve_asset_graph(), LoadingContextForTest(self.instance)
        )
        freshness = Freshness(lineage, self.home)
        dagsters, ours = set(), set()
        for each in lineage.assets.values():
            for key in each.keys:
                status = resolver.get_status(dg.AssetKey(each.name), key if each.partitioned else None)
                dagsters |= {(each.name, key)} if status != StaleStatus.FRESH else set()
                ours |= {(each.name, key)} if freshness.own_state(each, key) != "fresh" else set()
        return dagsters, ours

    def not_up_to_date(self):
        """Assets that are not fresh when everything upstream counts, as `geo-pipeline status` says it."""
        lineage = lineage_of(self.profile)
        freshness = Freshness(lineage, self.home)
        return {
            (each.name, key)
            for each in lineage.assets.values()
            for key in each.keys
            if freshness.state(each, key) != "fresh"
        }
