"""Tables above the readers: `python -m geo_pipeline_tests.speed.tables [--quick] [--save] [--earlier FILE]`.

The judged table, the GeoRouting table, the census, the tables of duplicates and a scored file of predictions, on drawn
tables in Parquet, each in a process of its own. Beside the first three the same by rows in Python, as one writes it
without a table library: both must agree. `--draw FOLDER` keeps the drawn tables, so that another commit can be measured
on them; `--earlier` names a JSON file of what it took, {part: {"seconds": .., "peak_mib": ..}}.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline_tests.speed.drawn_tables import METHODS, SHARDS, draw
from geo_pipeline_tests.speed.measuring import fresh_process, peak_mib, save, seconds

BY_ROWS = ("judged", "georouting", "census")
WORDS = {
    "judged": "judged predictions, {queries:,} photographs by 9 methods",
    "georouting": "GeoRouting table, {queries:,} queries, 20 candidates each",
    "census": "census of {images:,} photographs in 64 shards",
    "duplicates": "tables of duplicates, {images:,} photographs (read and written, not searched)",
    "score": "a CSV of {queries:,} predictions, scored",
}


def one(part: str, folder: Path, way: str) -> dict[str, Any]:
    """Seconds, peak MiB and a number of the result of one part, in this process.

    Reading Parquet counts only where the part reads it itself.
    """
    work = {"polars": _polars, "rows": _rows}[way](part, folder)
    found: list[object] = []
    took = seconds(lambda: found.append(work()), 5)
    return {"seconds": took, "peak_mib": peak_mib(), "result": found[-1]}


def _polars(part: str, folder: Path) -> Callable[[], object]:
    from geo_pipeline.imagery.census import ShardFiles, census
    from geo_pipeline.imagery.duplicates.tables import duplicate_rows, fingerprints, leakage
    from geo_pipeline.routing.table import build_georouting
    from geo_pipeline.scoring.judged import judge
    from geo_pipeline.scoring.prediction_files import score_files

    def read(name: str) -> pa.Table:
        return pq.read_table(folder / f"{name}.parquet")

    if part == "judged":
        predictions, truth = read("predictions"), read("truth")
        return lambda: float(np.sum(judge("b", predictions, truth, METHODS)["error_km"].to_numpy() <= 750))
    if part == "georouting":
        retrieval, generation, truth = read("retrieval"), read("generation"), read("truth")
        return lambda: sum(build_georouting(retrieval, generation, truth)["label"].to_pylist())
    if part == "score":
        return lambda: round(score_files(folder / "predictions.csv", folder / "truth.csv").accuracy[200.0], 9)
    names = ("catalogue", "images", "refused", "undecoded")
    files = [ShardFiles(*(folder / f"{name}-{shard:03d}.parquet" for name in names), None) for shard in range(SHARDS)]
    if part == "census":
        return lambda: census(files)["count"].to_pylist()
    found = fingerprints([each.images for each in files]).duplicates()

    def tables() -> list[int]:
        images = fingerprints([each.images for each in files])
        unions = {"train+holdout": {"train", "holdout"}}
        leaks = leakage(found, images.sets, images.names, unions)
        return [duplicate_rows(images, found).num_rows, *leaks["images"].to_pylist()]

    return tables


def _rows(part: str, folder: Path) -> Callable[[], object]:
    """The same by rows in Python; Parquet is read as in the other way."""
    if part == "census":
        return lambda: _census_by_rows(folder)
    names = ("predictions",) if part == "judged" else ("retrieval", "generation")
    tables = [pq.read_table(folder / f"{name}.parquet") for name in names]
    truth = pq.read_table(folder / "truth.parquet")
    return lambda: (_judged_by_rows if part == "judged" else _georouting_by_rows)(truth, *tables)


def _error_by_rows(row: dict[str, Any], truth: dict[str, Any]) -> float:
    if row["lat_deg"] is None:
        return float("inf")
    return float(great_circle_km(row["lat_deg"], row["lon_deg"], truth["lat_deg"], truth["lon_deg"]))


def _judged_by_rows(truth: pa.Table, predictions: pa.Table) -> float:
    true = {row["image_id"]: row for row in truth.to_pylist()}
    found = {(row["method"], row["image_id"]): row for row in predictions.to_pylist()}
    judged = [
        {**found[method, image_id], **{f"truth_{name}": value for name, value in row.items()}}
        for method in METHODS
        for image_id, row in sorted(true.items())
    ]
    lat, lon, true_lat, true_lon = (
        np.array([row[name] for row in judged], np.float64)
        for name in ("lat_deg", "lon_deg", "truth_lat_deg", "truth_lon_deg")
    )
    return float(np.sum(great_circle_km(lat, lon, true_lat, true_lon) <= 750))


def _georouting_by_rows(truth: pa.Table, retrieval: pa.Table, generation: pa.Table) -> int:
    retrieved, generated = ({row["image_id"]: row for row in each.to_pylist()} for each in (retrieval, generation))
    rows = []
    for true in truth.to_pylist():
        first, second = retrieved[true["image_id"]], generated[true["image_id"]]
        errors = _error_by_rows(first, true), _error_by_rows(second, true)
        rows.append({**first, "label": int(errors[1] < errors[0])})
    return sum(pa.Table.from_pylist(rows)["label"].to_pylist())


def _census_by_rows(folder: Path) -> list[int]:
    counts: Counter[tuple[str | None, str, str | None]] = Counter()
    for shard in range(SHARDS):
        known, images, undecoded, refused = (
            pq.read_table(folder / f"{name}-{shard:03d}.parquet").to_pylist()
            for name in ("catalogue", "images", "undecoded", "refused")
        )
        sets = {row["image_id"]: row["set_name"] for row in known}
        counts.update((row["set_name"], "catalogue", None) for row in known)
        counts.update((row["set_name"], "decode", None) for row in images)
        counts.update((sets[row["image_id"]], "decode", row["reason"]) for row in undecoded)
        counts.update((None, "catalogue", row["reason"]) for row in refused)
    return [counts[key] for key in sorted(counts, key=lambda key: [(part is None, part or "") for part in key])]


def measure(folder: Path, queries: int, images: int, earlier: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Draw the tables and measure every part; raises RuntimeError where two ways do not agree."""
    draw(folder, queries, images)
    figures: dict[str, Any] = {"queries": queries, "images": images, "earlier": earlier, "parts": {}}
    for part in WORDS:
        ways = ("polars", "rows") if part in BY_ROWS else ("polars",)
        found = {way: fresh_process(__spec__.name, "--part", part, "--way", way, "--draw", str(folder)) for way in ways}
        if len({json.dumps(each.pop("result")) for each in found.values()}) > 1:
            raise RuntimeError(f"found other results of {part} by rows, expected the same; one of the two is wrong")
        figures["parts"][part] = found
    return figures


