"""The asset `georouting_table`. Labels and preferences belong to routing.table."""

from dataclasses import asdict
from typing import Any

from geo_pipeline.orchestration.partitions import Scope, every, router_query_shards
from geo_pipeline.orchestration.recipe import asset, tables
from geo_pipeline.orchestration.work import Work


def how_labelled(scope: Scope) -> dict[str, Any]:
    """The distance in which errors are compared, and DisPO's alpha and epsilon."""
    return {"distance": scope.profile.distance, **asdict(scope.profile.dispo)}


@asset(
    title="GeoRouting table",
    reads={
        "images": every(router_query_shards),
        "retrieval_predictions": every(router_query_shards),
        "generation_predictions": every(router_query_shards),
    },
    writes=tables("georouting"),
    settings=how_labelled,
    group_name="routing",
    kinds={"parquet"},
)
def georouting_table(work: Work) -> None:
    """What the router learns from: for each training query both paradigms' answers, how far off each is, and how
    strongly the better one is to be preferred.
    """
    from geo_pipeline.routing.table import build_georouting

    queries = router_query_shards(work.scope)
    truth = work.read_all("images", queries, ["image_id", "lat_deg", "lon_deg"])
    retrieval = work.read_all("predictions", [f"retrieval/{key}" for key in queries])
    generation = work.read_all("predictions", [f"generation/{key}" for key in queries])
    rows = build_georouting(retrieval, generation, truth, **how_labelled(work.scope))
    labels = rows["label"].to_pylist()
    work.write(notes={"share where generation is better": sum(labels) / max(1, len(labels))}, georouting=rows)
