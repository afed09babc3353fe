"""The one frozen configuration of a run.

The values of each size stand in sample.py, photos.py and paper.py; no code branches on a profile.
"""

from dataclasses import dataclass, field

from geo_pipeline.baselines.config import BaselineConfig
from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.earth.distance import DistanceKind
from geo_pipeline.earth.partition import PartitionConfig
from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.geosurge.ablations import ABLATIONS
from geo_pipeline.geosurge.config import GeoSurgeConfig, InferenceConfig
from geo_pipeline.imagery.split import ROUTER_QUERIES, SplitConfig
from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.profiles.buildable import (
    baseline_problems,
    geosurge_problems,
    language_problems,
    router_problems,
)
from geo_pipeline.profiles.requirements import NeededFiles, needed_files
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline.profiles.sources import SourceSpec
from geo_pipeline.routing.preference import DispoConfig
from geo_pipeline.segmentation.config import SegmentationConfig


class ProfileError(ValueError):
    """A run cannot start; the message lists everything that is missing or wrong at once."""


@dataclass(frozen=True)
class Profile:
    """One size of the pipeline.

    - `statement`: one or two sentences for the report's reader on what data and networks these are; `source_words` the
      same in a few words, for a column beside published results.
    - `reference_shards`: Dagster shards of the training and reference images; their number never follows from that of
      the images, so that images that are added move no others.
    - `query_shards`: shards of query sets that need other than one (sets that are drawn from the photographs themselves
      follow the number of reference shards).
    - `expected_counts`: photographs of a benchmark where they are not those of its protocol (a rehearsal).
    - `canonical_px`, `canonical_quality`: shorter side and JPEG quality of the stored images.
    - `baselines`: how every baseline is trained, with its idea and without; `everyday_baselines` names those that a
      plain run trains and reports, the others are trained on demand. `ablations`: variants of GeoSURGE, on demand.
    - `max_rejected_share`: more rejected photographs than this share fail the run (rejecting a whole shard always
      does).
    - `chosen`: the settings that a user changed, each with its path, its value and the profile's own, as YAML.
    """

    name: str
    statement: str
    seed: int
    source: SourceSpec
    split: SplitConfig
    reference_shards: int
    benchmarks: tuple[str, ...]
    canonical_px: int
    canonical_quality: int
    partition: PartitionConfig
    segmentation: SegmentationConfig
    geosurge: GeoSurgeConfig
    inference: InferenceConfig
    lvlm: LvlmConfig
    router: RouterConfig
    baselines: tuple[BaselineConfig, ...]
    everyday_baselines: tuple[str, ...] = ()
    ablations: tuple[str, ...] = tuple(ABLATIONS)
    source_words: str = ""
    query_shards: tuple[tuple[str, int], ...] = ()
    expected_counts: tuple[tuple[str, int], ...] = ()
    distance: DistanceKind = "great_circle"
    max_rejected_share: float = 0.05
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    dispo: DispoConfig = field(default_factory=DispoConfig)
    chosen: tuple[tuple[str, str, str], ...] = ()

    def __post_init__(self) -> None:
        limits = {"canonical_px": (1, None), "canonical_quality": (1, 100), "reference_shards": (1, None)}
        wrong = [
            f"found {name} = {getattr(self, name)}, expected {least} " + ("or more" if most is None else f"to {most}")
            for name, (least, most) in limits.items()
            if getattr(self, name) < least or (most is not None and getattr(self, name) > most)
        ]
        wrong += [
            f"found {name} [{key}, {number}], expected {least} or more"
            for name, least in (("query_shards", 1), ("expected_counts", 0))
            for key, number in getattr(self, name)
            if number < least
        ]
        unknown = [name for name in self.ablations if name not in ABLATIONS]
        if unknown:
            wrong.append(f"found the ablation {unknown[0]}, expected some of {', '.join(ABLATIONS)}")
        if wrong:
            raise ProfileError("; ".join(wrong))

    def missing(self) -> list[str]:
        """Everything that has to be there before a run and is not; one line each."""
        return self.source.missing() + [line for need in self.needs for line in need.missing()]

    @property
    def needs(self) -> list[NeededFiles]:
        """The weights and class lists that a plain run reads."""
        trained = [each.vision for each in self.baselines if each.name in self.everyday_baselines]
        return needed_files(self.lvlm, self.router.lvlm, self.segmentation, [self.geosurge.vision, *trained])

    def wrong(self, in_process: bool = False) -> list[str]:
        """Settings that do not fit each other; one line each. Work in this process has one worker."""
        found = self._undivided(1 if in_process else self.compute.train_workers)
        partitions, depth = len(self.partition.tau_max), self.geosurge.depth
        if depth is not None and depth > partitions:
            found.append(f"found geosurge.depth {depth}, expected at most the {partitions} values of partition.tau_max")
        classes = {self.segmentation.classes, self.geosurge.fusion.classes}
        if len(classes) > 1:
            found.append(
                f"found segmentation.classes {self.segmentation.classes} and geosurge.fusion.classes "
                f"{self.geosurge.fusion.classes}, expected the same number"
            )
        if bool(self.split.benchmark) != (self.split.benchmark_name in self.benchmarks):
            found.append(
                f"found split.benchmark {self.split.benchmark} with the benchmarks {', '.join(self.benchmarks)}, "
                f"expected a share above 0 where {self.split.benchmark_name} is one of them, and only there"
            )
        if self.inference.score == "shifted" and self.geosurge.geography == "classifier":
            found.append(
                "found inference.score shifted with geosurge.geography classifier, which has no cosines to shift; "
                "expected another of the two: choose log_softmax, or embeddings"
            )
        found += self._unbuildable()
        known = (*dict.fromkeys((*self.benchmarks, *BENCHMARKS)), ROUTER_QUERIES)
        unknown = [name for name, _ in self.query_shards if name not in known]
        if unknown:
            found.append(f"found query_shards of {unknown[0]}, expected one of {', '.join(known)}")
        return found

    def _unbuildable(self) -> list[str]:
        """Lines for what would fail hours later, where a network of a plain run is built."""
        found = [*geosurge_problems(self.geosurge), *language_problems("lvlm", self.lvlm)]
        found += router_problems(self.router)
        return found + [line for each in self.baselines if self._trains(each) for line in baseline_problems(each)]

    def _trains(self, baseline: BaselineConfig) -> bool:
        return baseline.idea and baseline.name in self.everyday_baselines

    def _undivided(self, workers: int) -> list[str]:
        """A line for each training of a plain run whose lanes so many workers cannot divide."""
        trainings = {"geosurge": self.geosurge.training}
        trainings |= {f"baselines.{each.name}": each.training for each in self.baselines if self._trains(each)}
        found = []
        for path, training in trainings.items():
            if training.lanes % workers:
                possible = ", ".join(str(n) for n in range(1, training.lanes + 1) if training.lanes % n == 0)
                found.append(
                    f"found {workers} training workers for {path}.training.lanes {training.lanes}, expected a divisor "
                    f"of the lanes ({possible}): choose one with --workers, or other lanes"
                )
        return found

    def check_start(self, in_process: bool = False) -> None:
        """Raise ProfileError with everything that is missing or does not fit, in one message."""
        lines = self.wrong(in_process) + self.missing()
        if lines:
            listed = "\n".join(f"  - {line}" for line in lines)
            raise ProfileError(f"found that the profile {self.name} cannot start; missing or wrong:\n{listed}")
