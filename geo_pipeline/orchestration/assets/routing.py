"""The assets `georouting_table` (which paradigm was better for each query) and the router checkpoints."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

from geo_pipeline.methods.method import Method
from geo_pipeline.orchestration.artifacts import ALL, checkpoint, manifest, table
from geo_pipeline.orchestration.assets.geosurge import epoch_line
from geo_pipeline.orchestration.shards import ROUTER_QUERIES
from geo_pipeline.orchestration.stage import Made, Stage, Step, prediction
from geo_pipeline.profiles.profile import Profile
from geo_pipeline.routing.prompt import PromptVariant
from geo_pipeline.routing.table import build_georouting

TRAIN = "geo_pipeline.georouter.training:train"


def georouting_stage(methods: dict[str, Method], profile: Profile) -> Stage:
    """The GeoRouting table."""

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        truth = step.table("images", ROUTER_QUERIES, ["image_id", "lat_deg", "lon_deg"])
        rows = build_georouting(
            step.predictions("retrieval", ROUTER_QUERIES),
            step.predictions("generation", ROUTER_QUERIES),
            truth,
            profile.distance,
        )
        labels = rows["label"].to_pylist()
        yield Made(
            ALL, {"georouting": rows}, notes={"share where generation is better": sum(labels) / max(1, len(labels))}
        )

    return Stage(
        name="georouting_table",
        title="GeoRouting table",
        description=(
            "What the router learns from: for each training query both paradigms' answers, how far off "
            "each is, and how strongly the better "
            "one is to be preferred."
        ),
        group="routing",
        kinds=("parquet",),
        keys=(ALL,),
        partitioned=False,
        inputs=lambda key: (
            table("images", ROUTER_QUERIES),
            prediction(methods["retrieval"], ROUTER_QUERIES),
            prediction(methods["generation"], ROUTER_QUERIES),
        ),
        outputs=lambda key: (table("georouting"),),
        make=make,
        rooms=("routing.table", "routing.preference", "earth.distance"),
        settings=profile.distance,
    )


def router_stage(method: Method, profile: Profile) -> Stage:
    """The checkpoint of one router."""
    name = method.checkpoint or method.name
    config = replace(profile.router, variant=cast(PromptVariant, method.variant))

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        training = step.compute.train(
            TRAIN,
            {
                "georouting": step.path("georouting"),
                "images": [step.path("images", ROUTER_QUERIES), *step.listed_paths("image_manifest", "images")],
                "config": config,
                "out_dir": step.building(),
            },
            lambda row: step.log(epoch_line(row)),
        )
        yield Made(ALL, {"training_curves": training.curves}, notes=training.metrics)

    return Stage(
        name=name,
        title=f"Checkpoint: {method.title}",
        description=(
            f"{method.title}, trained: a vision-language model with LoRA that says for a query which paradigm "
            f"to trust (prompt: {method.variant})."
        ),
        group="routing",
        kinds=("pytorch", "ray"),
        keys=(ALL,),
        partitioned=False,
        inputs=lambda key: (table("georouting"), table("images", ROUTER_QUERIES), manifest("image_manifest")),
        outputs=lambda key: (checkpoint(name), table("training_curves", name)),
        make=make,
        rooms=("georouter", "lvlm", "routing", "imagery.decode"),
        settings=(config, profile.compute.training_settings()),
        heavy=True,
    )
