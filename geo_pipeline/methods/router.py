"""GeoRouter and its two blind twins: the coordinate of whichever paradigm the router chooses for the query.

`router_queries` builds what a router sees of a query; `geo-pipeline locate` uses it too.
"""

from collections.abc import Callable, Mapping

import pyarrow as pa

from geo_pipeline.methods.method import Method, Reads, Settings

CANDIDATES = ("candidate_lats_deg", "candidate_lons_deg")


def router_inputs(images: pa.Table, retrieval: pa.Table, generation: pa.Table, top1: pa.Table) -> pa.Table:
    """One row per image, in order of id: both paradigms' answers and the top reference image.

    `images` and `top1` have the columns image_id and jpeg; the others are tables of the predictions contract.
    """
    ids = images["image_id"].to_pylist()
    retrieved = {
        row["image_id"]: row
        for row in retrieval.select(
            ["image_id", "lat_deg", "lon_deg", "failure", "candidate_ids", *CANDIDATES]
        ).to_pylist()
    }
    generated = {
        row["image_id"]: row for row in generation.select(["image_id", "lat_deg", "lon_deg", "failure"]).to_pylist()
    }
    jpeg_of = dict(zip(top1["image_id"].to_pylist(), top1["jpeg"].to_pylist(), strict=True))
    answers = [(retrieved[image_id], generated[image_id]) for image_id in ids]
    return pa.table(
        {
            "image_id": pa.array(ids, pa.string()),
            "jpeg": images["jpeg"],
            "top1_jpeg": pa.array(
                [jpeg_of.get((found["candidate_ids"] or [None])[0]) for found, _ in answers], pa.binary()
            ),
            "retrieval_lat_deg": pa.array([found["lat_deg"] for found, _ in answers], pa.float64()),
            "retrieval_lon_deg": pa.array([found["lon_deg"] for found, _ in answers], pa.float64()),
            "retrieval_failure": pa.array([found["failure"] for found, _ in answers], pa.string()),
            "generation_lat_deg": pa.array([said["lat_deg"] for _, said in answers], pa.float64()),
            "generation_lon_deg": pa.array([said["lon_deg"] for _, said in answers], pa.float64()),
            "generation_failure": pa.array([said["failure"] for _, said in answers], pa.string()),
            **{name: pa.array([found[name] for found, _ in answers], pa.list_(pa.float64())) for name in CANDIDATES},
        }
    ).sort_by("image_id")


def top_references(retrieval: pa.Table) -> list[str]:
    """Ids of the best reference image of each query that has one, each once, sorted."""
    return sorted({ids[0] for ids in retrieval["candidate_ids"].to_pylist() if ids})


def _queries(reads: Reads, query_set: str) -> pa.Table:
    retrieval, generation = reads.predictions("retrieval", query_set), reads.predictions("generation", query_set)
    images = reads.table("images", query_set, ["image_id", "jpeg"])
    return router_inputs(images, retrieval, generation, reads.reference_images(top_references(retrieval)))


def _arguments_of(name: str) -> Callable[[Reads], Mapping[str, object]]:
    return lambda reads: {"checkpoint_dir": reads.checkpoint(f"{name}_checkpoint"), "method": name}


def _settings(profile: Settings) -> object:
    return profile.lvlm


def _router(name: str, title: str, asset: str, variant: str, description: str) -> Method:
    return Method(
        name=name,
        title=title,
        paradigm="router",
        description=description,
        asset=asset,
        upstream=(f"{name}_checkpoint", "images", "image_manifest", "retrieval_predictions", "generation_predictions"),
        implementation="geo_pipeline.georouter.worker:RouterPredictor",
        queries=_queries,
        arguments=_arguments_of(name),
        rooms=("georouter", "lvlm", "routing", "methods.router"),
        settings=_settings,
        remote=True,
        query_sets="benchmarks",
        variant=variant,
    )


ROUTER = _router(
    "router",
    "GeoRouter",
    "routed_predictions",
    "full",
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
