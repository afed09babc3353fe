"""The tables `duplicates` and `leakage` of all images, from the fingerprints that stand in the table `images`.

How duplicates are found belongs to `find`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from geo_pipeline.contracts.frames import arrow_table, naming_damaged_files
from geo_pipeline.imagery.duplicates.find import NEAR_BITS, DuplicateError, Duplicates, find_duplicates

FINGERPRINTS = ("image_id", "set_name", "phash", "sha256")


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprints of N images in the order of the shards, about 120 bytes each, and never a pixel.

    rows: image_id, set_name. sets (N,): the set of each as a number, by the order of `names`. sha256: (N, 4), each the
    256 bits as four numbers. phash: (N,).
    """

    rows: pl.DataFrame
    names: tuple[str, ...]
    sets: NDArray[np.int64]
    sha256: NDArray[np.uint64]
    phash: NDArray[np.int64]

    def duplicates(self, near_bits: int = NEAR_BITS) -> Duplicates:
        """Which of the images are byte-equal or near-equal to others."""
        return find_duplicates(self.sets, self.sha256, self.phash, near_bits)


def fingerprints(paths: Sequence[Path]) -> Fingerprints:
    """Read the fingerprints of the images of some shards (Parquet files of the table `images`), at least one.

    Raises DamagedTableError for a file that cannot be read.
    """
    with naming_damaged_files((paths, FINGERPRINTS)):
        rows = pl.scan_parquet(list(paths)).select(FINGERPRINTS).collect()
    names = rows["set_name"].unique().sort()
    return Fingerprints(
        rows=rows.select("image_id", "set_name"),
        names=tuple(names),
        sets=rows["set_name"].cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy(),
        sha256=packed_sha256(rows["sha256"]),
        phash=rows["phash"].to_numpy(),
    )


def packed_sha256(hexadecimal: pl.Series) -> NDArray[np.uint64]:
    """SHA-256 given as 64 hexadecimal digits as four numbers each (N, 4): half the memory. Raises DuplicateError."""
    digests = hexadecimal.str.decode("hex", strict=False)
    if (digests.bin.size() != 32).fill_null(value=True).any():
        raise DuplicateError("found a SHA-256 that is not 64 digits long, expected 64; make the images again")
    words: NDArray[np.uint64] = digests.bin.reinterpret(dtype=pl.Array(pl.UInt64, 4)).to_numpy()
    return words


def duplicate_rows(images: Fingerprints, found: Duplicates) -> pa.Table:
    """The table `duplicates`, group by group; a group is named by the first of its image ids."""
    rows = images.rows.with_columns(
        number=found.group,
        kind=pl.when(pl.Series(found.byte != 0)).then(pl.lit("byte")).otherwise(pl.lit("near")),
        distance=found.distance,
    ).filter(pl.col("number") >= 0)
    named = rows.with_columns(group=pl.col("image_id").min().over("number")).sort("group", "image_id")
    return arrow_table(named, "duplicates")


def leakage(
    found: Duplicates, sets: NDArray[np.int64], names: Sequence[str], unions: Mapping[str, set[str]]
) -> pa.Table:
    """The table `leakage`: how many images of each set have a duplicate in each set, and in unions of sets.

    sets (N,): the set of each image, by the order of `names`. `other_set` is one of `names` or of `unions`; a union is
    its sets without `set_name` itself. An image counts once per `other_set`: as `byte` when any image there is
    byte-equal, else as `near`. Pairs without any stand with 0.
    """
    own = {name: {name} for name in names}
    pairs = [
        (at, name, other, sum(1 << bit for bit, each in enumerate(names) if each in members))
        for at, name in enumerate(names)
        for other, members in (own | {union: sets_in - {name} for union, sets_in in unions.items()}).items()
    ]
    schema = {"set": pl.Int64, "set_name": pl.String, "other_set": pl.String, "bits": pl.UInt64}
    alike = pl.DataFrame({"set": sets, "byte": found.byte, "near": found.near}).group_by("set", "byte", "near").len()
    is_byte, is_near = ((pl.col(kind) & pl.col("bits")) != 0 for kind in ("byte", "near"))
    counts = [pl.col("len").filter(hit).sum() for hit in (is_byte, is_near & ~is_byte)]
    rows = (
        pl.DataFrame(pairs, schema, orient="row")
        .join(alike, on="set", how="left", maintain_order="left")
        .group_by("set_name", "other_set", maintain_order=True)
        .agg(images=pl.concat_list(counts))
        .with_columns(kind=pl.lit(["byte", "near"]))
        .explode("kind", "images")
    )
    return arrow_table(rows, "leakage")


def census_notes(counts: pa.Table, found: Duplicates) -> dict[str, object]:
    """What a person reads beside the tables `census`, `duplicates` and `leakage`."""
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
