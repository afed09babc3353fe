"""Inputs of a report, drawn from a seed: two benchmarks that are not published ones, and one that is.

Everything is made here with plain arithmetic, so that a golden text changes only when the report does.
"""

from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa

from geo_pipeline.contracts.contract import load
from geo_pipeline.scoring.cell_hits import CellHits
from geo_pipeline.scoring.judged import judge
from geo_pipeline.scoring.published import PublishedRow
from geo_pipeline.scoring.report.context import BenchmarkLine, MethodLine, ReportContext
from geo_pipeline.scoring.report.inputs import ReportInputs
from geo_pipeline.scoring.report.run_options import RunOptions
from geo_pipeline_tests.scoring.report.drawn_examples import drawn_examples

THRESHOLDS_KM = (1.0, 25.0, 200.0, 750.0, 2500.0)
METHODS = (
    MethodLine("densest_cell", "Densest cell", "guess"),
    MethodLine("geosurge", "GeoSURGE", "retrieval"),
    MethodLine("retrieval", "Retrieval", "retrieval"),
    MethodLine("generation", "Generation", "generation"),
    MethodLine("router", "GeoRouter", "router"),
    MethodLine("router_coordinates_only", "Router, coordinates only", "router"),
    MethodLine("router_image_only", "Router, image only", "router"),
    MethodLine("oracle", "Oracle", "oracle"),
)
BENCHMARKS = (
    BenchmarkLine("planet_mixed", "Planet, mixed"),
    BenchmarkLine("planet_remote", "Planet, remote", notes=("Places that no reference image shows.",)),
)
CONTEXT = ReportContext(
    profile="sample",
    seed=7,
    statement="A drawn planet, not the Earth. The networks are small and trained on other drawn planets.",
    methods=METHODS,
    benchmarks=BENCHMARKS,
    models=(
        ("Vision tower", "sample clip"),
        ("Segmentation", "sample oneformer"),
        ("Language model", "sample qwen2vl"),
    ),
    source="a drawn planet, small networks",
    options=RunOptions(
        candidates=10,
        top_k=10,
        cell_weight=1.0,
        similarity_temperature=0.07,
        author_km=1.0,
        depth=7,
        depth_kept="finest",
        partitions=7,
        fusion_blocks=3,
        geography="embeddings",
        loss="unique_cells",
        symmetric=False,
        random_crop=True,
        horizontal_flip=False,
        uncovered="mask",
        precision="fp32",
    ),
)


def _predictions(rng: np.random.Generator, truth: pa.Table) -> pa.Table:
    """Retrieval near or far, generation middling with one image in forty failed, routers that often choose well."""
    count = truth.num_rows
    lat, lon = truth.column("lat_deg").to_numpy(), truth.column("lon_deg").to_numpy()
    seen = rng.random(count) < 0.45
    off = {
        "densest_cell": np.full(count, 60.0),
        "geosurge": np.where(seen, rng.exponential(0.5, count), rng.exponential(20.0, count)),
        "retrieval": np.where(seen, rng.exponential(0.05, count), rng.exponential(25.0, count)),
        "generation": rng.exponential(4.0, count),
    }
    failed = rng.random(count) < 1 / 40
    parts = []
    for name, degrees in off.items():
        null = failed if name == "generation" else np.zeros(count, dtype=bool)
        moved = np.clip(lat + np.where(lat > 0, -degrees, degrees), -90, 90)
        parts.append(_method_rows(name, truth, moved, lon, null, None))
    nearer = (off["generation"] < off["retrieval"]) & ~failed
    for name, skill in (
        ("router", 0.85),
        ("router_coordinates_only", 0.6),
        ("router_image_only", 0.7),
        ("oracle", 1.0),
    ):
        chosen = np.where(rng.random(count) < skill, nearer, ~nearer) & ~failed
        degrees = np.where(chosen, off["generation"], off["retrieval"])
        moved = np.clip(lat + np.where(lat > 0, -degrees, degrees), -90, 90)
        parts.append(_method_rows(name, truth, moved, lon, np.zeros(count, dtype=bool), chosen))
    return pa.concat_tables(parts)


