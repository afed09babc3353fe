"""How long a network waits for photographs, by the real worker and the real training loader, with a stand-in device.

The stand-in holds each photograph for twice the time in which two cores decode it, and uses no core. The cores that a
GPU needs follow from the seconds that a core spends on a photograph: cores = photographs per second x these seconds.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from geo_pipeline.compute.shard_job import in_batches
from geo_pipeline.geosurge.config import InferenceConfig, TrainingConfig, VisionConfig
from geo_pipeline.geosurge.pairs import Pair, TrainingPairs, decode_pair, stack_pairs
from geo_pipeline.geosurge.worker import CutPairs, Cutter, crops, on_device
from geo_pipeline.imagery.ahead import Ahead
from geo_pipeline.imagery.crops import centre_crop
from geo_pipeline.imagery.decode import decode_rgb
from geo_pipeline.segmentation.class_maps import encode_class_map
from geo_pipeline.training.order import parts
from geo_pipeline_tests.speed.fed_training import draw_files, pictures
from geo_pipeline_tests.speed.measuring import save

CORES = 2
SLOWER = 2.0
SAMPLED = 256
"""Photographs by which the time of the cores is measured, just before the stand-in begins."""
RATES = (10, 50, 100, 200, 400, 800, 1600)
"""Photographs per second of one GPU, for the table of cores."""
Figure = dict[str, float]
Work = Callable[[int], object]


def measured(work: Work, count: int) -> Figure:
    """Seconds for one photograph: of a core (processor time), and as two threads pass on this machine as it is now."""
    spent: list[float] = []

    def one(row: int) -> None:
        began = time.thread_time()
        work(row)
        spent.append(time.thread_time() - began)

    with ThreadPoolExecutor(CORES) as threads:
        list(threads.map(work, range(CORES)))
        began = time.perf_counter()
        list(threads.map(one, range(count)))
        return {"core_s": sum(spent) / count, "two_cores_s": (time.perf_counter() - began) / count}


def held(stages: Iterable[int], hold_s: float) -> Figure:
    """The stand-in: holds the photographs of each stage for `hold_s` each; its start, and what it waited later."""
    waited_s, start_s, busy_s, images, found = 0.0, 0.0, 0.0, 0, iter(stages)
    while True:
        began = time.perf_counter()
        count = next(found, None)
        waited_s += time.perf_counter() - began
        start_s = start_s or waited_s
        if count is None:
            whole_s = waited_s + busy_s
            later_s = waited_s - start_s
            return {"start_s": start_s, "wait_share": later_s / (later_s + busy_s), "images_per_s": images / whole_s}
        began = time.perf_counter()
        time.sleep(count * hold_s)
        busy_s += time.perf_counter() - began
        images += count


def features(vision: VisionConfig, images: int, batch_rows: int, ten: bool) -> Figure:
    """The feature worker's threads and crops in front of the stand-in, through the shard job's batches ahead."""
    jpegs, pngs = pictures(images, 384)
    inference, cutter = InferenceConfig(crops="ten" if ten else "centre", batch=64), Cutter()
    per_image = 10 if ten else 1

    def crops_of(row: int) -> list[Pair]:
        return crops(decode_pair(jpegs[row], pngs[row], vision.resize_px), vision.input_px, inference)

    def prepare(batch: pa.Table) -> CutPairs:
        rows = batch["row"].to_pylist()
        return CutPairs(
            [], cutter.cut(len(rows), max(1, inference.batch // per_image), lambda place: crops_of(rows[place]))
        )

    def stages() -> Iterator[int]:
        batches = in_batches(pa.table({"row": list(range(images))}), batch_rows)
        for prepared in Ahead(2).made(prepare, batches):
            for pixels_BCHW, _ in on_device(prepared.groups, torch.device("cpu")):
                yield len(pixels_BCHW) // per_image

    cost = measured(lambda row: stack_pairs(crops_of(row)), min(SAMPLED, images))
    return cost | held(stages(), SLOWER * cost["two_cores_s"])


def segmentation(images: int, batch_rows: int) -> Figure:
    """Decoding ahead of OneFormer as the shard job does it; the compression of maps is counted, not waited for."""
    jpegs, pngs = pictures(images, 384)

    def stages() -> Iterator[int]:
        batches = in_batches(pa.table({"row": list(range(images))}), batch_rows)
        decode = lambda batch: [decode_rgb(jpegs[row]) for row in batch["row"].to_pylist()]  # noqa: E731
        for prepared in Ahead(2).made(decode, batches):
            yield len(prepared)

    class_map = decode_pair(jpegs[0], pngs[0], 384)[1]
    cost = measured(lambda row: (decode_rgb(jpegs[row]), encode_class_map(class_map)), min(SAMPLED, images))
    return cost | held(stages(), SLOWER * cost["two_cores_s"])


def training(vision: VisionConfig, images: int, batch: int, folder: Path) -> Figure:
    """The training's loader, every photograph once, in the order of the file."""
    config = TrainingConfig(
        batch=batch, random_crop=True, horizontal_flip=True, decoded_budget_mib=0, loader_threads=8, prefetch=2
    )
    files = draw_files(folder, images, vision.resize_px)
    pairs = TrainingPairs([files[0]], [files[1]], vision, config)
    jpegs, pngs = pictures(min(SAMPLED, images), vision.resize_px)

    def ready(row: int) -> None:
        stack_pairs([centre_crop(*decode_pair(jpegs[row], pngs[row], vision.resize_px), vision.input_px)])

    cost = measured(ready, min(SAMPLED, images))
    whole = (part for start in range(0, images, batch) for part in parts([np.arange(start, start + batch)], 0, None))
    stages = (len(crops[0]) for _, crops in pairs.prefetched(whole, 0, torch.device("cpu")))
    return cost | held(stages, SLOWER * cost["two_cores_s"])


