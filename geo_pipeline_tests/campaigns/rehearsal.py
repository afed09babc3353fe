"""A rehearsal from its command to its report: `python -m geo_pipeline_tests.campaigns.rehearsal [--short]`.

Runs `geo-pipeline rehearse` in a folder of its own and looks at what it left: every everyday asset was made, the
trainings had eight workers, the report names both benchmarks, and a second run has nothing to do. The short one takes
64 photographs and 32 reference shards (128 take six minutes on two cores); the whole one, as the command by itself,
1,200 photographs (128 of them queries) and 1,024 shards. `--save` writes docs/measurements/rehearsal.{json,md}.
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

from geo_pipeline_tests.campaigns.two_nodes import require
from geo_pipeline_tests.speed.measuring import save

SHORT = {"photographs": 64, "queries": 4, "shards": 32}
WHOLE = {"photographs": 1_072, "queries": 64, "shards": 1_024}
WORKERS = 8
LONGEST_S = 90 * 60
MOST_MIB = 20 * 1024


def geo_pipeline(home: Path, *arguments: str) -> str:
    """Run the command, show what it prints, and return that."""
    command = [sys.executable, "-m", "geo_pipeline.cli", *arguments, "--home", str(home)]
    environment = os.environ | {"HF_HUB_CACHE": str(home / "rehearsal" / "hub"), "HF_HUB_OFFLINE": "1"}
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as running:
        for line in running.stdout or ():
            print(line, end="", flush=True)  # noqa: T201 - what the campaign is run for
            lines.append(line)
    require(running.returncode == 0, f"found exit status {running.returncode} of geo-pipeline {' '.join(arguments)}")
    return "".join(lines)


def rehearsed(home: Path, size: dict[str, int]) -> dict[str, Any]:
    """Rehearse and look at the home. Raises BrokenPromiseError."""
    began = time.perf_counter()
    geo_pipeline(home, "rehearse", *(f"--{name}={value}" for name, value in size.items()))
    seconds = time.perf_counter() - began
    costs: list[dict[str, Any]] = json.loads((home / "rehearsal.json").read_text())
    again = geo_pipeline(home, "run")
    require("nothing to do" in again, f"found that a second run is not idle: {again}")
    card = json.loads((home / "checkpoints" / "geosurge_checkpoint" / "card.json").read_text())
    require(card["workers"] == WORKERS, f"found {card['workers']} workers in GeoSURGE's card, expected {WORKERS}")
    report = (home / "reports" / "benchmark_report" / "index.html").read_text(encoding="utf-8")
    for name in ("IM2GPS3k", "YFCC4k"):
        require(name in report, f"found no {name} in the report")
    peak = max(cost["peak_mib"] for cost in costs)
    require(seconds <= LONGEST_S and peak <= MOST_MIB, f"found {seconds:.0f} s and {peak:.0f} MiB")
    return {**size, "seconds": round(seconds), "peak_mib": peak, "costs": costs}


def markdown(found: dict[str, Any]) -> str:
    """What each asset took, for a reader."""
    lines = [
        "# The rehearsal of the profile `paper`",
        "",
        f"`python -m geo_pipeline_tests.campaigns.rehearsal --save`: {found['photographs']:,} drawn photographs and "
        f"{found['queries']} queries of each of two benchmarks, {found['shards']:,} reference shards, eight workers, "
        "networks of the published depths and narrow widths with random weights, on the CPU (OneFormer takes one "
        "photograph at once, eight in `paper`). What it takes says what "
        "the machinery costs, and nothing of the published networks. Memory is that of all processes together, shared "
        "pages counted once.",
        "",
        "| asset | shards | rows | time | peak memory |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {each['asset']} | {each['shards']:,} | {each['rows']:,} | {each['seconds']:.1f} s | "
        f"{each['peak_mib'] / 1024:.1f} GiB |"
        for each in found["costs"]
    ]
    return "\n".join([*lines, f"| all | | | {found['seconds'] / 60:.0f} min | {found['peak_mib'] / 1024:.1f} GiB |"])


def main() -> None:
    """Rehearse, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="64 photographs and 32 shards")
    parser.add_argument("--save", action="store_true", help="write docs/measurements/rehearsal.{json,md}")
    parser.add_argument("--home", type=Path, help="a folder that is kept")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = chosen.home or Path(scratch) / "home"
        found = rehearsed(home, SHORT if chosen.short else WHOLE)
    print(json.dumps({**found, "costs": len(found["costs"])}), flush=True)  # noqa: T201 - what it is run for
    if chosen.save:
        save("rehearsal", found, markdown(found))


if __name__ == "__main__":
    main()
