"""The assets `images` (canonical JPEGs per shard) and `image_manifest` (which reference images there are)."""

from collections.abc import Iterator, Sequence

from geo_pipeline.imagery.ingest import decode_shard
from geo_pipeline.orchestration.artifacts import table
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, manifest_stage
from geo_pipeline.orchestration.storage import Home
from geo_pipeline.profiles.profile import Profile


def image_stages(profile: Profile, shards: Shards) -> tuple[Stage, ...]:
    """Images and their manifest."""

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        source = profile.source.open()
        for key in keys:
            rows = step.table("catalogue", where=("shard", key))
            images, quarantine = decode_shard(source, rows, profile.canonical_px, profile.canonical_quality)
            yield Made(key, {"images": images, "quarantine": quarantine}, notes={"rejected": quarantine.num_rows})

    def outside(home: Home, key: str) -> str:
        rows = home.examined(table("catalogue", where=("shard", key)))
        return profile.source.stamp(rows["locator"].to_pylist())

    images = Stage(
        name="images",
        title="Images",
        description=(
            "The photographs themselves, upright and at one size, as JPEGs without EXIF. A photograph "
            "that cannot be decoded is kept in the "
            "table quarantine with the reason, and counts as a failure of every method if it belongs to a benchmark."
        ),
        group="photographs",
        kinds=("parquet", "jpeg"),
        keys=shards.all,
        partitioned=True,
        inputs=lambda key: (table("catalogue", where=("shard", key)),),
        outputs=lambda key: (table("images", key), table("quarantine", key)),
        make=make,
        rooms=("imagery.ingest", "imagery.decode", "imagery.file_kind", "imagery.fingerprints", "sample_world"),
        settings=(profile.canonical_px, profile.canonical_quality),
        outside=outside,
    )
    manifest = manifest_stage(
        "image_manifest",
        "Reference images",
        (
            "The list of the reference shards' images, so that what needs all of them (geocells, training) "
            "depends on one asset."
        ),
        "photographs",
        ("images",),
        shards.reference,
    )
    return images, manifest
