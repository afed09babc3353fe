"""The one frozen configuration of a run.

The values of each size stand in sample.py, photos.py and paper.py; no code branches on a profile.
"""

from dataclasses import dataclass, field

from geo_pipeline.baselines.config import BaselineConfig
from geo_pipeline.earth.distance import DistanceKind
from geo_pipeline.earth.partition import PartitionConfig
from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.geosurge.ablations import ABLATIONS, ablated
from geo_pipeline.geosurge.config import GeoSurgeConfig, InferenceConfig
from geo_pipeline.imagery.split import SplitConfig
from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.profiles.requirements import NeededFiles
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline.profiles.sources import SourceSpec
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
    - `canonical_px`, `canonical_quality`: shorter side and JPEG quality of the stored images.
    - `baselines`: how every baseline is trained, with its idea and without; `everyday_baselines` names those that a
      plain run trains and reports, the others are trained on demand. `ablations`: variants of GeoSURGE, on demand.
    - `max_rejected_share`: more rejected photographs than this share fail the run (rejecting a whole shard always
      does).
    - `needs`: weights and class lists that must be there before a run.
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
    distance: DistanceKind = "great_circle"
    max_rejected_share: float = 0.05
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    needs: tuple[NeededFiles, ...] = ()

    def missing(self) -> list[str]:
        """Everything that has to be there before a run and is not; one line each."""
        return self.source.missing() + [line for need in self.needs for line in need.missing()] + self._unshared()

    def _unshared(self) -> list[str]:
        """Lanes that the training workers cannot share. Baselines train on one worker, which takes any lanes."""
        workers = self.compute.train_workers
        configs = (self.geosurge, *(ablated(self.geosurge, name) for name in self.ablations))
        return [
            f"training workers that can share the {lanes} lanes of GeoSURGE and its ablations: found {workers}, "
            f"expected a divisor of {lanes} (change compute.train_workers or geosurge.training.lanes)"
            for lanes in sorted({config.training.lanes for config in configs})
            if lanes % workers
        ]

    def check_start(self) -> None:
        """Raise ProfileError with everything that is missing, in one message."""
        lines = self.missing()
        if lines:
            raise ProfileError(
                f"the profile {self.name} cannot start; missing:\n" + "\n".join(f"  - {line}" for line in lines)
            )
