"""The checkpoint assets of the baselines: published methods, trained on the same photographs as GeoSURGE."""

from collections.abc import Iterator, Sequence

from geo_pipeline.baselines.registry import entry
from geo_pipeline.home.artifact import ALL, Artifact, checkpoint, manifest, table
from geo_pipeline.methods.method import Method
from geo_pipeline.orchestration.assets.geosurge import epoch_line
from geo_pipeline.orchestration.stage import Made, Stage, Step
from geo_pipeline.profiles.profile import Profile, ProfileError


def baseline_stage(method: Method, baseline: str, profile: Profile, on_demand: bool) -> Stage:
    """The checkpoint of one baseline, with its idea or without."""
    name = str(method.checkpoint)
    configs = {config.method: config for config in profile.baselines}
    if method.name not in configs:
        raise ProfileError(
            f"found no configuration of the baseline {method.name} in profile {profile.name}, expected one of "
            f"{', '.join(configs)}; add it to the profile's baselines"
        )
    config, cells = configs[method.name], entry(baseline).cells

    def inputs(key: str) -> tuple[Artifact, ...]:
        return (manifest("image_manifest"), manifest("segmentation_manifest"), *((table("geocells"),) if cells else ()))

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        from geo_pipeline.baselines.training import train

        training = step.compute.train(
            train,
            {
                "images": step.listed_paths("image_manifest", "images"),
                "segmentations": step.listed_paths("segmentation_manifest", "segmentations"),
                "hierarchy_table": step.path("geocells") if cells else None,
                "config": config,
                "out_dir": step.building(),
            },
            lambda row: step.log(epoch_line(row)),
            workers=1,
        )
        yield Made(ALL, {"training_curves": training.curves}, notes=training.metrics)

    return Stage(
        name=name,
        title=f"Checkpoint: {method.title}",
        description=f"{method.title}, trained on the photographs that GeoSURGE is trained on. {method.description}",
        group="baselines",
        kinds=("pytorch", "ray"),
        keys=(ALL,),
        partitioned=False,
        inputs=inputs,
        outputs=lambda key: (checkpoint(name), table("training_curves", name)),
        make=make,
        rooms=("baselines", "geosurge", "earth", "imagery.crops", "imagery.decode", "sample_world.ade20k"),
        settings=(config, profile.compute.train_threads),
        heavy=True,
        on_demand=on_demand,
    )
