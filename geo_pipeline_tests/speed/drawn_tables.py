"""Drawn tables for the measurements of `tables`: predictions of nine methods, a routing table's inputs, many shards."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from geo_pipeline.contracts.contract import load

METHODS = tuple(f"method_{number}" for number in range(9))
CANDIDATES, SHARDS, SETS = 20, 64, ("train", "holdout", "router_queries", "bench")
_LISTS = ("candidate_ids", "candidate_lats_deg", "candidate_lons_deg", "candidate_scores")


def draw(folder: Path, queries: int, images: int) -> None:
    """Write the tables, by seed 0."""
    rng = np.random.default_rng(0)
    ids = [f"photograph-{number:08d}" for number in range(queries)]
    lat, lon = rng.uniform(-80, 80, queries), rng.uniform(-180, 180, queries)
    truth = {"image_id": ids, "author": [f"a{n % 999}" for n in range(queries)], "lat_deg": lat, "lon_deg": lon}
    pq.write_table(pa.table(truth), folder / "truth.parquet")
    parts = [_predictions(rng, name, ids, lat, lon, candidates=False) for name in METHODS]
    pq.write_table(pa.concat_tables(parts), folder / "predictions.parquet")
    for name in ("retrieval", "generation"):
        rows = _predictions(rng, name, ids, lat, lon, name == "retrieval")
        pq.write_table(rows, folder / f"{name}.parquet")
    for name, values in (("truth", lat), ("predictions", lat + rng.normal(0, 1, queries))):
        lines = [f"{i},{a:.6f},{b:.6f}\n" for i, a, b in zip(ids, values, lon, strict=True)]
        (folder / f"{name}.csv").write_text("image_id,lat,lon\n" + "".join(lines))
    for shard in range(SHARDS):
        _draw_shard(rng, folder, shard, images // SHARDS)


def _predictions(
    rng: np.random.Generator, name: str, ids: list[str], lat: np.ndarray, lon: np.ndarray, candidates: bool
) -> pa.Table:
    count, order = len(ids), rng.permutation(len(ids))
    failed = rng.random(count) < 0.01
    columns: dict[str, Any] = {
        "image_id": pa.array(ids).take(pa.array(order)),
        "method": [name] * count,
        "lat_deg": pa.array(np.clip(lat[order] + rng.normal(0, 5, count), -90, 90), mask=failed),
        "lon_deg": pa.array(lon[order], mask=failed),
        "score": rng.random(count),
        "failure": pa.array(["none"] * count, pa.string(), mask=~failed),
        "raw_answer": pa.nulls(count, pa.string()),
        "chosen": pa.nulls(count, pa.string()),
    }
    columns |= {column: pa.nulls(count, load("predictions").arrow_schema.field(column).type) for column in _LISTS}
    if candidates:
        numbers = pa.array(rng.uniform(-80, 80, count * CANDIDATES))
        offsets = pa.array(np.arange(count + 1) * CANDIDATES, pa.int32())
        texts = numbers.cast(pa.string())
        values = (texts, numbers, numbers, numbers)
        columns |= {
            column: pa.ListArray.from_arrays(offsets, each) for column, each in zip(_LISTS, values, strict=True)
        }
    return pa.table(columns).cast(load("predictions").arrow_schema)


def _draw_shard(rng: np.random.Generator, folder: Path, shard: int, count: int) -> None:
    ids = [f"{shard:03d}-{number:07d}" for number in range(count)]
    sets = np.array(SETS)[rng.choice(len(SETS), count, p=(0.9, 0.04, 0.03, 0.03))].tolist()
    broken = rng.random(count) < 0.01
    catalogue = {"image_id": ids, "set_name": sets, "author": [f"a{n}" for n in rng.integers(0, 5000, count)]}
    known = pa.table(catalogue)
    kept = known.filter(pa.array(~broken))
    digests = [rng.bytes(32).hex() for _ in range(kept.num_rows)]
    phash = pa.array(rng.integers(-(2**62), 2**62, kept.num_rows))
    images = kept.append_column("sha256", pa.array(digests)).append_column("phash", phash)
    undecoded = pa.table(
        {
            "image_id": known["image_id"].filter(pa.array(broken)),
            "reason": pa.array(["truncated"] * int(broken.sum()), pa.string()),
        }
    )
    early = pa.table({"image_id": pa.nulls(9, pa.string()), "reason": ["null_island"] * 9})
    tables = {"catalogue": known, "images": images, "undecoded": undecoded, "refused": early}
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}-{shard:03d}.parquet")
