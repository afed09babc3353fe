"""The asset `georouting_table`. Labels and preferences belong to routing.table."""

from geo_pipeline.orchestration.partitions import every, router_query_shards
from geo_pipeline.orchestration.recipe import asset, tables
from geo_pipeline.orchestration.work import Work


@asset(
    title="GeoRouting table",
    reads={
        "images": every(router_query_shards),
        "retrieval_predictions": every(router_query_shards),
        "generation_predictions": every(router_query_shards),
    },
    writes=tables("georouting"),
    settings=lambda scope: scope.profile.distance,
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
    rows = build_georouting(retrieval, generation, truth, work.profile.distance)
    labels = rows["label"].to_pylist()
    work.write(notes={"share where generation is better": sum(labels) / max(1, len(labels))}, georouting=rows)
