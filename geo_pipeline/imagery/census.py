"""The table `census`: how many photographs of each set were kept and how many rejected, at each step and why.

Reads a few columns of every shard, lazily. Which photographs are there twice belongs to `duplicates`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from geo_pipeline.contracts.frames import arrow_table, naming_damaged_files
from geo_pipeline.imagery.authors import author_key

CATALOGUE, DECODE = "catalogue", "decode"
KEPT, UNDECODED = ("image_id", "set_name", "author"), ("image_id", "reason")

_AUTHORS = pl.col("author").unique().map_elements(author_key, pl.String).drop_nulls().n_unique()


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
    as the catalogue kept, and DamagedTableError for a file that cannot be read.
    """
    kept_in, images_in, undecoded_in = (
        [getattr(shard, name) for shard in shards] for name in ("catalogue", "images", "undecoded")
    )
    refused_in: dict[str | None, list[Path]] = {}
    for shard in shards:
        refused_in.setdefault(shard.query_set, []).append(shard.refused)
    kept = pl.scan_parquet(kept_in).select(KEPT)
    undecoded = pl.scan_parquet(undecoded_in).select(UNDECODED)
    sets = kept.join(undecoded, on="image_id", how="semi").select("image_id", "set_name")
    parts = [
        _counted(kept, CATALOGUE, _AUTHORS),
        _counted(pl.scan_parquet(images_in).select("set_name"), DECODE),
        _counted(undecoded.join(sets, on="image_id", how="left"), DECODE),
        *(
            _counted(pl.scan_parquet(paths).select("reason", set_name=pl.lit(name, pl.String)), CATALOGUE)
            for name, paths in refused_in.items()
        ),
    ]
    refused = [shard.refused for shard in shards]
    with naming_damaged_files(
        (kept_in, KEPT), (images_in, ["set_name"]), (undecoded_in, UNDECODED), (refused, ["reason"])
    ):
        counted = pl.concat(pl.collect_all(parts))
    keys = ("set_name", "stage", "reason")
    rows = counted.group_by(keys).agg(pl.col("count", "authors").sum())
    authors = pl.when(pl.col("reason").is_null(), stage=CATALOGUE).then("authors")
    rows = rows.with_columns(authors=authors).sort(keys, nulls_last=True)
    _refuse_lost(rows)
    return arrow_table(rows, "census")


def _counted(rows: pl.LazyFrame, stage: str, authors: pl.Expr | None = None) -> pl.LazyFrame:
    """set_name, stage, reason, count, authors of rows with a set_name and perhaps a reason."""
    reason = pl.col("reason") if "reason" in rows.collect_schema() else pl.lit(None, pl.String)
    number = pl.lit(0) if authors is None else authors
    return (
        rows.with_columns(stage=pl.lit(stage), reason=reason)
        .group_by("set_name", "stage", "reason")
        .agg(count=pl.len().cast(pl.Int64), authors=number.cast(pl.Int64))
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
