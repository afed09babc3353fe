"""The assets `ingest_manifest` and `census`: what was ingested, what was rejected, and what is there twice.

What is counted belongs to imagery.census, how duplicates are found to imagery.duplicates.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from geo_pipeline.home.artifact import ALL, manifest, table
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, manifest_stage
from geo_pipeline.profiles.profile import Profile

if TYPE_CHECKING:
    from geo_pipeline.imagery.duplicates.find import Duplicates

MANIFEST = "ingest_manifest"
REFERENCE_SETS = ("train", "holdout")


def census_stages(profile: Profile, shards: Shards) -> tuple[Stage, ...]:
    """The list of everything ingested, and the census over it."""
    listing = manifest_stage(
        MANIFEST,
        "Ingested photographs",
        (
            "The list of every shard's catalogue, images and rejected records, so that what counts all of them "
            "depends on one asset."
        ),
        "photographs",
        ("catalogue", "images", "quarantine"),
        shards.all,
        tuple(table("quarantine", f"catalogue/{key}") for key in shards.all),
    )

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        from geo_pipeline.imagery.census import ShardFiles, census
        from geo_pipeline.imagery.duplicates.tables import duplicate_rows, fingerprints, leakage

        files = [
            ShardFiles(
                catalogue=step.path("catalogue", key),
                images=step.path("images", key),
                refused=step.path("quarantine", f"catalogue/{key}"),
                undecoded=step.path("quarantine", key),
                query_set=shards.sets.get(key),
            )
            for key in step.listed(MANIFEST, "catalogue")
        ]
        counts = census(files)
        images = fingerprints([each.images for each in files])
        found = images.duplicates(profile.inference.phash_bits)
        unions = {"train+holdout": set(REFERENCE_SETS), "benchmarks": set(shards.benchmarks)}
        tables = {
            "census": counts,
            "duplicates": duplicate_rows(images, found),
            "leakage": leakage(found, images.sets, images.names, unions),
        }
        yield Made(ALL, tables, notes=_notes(counts, found))

    census = Stage(
        name="census",
        title="Census",
        description=(
            "How many photographs each set has, how many were rejected and why, and which are byte-equal or near-equal "
            "to others: above all, which images of a benchmark are also in the training data."
        ),
        group="photographs",
        kinds=("parquet",),
        keys=(ALL,),
        partitioned=False,
        inputs=lambda key: (manifest(MANIFEST),),
        outputs=lambda key: (table("census"), table("duplicates"), table("leakage")),
        make=make,
        rooms=(
            "imagery.census",
            "imagery.duplicates",
            "orchestration.assets.census",
        ),
        settings=(profile.inference.phash_bits, shards.query_sets),
    )
    return listing, census


def _notes(counts: pa.Table, found: "Duplicates") -> dict[str, object]:
    """What the UI shows beside the tables."""
    import polars as pl

    rows = pl.DataFrame(counts)
    decoded = rows.filter(pl.col("reason").is_null(), stage="decode").select("set_name", "count")
    refused = rows.drop_nulls("reason").group_by("reason", maintain_order=True).agg(pl.col("count").sum())
    refused = refused.sort("count", descending=True, maintain_order=True)
    byte = found.byte != 0
    return {
        **{f"set {name}": count for name, count in decoded.iter_rows()},
        "images": len(found.group),
        "rejected": refused["count"].sum(),
        **{f"rejected: {reason}": count for reason, count in refused.iter_rows()},
        "byte-equal images": int(byte.sum()),
        "near-equal images": int((~byte & (found.near != 0)).sum()),
        "groups of duplicates": int(found.group.max(initial=-1)) + 1,
        "images whose hash says nothing": int((~found.informed).sum()),
        "every near pair was looked for": found.exact,
    }
