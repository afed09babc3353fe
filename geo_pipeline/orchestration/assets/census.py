"""The assets `ingest_manifest` and `census`: what was ingested, what was rejected, and what is there twice.

Reads a few columns of every shard. How duplicates are found belongs to imagery.duplicates, how they are told to
scoring.report.benchmark.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geo_pipeline.contracts.contract import load
from geo_pipeline.home.artifact import ALL, manifest, table
from geo_pipeline.imagery.duplicates.find import Duplicates, find_duplicates, leakage, packed_sha256
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Made, Stage, Step, manifest_stage
from geo_pipeline.profiles.profile import Profile

MANIFEST = "ingest_manifest"
REFERENCE_SETS = ("train", "holdout")
CATALOGUE, DECODE = "catalogue", "decode"


class LostPhotographsError(RuntimeError):
    """Photographs of the catalogue that are neither among the images nor among the rejected records."""


@dataclass(frozen=True)
class Ingested:
    """The fingerprints of all N images in the order of the shards: `sets` (N,) are places in `names`, sha256 (N, 4)."""

    image_id: pa.ChunkedArray
    names: tuple[str, ...]
    sets: NDArray[np.int64]
    sha256: NDArray[np.uint64]
    phash: NDArray[np.int64]


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
        counts = counted(step, shards)
        step.log(f"{sum(counts['count'].filter(pc.equal(counts['stage'], CATALOGUE)).to_pylist()):,} records counted")
        images = ingested(step)
        found = find_duplicates(images.sets, images.sha256, images.phash, profile.inference.phash_bits)
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
            "imagery.duplicates.find",
            "imagery.duplicates.near_hashes",
            "imagery.duplicates.kernels",
            "orchestration.assets.census",
        ),
        settings=(profile.inference.phash_bits, shards.query_sets),
    )
    return listing, census


def counted(step: Step, shards: Shards) -> pa.Table:
    """The table `census`. A refused image has the set of its photograph in the catalogue.

    A record that the catalogue refused has the set of its shard, or none where it would have become a reference image.
    """
    counts: Counter[tuple[str | None, str, str | None]] = Counter()
    authors: dict[str, list[pa.Array]] = {}
    step.listed(MANIFEST, "quarantine")
    for key in step.listed(MANIFEST, "catalogue"):
        rows = step.table("catalogue", key, ("image_id", "set_name", "author"))
        for name in pc.unique(rows["set_name"]).to_pylist():
            mine = rows.filter(pc.equal(rows["set_name"], name))
            counts[name, CATALOGUE, None] += mine.num_rows
            authors.setdefault(name, []).append(pc.unique(mine["author"]).drop_null())
        early = shards.sets.get(key)
        for reason in step.table("quarantine", f"catalogue/{key}", ("reason",))["reason"].to_pylist():
            counts[early, CATALOGUE, reason] += 1
        refused = step.table("quarantine", key, ("image_id", "reason"))
        sets = rows["set_name"].take(pc.index_in(refused["image_id"], rows["image_id"].combine_chunks()))
        for name, reason in zip(sets.to_pylist(), refused["reason"].to_pylist(), strict=True):
            counts[name, DECODE, reason] += 1
    for key in step.listed(MANIFEST, "images"):
        for row in pc.value_counts(step.table("images", key, ("set_name",))["set_name"]).to_pylist():
            counts[row["values"], DECODE, None] += row["counts"]
    refuse_lost(counts)
    known = {name: len(pc.unique(pa.chunked_array(parts, pa.string()))) for name, parts in authors.items()}
    rows_of = [
        {
            "set_name": name,
            "stage": stage,
            "reason": reason,
            "count": count,
            "authors": known[name] if name is not None and (stage, reason) == (CATALOGUE, None) else None,
        }
        for (name, stage, reason), count in counts.items()
    ]
    ordered = pa.Table.from_pylist(rows_of, schema=load("census").arrow_schema)
    return ordered.sort_by([("set_name", "ascending"), ("stage", "ascending"), ("reason", "ascending")])


def refuse_lost(counts: Counter[tuple[str | None, str, str | None]]) -> None:
    """Raise LostPhotographsError unless, of every set, as many photographs were decoded or refused as were kept."""
    kept: Counter[str | None] = Counter()
    seen: Counter[str | None] = Counter()
    for (name, stage, reason), count in counts.items():
        if stage == DECODE:
            seen[name] += count
        elif reason is None:
            kept[name] += count
    wrong = [f"{seen[name]:,} of {kept[name]:,} in {name}" for name in kept | seen if kept[name] != seen[name]]
    if wrong:
        raise LostPhotographsError(
            f"found {'; '.join(wrong)} decoded or rejected, expected every photograph of the catalogue; materialize "
            "`images` again"
        )


def ingested(step: Step) -> Ingested:
    """The fingerprints of every image: about 120 bytes each, and never a pixel."""
    ids, sets, phash = [], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    sha256 = [np.empty((0, 4), np.uint64)]
    numbers: dict[str, int] = {}
    for key in step.listed(MANIFEST, "images"):
        part = step.table("images", key, ("image_id", "set_name", "sha256", "phash")).combine_chunks()
        coded = part["set_name"].combine_chunks().dictionary_encode()
        here = [numbers.setdefault(name, len(numbers)) for name in coded.dictionary.to_pylist()]
        sets.append(np.array(here, np.int64)[coded.indices.to_numpy()])
        ids += part["image_id"].chunks
        sha256.append(packed_sha256(part["sha256"]))
        phash.append(part["phash"].to_numpy())
    names = tuple(sorted(numbers))
    order = np.array([names.index(name) for name in numbers], np.int64)
    return Ingested(
        image_id=pa.chunked_array(ids, pa.string()),
        names=names,
        sets=order[np.concatenate(sets)],
        sha256=np.concatenate(sha256),
        phash=np.concatenate(phash),
    )


def duplicate_rows(images: Ingested, found: Duplicates) -> pa.Table:
    """The table `duplicates`, group by group; a group is named by the first of its image ids."""
    members = np.flatnonzero(found.group >= 0)
    rows = pa.table(
        {
            "image_id": images.image_id.take(pa.array(members)),
            "set_name": pa.array(images.names, pa.string()).take(pa.array(images.sets[members], pa.int32())),
            "number": found.group[members],
            "kind": np.where(found.byte[members] != 0, "byte", "near"),
            "distance": found.distance[members].astype(np.int32),
        }
    )
    first = rows.group_by("number").aggregate([("image_id", "min")])
    named = first["image_id_min"].take(pc.index_in(rows["number"], first["number"].combine_chunks()))
    columns = load("duplicates").arrow_schema.names
    return (
        rows.append_column("group", named).select(columns).sort_by([("group", "ascending"), ("image_id", "ascending")])
    )


def _notes(counts: pa.Table, found: Duplicates) -> dict[str, object]:
    """What the UI shows beside the tables."""
    notes: dict[str, object] = {}
    rejected: Counter[str] = Counter()
    for row in counts.to_pylist():
        if row["reason"] is not None:
            rejected[row["reason"]] += row["count"]
        elif row["stage"] == DECODE:
            notes[f"set {row['set_name']}"] = row["count"]
    notes |= {"images": len(found.group), "rejected": rejected.total()}
    notes |= {f"rejected: {reason}": count for reason, count in rejected.most_common()}
    byte = found.byte != 0
    return notes | {
        "byte-equal images": int(byte.sum()),
        "near-equal images": int((~byte & (found.near != 0)).sum()),
        "groups of duplicates": int(found.group.max(initial=-1)) + 1,
        "images whose hash says nothing": int((~found.informed).sum()),
        "every near pair was looked for": found.exact,
    }
