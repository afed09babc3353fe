"""The checkpoint assets of the routers, one for each router of METHODS. The network stands in georouter.model."""

from dataclasses import replace
from typing import cast

from geo_pipeline.georouter.config import RouterConfig
from geo_pipeline.methods.method import Method
from geo_pipeline.orchestration.assets.georouting import how_labelled
from geo_pipeline.orchestration.assets.predictions import routers
from geo_pipeline.orchestration.partitions import Scope, every, router_query_shards, whole
from geo_pipeline.orchestration.recipe import GPU, Declaration, asset_for_each, checkpoint
from geo_pipeline.orchestration.work import Work
from geo_pipeline.routing.prompt import PromptVariant
from geo_pipeline.training.folder import LAST


def checkpoint_of(scope: Scope, method: Method) -> Declaration:
    """The asset of a router's checkpoint."""
    name = str(method.checkpoint)
    return Declaration(
        name=name,
        title=f"Checkpoint: {method.title}",
        description=(
            f"{method.title}, trained: a vision-language model with LoRA that says for a query which paradigm to "
            f"trust (prompt: {router_config(scope, method).variant})."
        ),
        group_name="routing",
        kinds=frozenset({"pytorch", "ray"}),
        reads={"georouting_table": whole, "images": every(router_query_shards), "image_manifest": whole},
        writes=checkpoint(name),
        settings=lambda scope: (
            router_config(scope, method),
            how_labelled(scope),
            scope.profile.compute.training_settings(),
        ),
        pool=GPU,
    )


@asset_for_each(routers, checkpoint_of)
def router_checkpoints(work: Work, method: Method) -> None:
    """A router, trained on the GeoRouting table."""
    from geo_pipeline.georouter.gathered import gather_images
    from geo_pipeline.georouter.training import train

    own = [work.path("images", key, "part") for key in router_query_shards(work.scope)]
    files = [*own, *work.listed_paths("image_manifest", "images", "part")]
    georouting, config = work.path("georouting"), router_config(work.scope, method)
    work.train(
        train,
        georouting=georouting,
        images=gather_images(georouting, files, work.folder() / LAST, config.variant),
        config=config,
        labels=how_labelled(work.scope),
    )


def router_config(scope: Scope, method: Method) -> RouterConfig:
    """The profile's router, with the prompt of a method that has one of its own."""
    router = scope.profile.router
    return router if method.variant is None else replace(router, variant=cast(PromptVariant, method.variant))
