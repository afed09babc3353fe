"""The asset `geocells`. How the Earth is cut belongs to earth.partition."""

from geo_pipeline.orchestration.partitions import whole
from geo_pipeline.orchestration.recipe import asset, tables
from geo_pipeline.orchestration.work import Work


@asset(
    title="Geocells",
    reads={"image_manifest": whole},
    writes=tables("geocells", "coverage"),
    settings=lambda scope: scope.profile.partition,
    group_name="geocells",
    kinds={"parquet", "numpy"},
)
def geocells(work: Work) -> None:
    """The Earth cut into cells, seven times from coarse to fine, so that each cell holds a like number of training
    photographs; GeoSURGE learns one point in its space per cell.
    """
    from geo_pipeline.earth.partition import build_and_assign

    columns = ["image_id", "set_name", "lat_deg", "lon_deg"]
    rows = work.read_all("images", work.listed("image_manifest", "images"), columns)
    training = rows.filter([name == "train" for name in rows["set_name"].to_pylist()])
    lat_deg, lon_deg = training["lat_deg"].to_numpy(), training["lon_deg"].to_numpy()
    hierarchy, cells_NP = build_and_assign(lat_deg, lon_deg, work.profile.partition)
    work.write(
        notes={"training photographs": training.num_rows},
        geocells=hierarchy.to_table(),
        coverage=hierarchy.coverage_of(cells_NP),
    )
