"""The asset `geocells`: the Earth cut into S2 cells.

Seven partitions from coarse to fine, by where the training photographs lie.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.earth.partition import build_and_assign
from geo_pipeline.home.artifact import ALL, manifest, table
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step
from geo_pipeline.profiles.profile import Profile


def geocell_stages(profile: Profile, shards: Shards) -> tuple[Stage, ...]:
    """The geocells with their coverage."""

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        columns = ["image_id", "set_name", "lat_deg", "lon_deg"]
        places = pa.concat_tables(
            [step.table("images", key, columns) for key in step.listed("image_manifest", "images")]
        )
        training = places.filter(pc.equal(places["set_name"], "train"))
        lat_deg, lon_deg = training["lat_deg"].to_numpy(), training["lon_deg"].to_numpy()
        hierarchy, rows_NP = build_and_assign(lat_deg, lon_deg, profile.partition)
        tables = {"geocells": hierarchy.to_table(), "coverage": hierarchy.coverage_of(rows_NP)}
        yield Made(ALL, tables, notes={"training photographs": training.num_rows})

    return (
        Stage(
            name="geocells",
            title="Geocells",
            description=(
                "The Earth cut into cells, seven times from coarse to fine, so that each cell holds a "
                "like number of training photographs; "
                "GeoSURGE learns one place in its space per cell."
            ),
            group="geocells",
            kinds=("parquet", "numpy"),
            keys=(ALL,),
            partitioned=False,
            inputs=lambda key: (manifest("image_manifest"),),
            outputs=lambda key: (table("geocells"), table("coverage")),
            make=make,
            rooms=("earth",),
            settings=profile.partition,
        ),
    )
