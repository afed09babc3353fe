"""What it brings that Ray's workers keep freed memory (compute.ray): `python -m geo_pipeline_tests.speed.kept_memory`.

The sample's OneFormer at Swin-L's input size (640 px), in bf16, on drawn photographs of 512 x 384, in processes of
their own and in a thread, as a shard's work runs, with and without glibc's variables, in turn. `--save` writes
docs/measurements/kept_memory.{json,md}.
"""

import argparse
import json
import os
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest import mock

import numpy as np
import torch

from geo_pipeline.compute.ray import SETTINGS
from geo_pipeline.segmentation.config import SegmentationConfig
from geo_pipeline.segmentation.oneformer import Segmenter
from geo_pipeline_tests.speed.measuring import fresh_process, peak_mib, save

PHOTOGRAPHS = 8
ROUNDS = 3
VARIABLES = {name: value for name, value in SETTINGS.items() if name.startswith("MALLOC_")}


def one(threads: int) -> dict[str, float]:
    """Seconds, page faults (thousands) and processor seconds for each photograph, and the peak memory in MiB."""
    torch.set_num_threads(threads)
    segmenter = Segmenter(replace(SegmentationConfig.sample(), input_px=640, precision="bf16", batch=1))
    images = list(np.random.default_rng(0).integers(0, 256, (PHOTOGRAPHS, 384, 512, 3), dtype=np.uint8))
    segmenter.segment(images[:1])
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    segmenter.segment(images)
    after, ended = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    return {
        "seconds": (ended - began) / PHOTOGRAPHS,
        "user_seconds": (after.ru_utime - before.ru_utime) / PHOTOGRAPHS,
        "system_seconds": (after.ru_stime - before.ru_stime) / PHOTOGRAPHS,
        "thousand_faults": (after.ru_minflt - before.ru_minflt) / PHOTOGRAPHS / 1000,
        "peak_mib": peak_mib(),
    }


def main() -> None:
    """Measure, print Markdown, and keep the figures with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write docs/measurements/kept_memory.{json,md}")
    parser.add_argument("--one", type=int, metavar="THREADS", help="one figure (used inside)")
    chosen = parser.parse_args()
    if chosen.one:
        with ThreadPoolExecutor(1) as pool:
            print(json.dumps(pool.submit(one, chosen.one).result()))  # noqa: T201
        return
    runs: dict[str, list[dict[str, float]]] = {"as glibc does": [], "kept": []}
    for _ in range(ROUNDS):
        for name, found in runs.items():
            with mock.patch.dict(os.environ, VARIABLES if name == "kept" else {}):
                found.append(fresh_process("geo_pipeline_tests.speed.kept_memory", "--one", "4"))
    best = {name: min(found, key=lambda run: run["seconds"]) for name, found in runs.items()}
    ratio = best["as glibc does"]["seconds"] / best["kept"]["seconds"]
    lines = [
        "# Memory that a worker keeps",
        "",
        f"`python -m geo_pipeline_tests.speed.kept_memory`: the sample's OneFormer at 640 px in bf16 on CPUs, "
        f"{PHOTOGRAPHS} drawn photographs of 512 x 384, one a forward, four threads; the best of {ROUNDS} processes "
        f"each. With {' and '.join(f'`{name}={value}`' for name, value in VARIABLES.items())} a photograph takes "
        f"1/{ratio:.2f} of the time.",
        "",
        "| freed memory | s a photograph | user s | system s | page faults | peak memory |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {name} | {run['seconds']:.2f} | {run['user_seconds']:.2f} | {run['system_seconds']:.2f} "
            f"| {run['thousand_faults']:,.0f}k | {run['peak_mib']:,.0f} MiB |"
            for name, run in best.items()
        ),
    ]
    print("\n".join(lines))  # noqa: T201
    if chosen.save:
        save("kept_memory", {"runs": runs, "ratio": ratio}, "\n".join(lines))


if __name__ == "__main__":
    main()
