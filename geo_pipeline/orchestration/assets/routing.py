"""The assets `georouting_table` (which paradigm was better for each query) and the router checkpoints."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import pyarrow as pa

from geo_pipeline.home.artifact import ALL, checkpoint, manifest, table
from geo_pipeline.methods.method import Method
from geo_pipeline.orchestration.assets.geosurge import epoch_line
from geo_pipeline.orchestration.shards import ROUTER_QUERIES, Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, prediction
from geo_pipeline.profiles.profile import Profile
from geo_pipeline.routing.prompt import PromptVariant


def georouting_stage(methods: dict[str, Method], profile: Profile, shards: Shards) -> Stage:
    """The GeoRouting table."""
    queries = shards.of(ROUTER_QUERIES)

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        from geo_pipeline.routing.table import build_georouting

        truth = pa.concat_tables([step.table("images", key, ["image_id", "lat_deg", "lon_deg"]) for key in queries])
        retrieval, generation = (
            pa.concat_tables([step.predictions(name, key) for key in queries]) for name in ("retrieval", "generation")
        )
        rows = build_georouting(retrieval, generation, truth, profile.distance)
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
        inputs=lambda key: tuple(
            artifact
            for query_key in queries
            for artifact in (
                table("images", query_key),
                prediction(methods["retrieval"], query_key),
                prediction(methods["generation"], query_key),
            )
        ),
        outputs=lambda key: (table("georouting"),),
        make=make,
        rooms=("routing.table", "routing.preference", "earth.distance"),
        settings=profile.distance,
    )


def router_stage(method: Method, profile: Profile, shards: Shards) -> Stage:
    """The checkpoint of one router."""
    queries = shards.of(ROUTER_QUERIES)
    name = method.checkpoint or method.name
    config = replace(profile.router, variant=cast(PromptVariant, method.variant))

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        from geo_pipeline.georouter.training import train

        training = step.compute.train(
            train,
            {
                "georouting": step.path("georouting"),
                "images": [
                    *(step.path("images", query_key) for query_key in queries),
                    *step.listed_paths("image_manifest", "images"),
                ],
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
        inputs=lambda key: (
            table("georouting"),
            *(table("images", query_key) for query_key in queries),
            manifest("image_manifest"),
        ),
        outputs=lambda key: (checkpoint(name), table("training_curves", name)),
        make=make,
        rooms=("georouter", "lvlm", "routing", "imagery.decode"),
        settings=(config, profile.compute.training_settings()),
        heavy=True,
    )
