"""Speed of the contracts: `python -m geo_pipeline_tests.speed.contracts --home HOME [--before CHECKOUT]`.

Tables of a finished home, each through `conform` as it is on every write and read, and larger ones made of them or
drawn; the memory of the largest. With --before, another checkout's contracts on the same tables, in turn.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geo_pipeline.contracts.contract import load
from geo_pipeline_tests.speed.measuring import peak_mib, save, seconds

OF_HOME = ("catalogue", "images", "features", "predictions", "scores", "training_curves")
LARGE_BYTES, PHOTOGRAPH_BYTES = 200 * 2**20, 100 * 2**10
ROUNDS = 2


def write_tables(home: Path, folder: Path, divisor: int = 1) -> None:
    """The tables to measure, one folder each: those of the home by name, and larger ones (of 1 / divisor the rows)."""
    for name in OF_HOME:
        (folder / name).mkdir()
        for number, path in enumerate(sorted((home / "tables" / name).rglob("*.parquet"))):
            pq.write_table(pq.ParquetFile(path).read(), folder / name / f"{number}.parquet")
    images = pa.concat_tables([pq.read_table(path) for path in sorted((folder / "images").iterdir())])
    _write(folder, "images", "200 MiB", _repeated(images, LARGE_BYTES // divisor * images.num_rows // images.nbytes))
    padded = pc.binary_join_element_wise(images["jpeg"], pa.scalar(bytes(PHOTOGRAPH_BYTES)), b"")
    padded = images.set_column(images.column_names.index("jpeg"), "jpeg", padded).slice(0, 50)
    photographs = _repeated(padded, LARGE_BYTES // divisor // PHOTOGRAPH_BYTES)
    _write(folder, "images", "200 MiB of 100 KiB each", photographs)
    vectors = np.random.default_rng(0).normal(size=(4612 // divisor, 768)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 768).cast(pa.list_(pa.float32()))
    ids = [f"{number:06d}" for number in range(len(vectors))]
    _write(folder, "features", "768 wide", pa.table({"image_id": ids, "feature": column}))
    answers = pa.concat_tables([pq.read_table(path) for path in sorted((folder / "predictions").iterdir())])
    answers = _repeated(answers, 50_000 // divisor)
    _write(folder, "predictions", "many rows", answers)
    broken = answers.drop_columns("failure").append_column("failure", pa.repeat("why?", answers.num_rows))
    broken = broken.set_column(2, "lat_deg", pa.repeat(95.0, answers.num_rows))
    _write(folder, "predictions", "many rows, all broken", broken)


def _repeated(table: pa.Table, rows: int) -> pa.Table:
    """The table again and again up to `rows`, with an image_id of its own in every row, as one file would be read."""
    table = pa.concat_tables([table] * (1 + rows // table.num_rows)).slice(0, rows)
    return table.set_column(0, "image_id", pa.array([f"{number:08d}" for number in range(rows)], pa.string()))


def _write(folder: Path, name: str, what: str, table: pa.Table) -> None:
    (folder / f"{name}, {what}").mkdir()
    pq.write_table(table, folder / f"{name}, {what}" / "0.parquet")


def measured(folder: Path, case: str) -> dict[str, Any]:
    """Seconds and memory of one case, in this process: the first table with all imports, and all tables when warm."""
    contract = load(case.partition(",")[0])
    tables = [pq.read_table(path) for path in sorted((folder / case).iterdir())]
    began = time.perf_counter()
    problems = len(contract.problems(tables[0]))
    first = time.perf_counter() - began
    peak = peak_mib()

    def all_tables() -> None:
        for table in tables:
            contract.problems(table)

    return {
        "tables": len(tables),
        "rows": sum(table.num_rows for table in tables),
        "mib": sum(table.nbytes for table in tables) / 2**20,
        "problems": problems,
        "first_s": first,
        "warm_s": seconds(all_tables),
        "peak_mib": peak,
    }


def in_turn(folder: Path, checkouts: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """The figures of every case for every checkout, in processes of their own that take turns; the shortest count."""
    figures: dict[str, dict[str, Any]] = {}
    for case in sorted(path.name for path in folder.iterdir()):
        for _ in range(ROUNDS):
            for name, checkout in checkouts.items():
                found = _inside(checkout, folder, case)
                known = figures.setdefault(case, {}).setdefault(name, found)
                for key in ("first_s", "warm_s", "peak_mib"):
                    known[key] = min(known[key], found[key])
        if len({entry["problems"] for entry in figures[case].values()}) > 1:
            raise RuntimeError(f"{case}: found other problems in one checkout than in the other; expected the same.")
    return figures


def _inside(checkout: Path, folder: Path, case: str) -> dict[str, Any]:
    """This file, with the contracts of the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    words = [sys.executable, __file__, "--inside", str(folder), "--case", case]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment, cwd=checkout)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def markdown(cases: dict[str, dict[str, Any]], commit: str | None) -> str:
    """The figures for a reader."""
    lines = [
        "# Contracts",
        "",
        "Checks of tables in memory against their contracts, each case in processes of its own, in turn, the shortest "
        f"of {ROUNDS} processes and of three runs in each. The first table pays the imports and the plan; the "
        "peak is the memory of the whole process, tables included, after the first table.",
    ]
    if commit:
        lines += ["", f"Before: the contracts of commit {commit}."]
    names = [name for name in ("before", "here") if name in next(iter(cases.values()))]
    columns = [f"{name}: {what}" for what in ("ms a table", "first, ms", "peak MiB") for name in names]
    lines += [
        "",
        f"| what | tables | rows | MiB | {' | '.join(columns)} |",
        "|---|---:|---:|---:|" + "---:|" * len(columns),
    ]
    for case, found in cases.items():
        one = next(iter(found.values()))
        cells = [f"{1000 * found[name]['warm_s'] / one['tables']:,.1f}" for name in names]
        cells += [f"{1000 * found[name]['first_s']:,.0f}" for name in names]
        cells += [f"{found[name]['peak_mib']:,.0f}" for name in names]
        lines.append(f"| {case} | {one['tables']} | {one['rows']:,} | {one['mib']:,.1f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print; keep with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="a home that a run of the sample has filled")
    parser.add_argument("--before", type=Path, help="a checkout of an earlier commit, measured in turn")
    parser.add_argument("--save", action="store_true", help="write docs/measurements/contracts.json and .md")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        sys.stdout.write(json.dumps(measured(chosen.inside, chosen.case)) + "\n")
        return
    if not chosen.home:
        parser.error("found no --home; expected a home that a run of the sample has filled")
    checkouts, commit = {"here": Path(__file__).parents[2]}, None
    if chosen.before:
        checkouts["before"] = chosen.before.resolve()
        words = ["git", "-C", str(chosen.before), "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        write_tables(chosen.home, Path(folder))
        cases = in_turn(Path(folder), checkouts)
    text = markdown(cases, commit)
    sys.stdout.write(text + "\n")
    if chosen.save:
        save("contracts", {"before": commit, "cases": cases}, text)


if __name__ == "__main__":
    main()
