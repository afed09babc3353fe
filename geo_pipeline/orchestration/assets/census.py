"""The assets `ingest_manifest` and `census`. Counting belongs to imagery.census, duplicates to imagery.duplicates."""

from geo_pipeline.orchestration.partitions import all_shards, every, whole
from geo_pipeline.orchestration.recipe import asset, listing, tables
from geo_pipeline.orchestration.work import Work

REFERENCE_SETS = ("train", "holdout")


@asset(
    title="Ingested photographs",
    reads={
        "catalogue": every(all_shards),
        "images": every(all_shards),
        "images.quarantine": every(all_shards),
        "catalogue.quarantine": every(all_shards),
    },
    writes=listing("ingest_manifest"),
    group_name="photographs",
    kinds={"json"},
)
def ingest_manifest(work: Work) -> None:
    """The list of every shard's catalogue, images and rejected records, so that what counts all of them depends on one
    asset.
    """
    work.list_inputs()


@asset(
    title="Census",
    reads={"ingest_manifest": whole},
    writes=tables("census", "duplicates", "leakage"),
    settings=lambda scope: (scope.profile.inference.phash_bits, scope.shards.query_sets),
    group_name="photographs",
    kinds={"parquet", "polars"},
)
def census(work: Work) -> None:
    """How many photographs each set has, how many were rejected and why, and which are byte-equal or near-equal to
    others: above all, which images of a benchmark are also in the training data.
    """
    from geo_pipeline.imagery import census as counting
    from geo_pipeline.imagery.duplicates.tables import census_notes, duplicate_rows, fingerprints, leakage

    work.listed("ingest_manifest", "quarantine")
    files = [
        counting.ShardFiles(
            catalogue=work.path("catalogue", key),
            images=work.path("images", key),
            refused=work.path("quarantine", f"catalogue/{key}"),
            undecoded=work.path("quarantine", key),
            query_set=work.shards.sets.get(key),
        )
        for key in work.listed("ingest_manifest", "catalogue")
    ]
    counts = counting.census(files)
    photographs = fingerprints([each.images for each in files])
    found = photographs.duplicates(work.profile.inference.phash_bits)
    unions = {"train+holdout": set(REFERENCE_SETS), "benchmarks": set(work.shards.benchmarks)}
    work.write(
        notes=census_notes(counts, found),
        census=counts,
        duplicates=duplicate_rows(photographs, found),
        leakage=leakage(found, photographs.sets, photographs.names, unions),
    )
