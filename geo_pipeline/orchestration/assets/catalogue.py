"""The asset `catalogue`: every usable record of the source with its set and shard.

The others quarantined with their reason.
"""

from collections.abc import Iterator, Sequence

from geo_pipeline.imagery.catalogue import build_catalogue
from geo_pipeline.orchestration.artifacts import ALL, table
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step
from geo_pipeline.profiles.profile import Profile, ProfileError


def catalogue_stages(profile: Profile, shards: Shards) -> tuple[Stage, ...]:
    """The catalogue."""

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        catalogue, quarantine = build_catalogue(profile.source.open(), profile.split, profile.shard_rows)
        unknown = sorted(set(catalogue["shard"].to_pylist()) - set(shards.all))
        if unknown:
            raise ProfileError(
                f"found photographs for {', '.join(unknown)}, expected only the shards "
                f"{', '.join(shards.all)} of profile {profile.name}; "
                "raise its reference_shards, or add the benchmark to its benchmarks"
            )
        sets = catalogue.group_by("set_name").aggregate([("image_id", "count")]).sort_by("set_name").to_pylist()
        notes = {f"set {row['set_name']}": row["image_id_count"] for row in sets}
        yield Made(
            ALL, {"catalogue": catalogue, "quarantine": quarantine}, notes={**notes, "rejected": quarantine.num_rows}
        )

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
            keys=(ALL,),
            partitioned=False,
            inputs=lambda key: (),
            outputs=lambda key: (table("catalogue"), table("quarantine")),
            make=make,
            rooms=(
                "imagery.catalogue",
                "imagery.split",
                "imagery.folder",
                "imagery.metadata",
                "imagery.exif",
                "imagery.stable_hash",
                "sample_world",
            ),
            settings=(profile.split, profile.shard_rows, shards.all),
            outside=lambda home, key: profile.source.open().fingerprint(),
        ),
    )