def _method_rows(name, truth, lat, lon, null, chosen) -> pa.Table:
    words = None if chosen is None else ["generation" if c else "retrieval" for c in chosen]
    return pa.table(
        {
            "image_id": truth.column("image_id"),
            "method": pa.array([name] * truth.num_rows, pa.string()),
            "lat_deg": pa.array(lat, pa.float64(), mask=null),
            "lon_deg": pa.array(lon, pa.float64(), mask=null),
            "failure": pa.array(["no_coordinate" if n else None for n in null], pa.string()),
            "chosen": pa.array(words or [None] * truth.num_rows, pa.string()),
            "score": pa.nulls(truth.num_rows, pa.float64()),
        }
    )


def drawn_scores(judged: pl.DataFrame) -> pl.DataFrame:
    """The `scores` columns with a plain normal interval: enough for a report, which does not compute them itself."""
    rows, table = [], judged.to_dicts()
    for benchmark in sorted({r["benchmark"] for r in table}):
        for method in dict.fromkeys(r["method"] for r in table if r["benchmark"] == benchmark):
            mine = [r for r in table if (r["benchmark"], r["method"]) == (benchmark, method)]
            errors = np.array([r["error_km"] for r in mine])
            for limit in THRESHOLDS_KM:
                accuracy = float(np.mean(errors <= limit))
                half = 1.96 * np.sqrt(accuracy * (1 - accuracy) / len(errors))
                rows.append(
                    {
                        "benchmark": benchmark,
                        "method": method,
                        "threshold_km": limit,
                        "distance": "great_circle",
                        "count": len(errors),
                        "failures": int(np.isinf(errors).sum()),
                        "accuracy": accuracy,
                        "low": max(accuracy - half, 0.0),
                        "high": min(accuracy + half, 1.0),
                        "median_km": float(np.sort(errors)[len(errors) // 2]),
                    }
                )
    return pl.DataFrame(rows, infer_schema_length=None)


def _routing_scores(judged: pl.DataFrame) -> pl.DataFrame:
    rows, table = [], judged.to_dicts()
    error = {(r["benchmark"], r["method"], r["image_id"]): r["error_km"] for r in table}
    for benchmark in sorted({r["benchmark"] for r in table}):
        for method in [m.name for m in METHODS if m.paradigm == "router"]:
            mine = [r for r in table if (r["benchmark"], r["method"]) == (benchmark, method)]
            for limit in THRESHOLDS_KM:
                eligible = correct = 0
                for r in mine:
                    first = error[benchmark, "retrieval", r["image_id"]]
                    second = error[benchmark, "generation", r["image_id"]]
                    eligible += min(first, second) <= limit
                    right = (r["chosen"] == "generation") == (second < first)
                    correct += min(first, second) <= limit and right
                accuracy = correct / eligible if eligible else None
                rows.append(
                    dict(
                        zip(
                            ("benchmark", "method", "threshold_km", "eligible", "correct", "accuracy"),
                            (benchmark, method, limit, int(eligible), int(correct), accuracy),
                            strict=True,
                        )
                    )
                )
    return pl.DataFrame(rows, infer_schema_length=None)


def _curves(rng: np.random.Generator, start: float) -> pl.DataFrame:
    rows = []
    for step in range(1, 41):
        loss = float(start * np.exp(-step / 15) + 0.3 + 0.05 * rng.random())
        row = {"step": step, "epoch": step // 10, "learning_rate": 1e-4, "metric": None}
        rows.append({**row, "split": "train", "loss": loss})
        if step % 10 == 0:
            rows.append({**row, "split": "holdout", "loss": loss + 0.15})
    return pl.DataFrame(rows)


def _census(images: int) -> pl.DataFrame:
    """Columns of the table `census`: two truncated images, one record in the sea."""
    sets = {"train": (3000, 412), "holdout": (31, 6), "router_queries": (150, 22)}
    sets |= {line.name: (images, 11) for line in BENCHMARKS}
    lost = {"train": 2}
    rows = [(name, "catalogue", None, count, authors) for name, (count, authors) in sets.items()]
    rows += [(name, "decode", None, count - lost.get(name, 0), None) for name, (count, _) in sets.items()]
    rows += [("train", "decode", "truncated", 2, None), (None, "catalogue", "null_island", 1, None)]
    rows += [("planet_mixed", "catalogue", "null_island", 4, None), (None, "catalogue", "lat_out_of_range", 9, None)]
    schema = load("census").arrow_schema
    return pl.DataFrame(pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema))


def _leakage() -> pl.DataFrame:
    """Columns of the table `leakage`: one benchmark shares images with the training data and with the other one."""
    known = {
        ("planet_mixed", "train+holdout", "byte"): 1,
        ("planet_mixed", "train+holdout", "near"): 3,
        ("planet_mixed", "benchmarks", "near"): 2,
        ("planet_remote", "benchmarks", "near"): 2,
        ("planet_remote", "planet_remote", "byte"): 4,
        ("holdout", "train+holdout", "near"): 5,
    }
    names = ["train", "holdout", "router_queries", *(line.name for line in BENCHMARKS)]
    rows = [
        {"set_name": name, "other_set": other, "kind": kind, "images": known.get((name, other, kind), 0)}
        for name in names
        for other in [*names, "train+holdout", "benchmarks"]
        for kind in ("byte", "near")
    ]
    return pl.DataFrame(pa.Table.from_pylist(rows, load("leakage").arrow_schema))


def drawn_inputs(images: int = 40, seed: int = 7) -> ReportInputs:
    """A full set of inputs with `images` queries per benchmark."""
    rng = np.random.default_rng(seed)
    parts = []
    for line in BENCHMARKS:
        truth = pa.table(
            {
                "image_id": [f"{line.name}-{n:05d}" for n in range(images)],
                "author": [f"author-{n % 11}" for n in range(images)],
                "lat_deg": np.degrees(np.arcsin(rng.uniform(-0.9, 0.9, images))),
                "lon_deg": rng.uniform(-180, 180, images),
            }
        )
        parts.append(judge(line.name, _predictions(rng, truth), truth, [method.name for method in METHODS]))
    judged = pl.DataFrame(pa.concat_tables(parts))
    coverage = pl.DataFrame(
        {
            "partition": [0, 1],
            "tau_min": [5, 5],
            "tau_max": [400, 200],
            "cells": [12, 31],
            "covered": [2900, 2700],
            "total": [3000, 3000],
            "dropped_cells": [3, 9],
            "unsplittable_cells": [0, 1],
        }
    )
    georouting = pl.DataFrame({"label": [0, 1, 1, 0, 1], "trainable": [True, True, True, True, False]})
    return ReportInputs(
        context=CONTEXT,
        scores=drawn_scores(judged),
        routing_scores=_routing_scores(judged),
        judged=judged,
        coverage=coverage,
        census=_census(images),
        leakage=_leakage(),
        georouting=georouting,
        training_curves={"geosurge": _curves(rng, 4.0), "router": _curves(rng, 0.7)},
        examples=drawn_examples(judged),
        cell_hits={("planet_mixed", "geosurge"): CellHits(count=images, right=12, adjoining=9, uncovered=3)},
    )


def published_inputs() -> ReportInputs:
    """The same, with the second benchmark named as a published one, and rows of papers for both."""
    inputs = drawn_inputs()
    lines = (BENCHMARKS[0], replace(BENCHMARKS[1], published=True))
    row = PublishedRow(
        benchmark="planet_remote",
        method="A paper's method",
        metric="accuracy",
        values={25.0: 12.3},
        printed={25.0: "12.30"},
        average=None,
        source="A paper, Table 1",
        note="rounded",
    )
    ours = replace(row, method="A paper's GeoSURGE", printed={25.0: "45.6"}, note="", ours="geosurge")
    return replace(
        inputs,
        context=replace(inputs.context, benchmarks=lines),
        published={"planet_mixed": (row, ours), "planet_remote": (ours, row)},
    )
