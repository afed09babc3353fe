"""What every speed measurement shares: the shortest of a few runs, the memory of a fresh process, and where figures go.

Figures are kept as JSON in docs/measurements/, one file per script, so that docs/scale.md is computed from them.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MEASUREMENTS = Path(__file__).parents[2] / "docs" / "measurements"


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The shortest of a few runs."""
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def fresh_process(module: str, *arguments: str) -> dict[str, Any]:
    """Run `python -m module arguments`, which prints one line of JSON, in a process of its own."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def peak_mib() -> float:
    """The largest resident memory of this process so far, in MiB.

    Linux keeps the parent's peak in a child's ru_maxrss, so the kernel's own high-water mark is read where it is told.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        marks = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        if marks:
            return int(marks[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def machine() -> dict[str, object]:
    """The machine in a few words; no name of it."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version()}


def save(name: str, figures: dict[str, Any], markdown: str) -> None:
    """Write two files of this name into docs/measurements/: the figures as JSON, and as Markdown for a reader."""
    MEASUREMENTS.mkdir(parents=True, exist_ok=True)
    known = {"measured": datetime.now(UTC).date().isoformat(), "machine": machine(), **figures}
    (MEASUREMENTS / f"{name}.json").write_text(json.dumps(known, indent=1) + "\n")
    (MEASUREMENTS / f"{name}.md").write_text(markdown.rstrip() + "\n")