def report(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "# Tables\n",
        "Seconds (the shortest of five runs) and the memory of a process that does nothing else. *By rows* is the "
        "same work on Python dictionaries, without a table library; *earlier* is the code of commit f637867 on the "
        "same files, measured before it on the same machine, which other work shared; its GeoRouting table was checked "
        "against its contract as well.\n",
        "| | polars | by rows | earlier |",
        "|---|---:|---:|---:|",
    ]
    for part, found in figures["parts"].items():
        ways = (found["polars"], found.get("rows"), figures["earlier"].get(part))
        cells = [f"{way['seconds']:.2f} s, {way['peak_mib']:,.0f} MiB" if way else "–" for way in ways]
        lines.append(f"| {WORDS[part].format(**figures)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print; `--save` keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the sizes")
    parser.add_argument("--save", action="store_true", help="write docs/measurements/tables.json and .md")
    parser.add_argument("--earlier", type=Path, help="figures of another commit on the same drawn tables")
    parser.add_argument("--draw", type=Path, help="where the drawn tables lie")
    parser.add_argument("--part", choices=WORDS, help="only one part, as a line of JSON")
    parser.add_argument("--way", choices=("polars", "rows"), default="polars")
    chosen = parser.parse_args()
    if chosen.part:
        sys.stdout.write(json.dumps(one(chosen.part, chosen.draw, chosen.way)) + "\n")
        return
    queries, images = (1_000, 10_240) if chosen.quick else (50_000, 512_000)
    earlier = json.loads(chosen.earlier.read_text()) if chosen.earlier else {}
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(chosen.draw or Path(folder), queries, images, earlier)
    text = report(figures)
    sys.stdout.write(text + "\n")
    if chosen.save:
        save("tables", figures, text)


if __name__ == "__main__":
    main()