def document(figures: dict[str, Figure], load: float) -> str:
    """The figures and the cores that a GPU needs, for a reader."""
    lines = [
        "# Feeding a GPU",
        "",
        "`python -m geo_pipeline_tests.speed.feeding --save`: the real threads, crops and loader in front of a",
        f"stand-in device that holds a photograph for {SLOWER:g} times the time in which {CORES} threads make it ready",
        "(measured just before, on the machine as it was) and uses no core. No GPU was there. The load of the machine",
        f"when this began was {load:.1f} on {os.cpu_count()} cores; where others work, the device waits for them too,",
        "and the aim of 5 % is not to be judged. The start is the wait for the first photographs of a shard (4,600 in",
        "the profile paper). Milliseconds of a core are processor time. Pictures are drawn, 512 x 384.",
        "",
        "| what | a core, ms per photograph | start, s | the device waits later | photographs per second |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, found in figures.items():
        lines.append(
            f"| {name} | {1000 * found['core_s']:.1f} | {found['start_s']:.2f} | {found['wait_share']:.1%} "
            f"| {found['images_per_s']:.0f} |"
        )
    lines += [
        "",
        "Cores that one GPU needs at so many photographs per second (rate x seconds of a core):",
        "",
        "| photographs per second | " + " | ".join(map(str, RATES)) + " |",
        "|---|" + "---:|" * len(RATES),
    ]
    for name, found in figures.items():
        lines.append(f"| {name} | " + " | ".join(f"{rate * found['core_s']:.1f}" for rate in RATES) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print Markdown, and keep the figures with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write docs/measurements/feeding.{json,md}")
    parser.add_argument("--images", type=int, default=1024, help="photographs of each part")
    chosen = parser.parse_args()
    load, vision = os.getloadavg()[0], VisionConfig()
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            "features, ten crops": features(vision, chosen.images, 256, ten=True),
            "features, centre": features(vision, chosen.images, 256, ten=False),
            "segmentation": segmentation(chosen.images, 256),
            "training": training(vision, chosen.images, 128, Path(folder)),
        }
    print(document(figures, load))  # noqa: T201
    if chosen.save:
        save("feeding", {"load": load, "figures": figures}, document(figures, load))


if __name__ == "__main__":
    main()
