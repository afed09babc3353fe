"""The table `census`: how many photographs of each set were kept and how many rejected, at each step and why.

Reads a few columns of every shard, lazily. Which photographs are there twice belongs to `duplicates`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from geo_pipeline.contracts.frames import arrow_table

CATALOGUE, DECODE = "catalogue", "decode"


class LostPhotographsError(RuntimeError):
    """Photographs of the catalogue that are neither among the images nor among the rejected records."""


@dataclass(frozen=True)
class ShardFiles:
    """What was ingested of one shard, as Parquet files of the tables `catalogue`, `images` and `quarantine`.

    refused: records that the catalogue refused. undecoded: photographs that could not be decoded. query_set: the set of
    all that lies in the shard; None for a shard of reference images, whose records have no set before the catalogue
    gives them one.
    """

    catalogue: Path
    images: Path
    refused: Path
    undecoded: Path
    query_set: str | None


def census(shards: Sequence[ShardFiles]) -> pa.Table:
    """The table `census` of all shards, at least one.

    A photograph that could not be decoded has its set in the catalogue. A record that the catalogue refused has the set
    of its shard, or none. Raises LostPhotographsError unless, of every set, as many photographs were decoded or refused
    as the catalogue kept.
    """
    kept = _scan([shard.catalogue for shard in shards], "image_id", "set_name", "author")
    by_set: dict[str | None, list[Path]] = {}
    for shard in shards:
        by_set.setdefault(shard.query_set, []).append(shard.refused)
    refused = [
        _scan(paths, "reason").with_columns(set_name=pl.lit(name, pl.String), stage=pl.lit(CATALOGUE))
        for name, paths in by_set.items()
    ]
    undecoded = _scan([shard.undecoded for shard in shards], "image_id", "reason")
    sets = kept.join(undecoded, on="image_id", how="semi").select("image_id", "set_name")
    parts = [
        _counted(kept.with_columns(stage=pl.lit(CATALOGUE)), pl.col("author").drop_nulls().n_unique()),
        _counted(_scan([shard.images for shard in shards], "set_name").with_columns(stage=pl.lit(DECODE))),
        _counted(undecoded.join(sets, on="image_id", how="left").with_columns(stage=pl.lit(DECODE))),
        *(_counted(part) for part in refused),
    ]
    keys = ("set_name", "stage", "reason")
    rows = pl.concat(pl.collect_all(parts)).group_by(keys).agg(pl.col("count", "authors").sum())
    authors = pl.when(pl.col("reason").is_null(), stage=CATALOGUE).then("authors")
    rows = rows.with_columns(authors=authors).sort(keys, nulls_last=True)
    _refuse_lost(rows)
    return arrow_table(rows, "census")


def _scan(paths: Sequence[Path], *columns: str) -> pl.LazyFrame:
    return pl.scan_parquet(list(paths)).select(columns)


def _counted(rows: pl.LazyFrame, authors: pl.Expr | None = None) -> pl.LazyFrame:
    """set_name, stage, reason, count, authors of rows with the first two and perhaps a reason."""
    if "reason" not in rows.collect_schema():
        rows = rows.with_columns(reason=pl.lit(None, pl.String))
    number = pl.lit(0) if authors is None else authors
    return rows.group_by("set_name", "stage", "reason").agg(
        pl.len().cast(pl.Int64).alias("count"), number.cast(pl.Int64).alias("authors")
    )


def _refuse_lost(rows: pl.DataFrame) -> None:
    decoded = pl.col("stage") == DECODE
    kept = pl.col("count").filter(~decoded, pl.col("reason").is_null()).sum().alias("kept")
    seen = pl.col("count").filter(decoded).sum().alias("seen")
    wrong = rows.group_by("set_name").agg(kept, seen).filter(pl.col("kept") != pl.col("seen")).sort("set_name")
    if wrong.height:
        found = "; ".join(f"{seen:,} of {kept:,} in {name}" for name, kept, seen in wrong.iter_rows())
        raise LostPhotographsError(
            f"found {found} decoded or rejected, expected every photograph of the catalogue; materialize `images` again"
        )
