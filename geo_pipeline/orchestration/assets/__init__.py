"""The stages of the lineage, one module per stage; `all_stages` lists them in the order in which data flows."""

from geo_pipeline.benchmarks.benchmark import Benchmark
from geo_pipeline.methods.method import Method
from geo_pipeline.methods.registry import everyday_methods
from geo_pipeline.orchestration.assets.ablations import ablation_stages
from geo_pipeline.orchestration.assets.baselines import baseline_stage
from geo_pipeline.orchestration.assets.catalogue import catalogue_stages
from geo_pipeline.orchestration.assets.census import census_stages
from geo_pipeline.orchestration.assets.comparison import comparison_stages
from geo_pipeline.orchestration.assets.geocells import geocell_stages
from geo_pipeline.orchestration.assets.geosurge import geosurge_stages
from geo_pipeline.orchestration.assets.images import image_stages
from geo_pipeline.orchestration.assets.predictions import prediction_stage
from geo_pipeline.orchestration.assets.reports import report_stage, scores_stage
from geo_pipeline.orchestration.assets.routing import georouting_stage, router_stage
from geo_pipeline.orchestration.assets.segmentations import segmentation_stages
from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.orchestration.shards import shards_of
from geo_pipeline.profiles.profile import Profile, ProfileError


def all_stages(profile: Profile, methods: dict[str, Method], benchmarks: dict[str, Benchmark]) -> Lineage:
    """The lineage of a profile, from photographs to the report."""
    unknown = [name for name in profile.benchmarks if name not in benchmarks]
    if unknown:
        raise ProfileError(
            f"found the benchmarks {', '.join(unknown)} in profile {profile.name}, expected some of "
            f"{', '.join(benchmarks)}; register them"
        )
    shards = shards_of(profile)
    everyday = everyday_methods(methods, profile.everyday_baselines)
    baselines = [(method, method.baseline) for method in methods.values() if method.baseline is not None]
    plain = [method for method in methods.values() if method.paradigm != "router" and method.baseline is None]
    routers = [method for method in methods.values() if method.paradigm == "router"]
    stages = [
        *catalogue_stages(profile, shards),
        *image_stages(profile, shards),
        *census_stages(profile, shards),
        *segmentation_stages(profile, shards),
        *geocell_stages(profile, shards),
        *geosurge_stages(profile, shards),
        *(baseline_stage(method, name, profile, method.name not in everyday) for method, name in baselines),
        *(prediction_stage(method, methods, profile, shards, method.name not in everyday) for method, _ in baselines),
        *(prediction_stage(method, methods, profile, shards) for method in plain),
        georouting_stage(methods, profile, shards),
        *(router_stage(method, profile, shards) for method in routers),
        *(prediction_stage(method, methods, profile, shards) for method in routers),
        scores_stage(everyday, benchmarks, profile, shards),
        report_stage(everyday, benchmarks, profile, shards),
        *ablation_stages(profile, shards),
        *comparison_stages(methods, benchmarks, profile, shards),
    ]
    return Lineage(profile, {stage.name: stage for stage in stages}, benchmarks)
