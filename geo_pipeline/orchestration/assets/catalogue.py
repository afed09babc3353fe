"""The asset `catalogue`: every usable record of the source with its set, in its shard.

The others are quarantined in the same shard, with their reason.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from geo_pipeline.home.artifact import table
from geo_pipeline.imagery.catalogue import Catalogue, build_catalogue
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step
from geo_pipeline.profiles.profile import Profile

INDEX = "index"
"""Folder of the home in which a source may note what it found in large files, so that they are read once."""


def catalogue_stages(profile: Profile, shards: Shards) -> tuple[Stage, ...]:
    """The catalogue."""

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        source = profile.source.open(step.home.root / INDEX)
        catalogue = build_catalogue(source, profile.split, shards.plan)
        step.log(f"{catalogue.rows:,} photographs are kept, {catalogue.rejected:,} rejected")
        for key in keys:
            yield _made(catalogue, key)

    def outside() -> str:
        return profile.source.open().fingerprint()

    return (
        Stage(
            name="catalogue",
            title="Catalogue",
            description=(
                "The list of all photographs with where each was taken, by whom, and to which set it "
                "belongs: training, hold-out, router queries "
                "or a benchmark. Records that cannot be used are kept in the table quarantine with the reason."
            ),
            group="photographs",
            kinds=("parquet",),
            keys=shards.all,
            partitioned=True,
            inputs=lambda key: (),
            outputs=lambda key: (table("catalogue", key), table("quarantine", f"catalogue/{key}")),
            make=make,
            rooms=("imagery", "sample_world", "benchmarks"),
            settings=(profile.split, shards.all),
            outside=outside,
        ),
    )


def _made(catalogue: Catalogue, key: str) -> Made:
    kept, refused = catalogue.kept(key), catalogue.refused(key)
    sets = pa.table({"set": kept["set_name"]}).group_by("set").aggregate([([], "count_all")]).sort_by("set").to_pylist()
    notes: dict[str, object] = {f"set {row['set']}": row["count_all"] for row in sets}
    notes |= {"rejected": refused.num_rows}
    notes |= {f"rejected: {reason}": count for reason, count in catalogue.reasons(key).items()}
    return Made(key, {"catalogue": kept, "quarantine": refused}, notes=notes)
