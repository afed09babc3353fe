"""The code location from 64 to 2,000 shards: `python -m geo_pipeline_tests.speed.code_location [--quick] [--ui]`.

A home of the real lineage is filled with tables without rows, through the real storage and the real Dagster; only the
functions that would compute are stood in for. Then, each in a process of its own: loading, a run with nothing to do, a
run with one lost shard, and `geo-pipeline status`. `--ui` also times what the asset pages ask of dagster-webserver.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from geo_pipeline_tests.speed.measuring import fresh_process, peak_mib, save

SIZES = (64, 256, 1024, 2000)
QUICK_SIZES = (64, 256)
SHARDS, HOME = "GEO_PIPELINE_SPEED_SHARDS", "GEO_PIPELINE_SPEED_HOME"


def assembly(shards: int, folder: Path) -> Any:
    """The code location of the sample with so many reference shards, and stages that make empty tables."""
    from geo_pipeline.benchmarks.registry import BENCHMARKS
    from geo_pipeline.compute.in_process import InProcessCompute
    from geo_pipeline.home.home import Home
    from geo_pipeline.methods.registry import METHODS
    from geo_pipeline.orchestration.assembly import assemble_lineage
    from geo_pipeline.orchestration.assets import all_stages
    from geo_pipeline.profiles.sample import sample

    profile = replace(sample(0), reference_shards=shards)
    benchmarks = {name: replace(each, expected_count=None) for name, each in BENCHMARKS.items()}
    lineage = all_stages(profile, METHODS, benchmarks)
    stages = {name: stood_in(stage) for name, stage in lineage.stages.items()}
    return assemble_lineage(replace(lineage, stages=stages), Home(folder), InProcessCompute(profile.compute))


def stood_in(stage: Any) -> Any:
    """The stage with its keys, inputs, outputs and checks, and a `make` that computes nothing."""
    from geo_pipeline.contracts.contract import load
    from geo_pipeline.orchestration.stage import Made, Step

    if stage.outputs(stage.keys[0])[0].kind == "manifest":
        return stage

    def make(step: Step, keys: Sequence[str]) -> Iterator[Made]:
        for key in keys:
            outputs = stage.outputs(key)
            if outputs[0].kind in ("checkpoint", "report"):
                (step.building(key) / "weights").write_text("none")
            yield Made(key, {each.name: load(each.name).empty() for each in outputs if each.kind == "table"})

    return replace(stage, make=make, outside=None if stage.outside is None else lambda: "the photographs")


def definitions() -> Any:
    """What dagster-webserver loads."""
    return assembly(int(os.environ[SHARDS]), Path(os.environ[HOME])).definitions


def timed_load(shards: int) -> dict[str, Any]:
    """Import and assemble everything, and make what a code server sends to the webserver."""
    started = time.perf_counter()
    import dagster  # noqa: F401

    imported = time.perf_counter()
    made = assembly(shards, Path("nowhere"))
    assembled = time.perf_counter()
    from dagster._core.remote_representation.external_data import RepositorySnap
    from dagster._serdes import serialize_value

    sent = serialize_value(RepositorySnap.from_def(made.definitions.get_repository_def()))
    done = time.perf_counter()
    return {
        "import_dagster_s": imported - started,
        "load_s": assembled - started,
        "load_and_describe_s": done - started,
        "description_mb": len(sent) / 1e6,
        "peak_mib": peak_mib(),
    }


def timed_run(shards: int, folder: Path) -> dict[str, Any]:
    """`bring_up_to_date` once on the home as it is, and the number of events it wrote."""
    from geo_pipeline.orchestration.runner import bring_up_to_date, local_instance

    made = assembly(shards, folder)
    os.environ.pop("DAGSTER_HOME", None)
    with local_instance(made.home, os.environ) as instance:  # type: ignore[arg-type]
        started = time.perf_counter()
        summary = bring_up_to_date(made.definitions, made.lineage, made.home, made.control, instance, "*")
        took = time.perf_counter() - started
    return {"run_s": took, "keys": sum(map(len, summary.executed.values())), "peak_mib": peak_mib()}


def timed_status(shards: int, folder: Path) -> dict[str, Any]:
    """What `geo-pipeline status` does after loading."""
    import dagster as dg

    from geo_pipeline.commands.status import asset_states
    from geo_pipeline.orchestration.runner import prepare_dagster_home

    made = assembly(shards, folder)
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(made.home))) as instance:
        started = time.perf_counter()
        states = asset_states(made.lineage, made.home, instance)
        took = time.perf_counter() - started
    return {"status_s": took, "fresh": sum(state.fresh for state in states), "peak_mib": peak_mib()}


def measured(shards: int, folder: Path) -> dict[str, Any]:
    """All figures of one size."""

    def again(step: str) -> dict[str, Any]:
        return fresh_process("geo_pipeline_tests.speed.code_location", "--step", step, str(shards), str(folder))

    load = min((again("load") for _ in range(3)), key=lambda figures: figures["load_s"])
    filled = again("run")
    nothing = min((again("run") for _ in range(2)), key=lambda figures: figures["run_s"])
    status = min((again("status") for _ in range(2)), key=lambda figures: figures["status_s"])
    (folder / "tables" / "images" / "reference-001.parquet").unlink()
    one = again("run")
    return {
        "shards": shards,
        **load,
        "fill_s": filled["run_s"],
        "keys": filled["keys"],
        "s_per_key": filled["run_s"] / filled["keys"],
        "no_op_s": nothing["run_s"],
        "no_op_keys": nothing["keys"],
        "status_s": status["status_s"],
        "one_shard_s": one["run_s"],
        "one_shard_keys": one["keys"],
        "dagster_mb": sum(path.stat().st_size for path in (folder / "dagster").rglob("*") if path.is_file()) / 1e6,
    }


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The figures for a reader."""
    lines = [
        "# The code location by number of shards",
        "",
        "The real lineage with tables without rows: what Dagster, its record and the home's book-keeping cost. Loading "
        "is a fresh interpreter (`import dagster` included); a run with nothing to do, with one lost shard, and status "
        "are after loading.",
        "",
        "| shards | load | ... and describe | nothing to do | one lost shard | status | per key | Dagster's record |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['shards']:,} | {row['load_s']:.2f} s | {row['load_and_describe_s']:.2f} s | {row['no_op_s']:.2f} s | "
        f"{row['one_shard_s']:.2f} s ({row['one_shard_keys']} keys) | {row['status_s']:.2f} s | "
        f"{1000 * row['s_per_key']:.0f} ms | {row['dagster_mb']:.0f} MB |"
        for row in rows
    ]
    asked = [row for row in rows if "ui" in row]
    if asked:
        lines += ["", "What dagster-webserver needs to answer (seconds, warm):", ""]
        names = list(asked[0]["ui"])
        lines += ["| shards | " + " | ".join(names) + " |", "|---:" * (len(names) + 1) + "|"]
        lines += [
            f"| {row['shards']:,} | " + " | ".join(f"{row['ui'][name]:.2f}" for name in names) + " |" for row in asked
        ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only 64 and 256 shards")
    parser.add_argument("--sizes", help="numbers of shards, separated by commas")
    parser.add_argument("--ui", action="store_true", help="also time the questions of the asset pages")
    parser.add_argument("--save", action="store_true", help="write docs/measurements/code_location.{json,md}")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.step:
        step, shards, folder = chosen.step
        steps = {
            "load": lambda: timed_load(int(shards)),
            "run": lambda: timed_run(int(shards), Path(folder)),
            "status": lambda: timed_status(int(shards), Path(folder)),
        }
        sys.stdout.write(json.dumps(steps[step]()) + "\n")
        return
    sizes = QUICK_SIZES if chosen.quick else SIZES
    if chosen.sizes:
        sizes = tuple(int(size) for size in chosen.sizes.split(","))
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="code-location-") as folder:
            row = measured(size, Path(folder))
            if chosen.ui:
                from geo_pipeline_tests.speed.webserver import asked

                row["ui"] = asked(size, Path(folder))
            rows.append(row)
    text = markdown(rows)
    sys.stdout.write(text + "\n")
    if chosen.save:
        save("code_location", {"sizes": rows}, text)


if __name__ == "__main__":
    main()
