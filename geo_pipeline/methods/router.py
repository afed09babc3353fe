"""GeoRouter and its two blind twins: the coordinate of whichever paradigm the router chooses for the query.

`router_inputs` builds what a router sees of a query; `geo-pipeline locate` uses it too.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from geo_pipeline.methods.method import Method, Reads, Settings
from geo_pipeline.methods.photographs import reference_images

if TYPE_CHECKING:
    from geo_pipeline.georouter.worker import RouterPredictor

CANDIDATES = ("candidate_lats_deg", "candidate_lons_deg")
ANSWER = ("lat_deg", "lon_deg", "failure")


def router_inputs(images: pa.Table, retrieval: pa.Table, generation: pa.Table, top1: pa.Table) -> pa.Table:
    """One row per image, in order of id: both paradigms' answers and the top reference image.

    `images` and `top1` have the columns image_id and jpeg; the others are tables of the predictions contract. Raises
    ValueError where a query has no row in one of them.
    """
    import polars as pl

    def answers(predictions: pa.Table, name: str) -> pl.DataFrame:
        return pl.DataFrame(predictions).select("image_id", pl.col(ANSWER).name.prefix(f"{name}_"))

    ids = pl.DataFrame(retrieval).select("image_id", *CANDIDATES, top1=pl.col("candidate_ids").list.first())
    rows = (
        pl.DataFrame(images)
        .select("image_id", "jpeg")
        .join(ids, on="image_id", validate="1:1")
        .join(pl.DataFrame(top1).select(top1="image_id", top1_jpeg="jpeg"), on="top1", how="left", validate="m:1")
        .join(answers(retrieval, "retrieval"), on="image_id", validate="1:1")
        .join(answers(generation, "generation"), on="image_id", validate="1:1")
    )
    if rows.height != images.num_rows:
        raise ValueError(
            f"found answers of both paradigms to {rows.height} of {images.num_rows} queries, expected all; "
            "rematerialize the retrieval and the generation predictions of this query set"
        )
    return rows.drop("top1").sort("image_id").to_arrow()


def top_references(retrieval: pa.Table) -> list[str]:
    """Ids of the best reference image of each query that has one, each once, sorted."""
    return sorted({ids[0] for ids in retrieval["candidate_ids"].to_pylist() if ids})


def _queries(reads: Reads, query_set: str) -> pa.Table:
    retrieval, generation = reads.predictions("retrieval", query_set), reads.predictions("generation", query_set)
    images = reads.table("images", query_set, ["image_id", "jpeg"])
    return router_inputs(images, retrieval, generation, reference_images(reads, top_references(retrieval)))


def _arguments_of(name: str) -> Callable[[Reads], Mapping[str, object]]:
    return lambda reads: {"checkpoint_dir": reads.checkpoint(f"{name}_checkpoint"), "method": name}


def _worker() -> "type[RouterPredictor]":
    from geo_pipeline.georouter.worker import RouterPredictor

    return RouterPredictor


def _settings(profile: Settings) -> object:
    return profile.lvlm


def _router(name: str, title: str, asset: str, variant: str | None, description: str) -> Method:
    return Method(
        name=name,
        title=title,
        kind="router",
        description=description,
        asset=asset,
        upstream=(f"{name}_checkpoint", "images", "image_manifest", "retrieval_predictions", "generation_predictions"),
        worker=_worker,
        queries=_queries,
        arguments=_arguments_of(name),
        settings=_settings,
        remote=True,
        query_sets="benchmarks",
        variant=variant,
    )


ROUTER = _router(
    "router",
    "GeoRouter",
    "routed_predictions",
    None,  # as `router.variant` of the profile says
    (
        "GeoRouter's answer: for each query it reads the photograph and both paradigms' answers and takes the "
        "one it trusts more."
    ),
)
ROUTER_COORDINATES_ONLY = _router(
    "router_coordinates_only",
    "Router, coordinates only",
    "router_coordinates_only_predictions",
    "coordinates_only",
    (
        "A router that sees no image, only the coordinates of both paradigms and the candidates: shows what "
        "the context alone brings."
    ),
)
ROUTER_IMAGE_ONLY = _router(
    "router_image_only",
    "Router, image only",
    "router_image_only_predictions",
    "image_only",
    "A router that sees the photograph and no coordinate: shows what the image alone brings.",
)
