"""Rates of the papers' networks at full size with random weights: `python -m geo_pipeline_tests.speed.networks`.

OneFormer Swin-L in the shape of its ADE20K checkpoint, and GeoSURGE on CLIP ViT-L/14 at 336 px: inference of one crop
and of ten, training steps, the same compiled, the workers on stored bytes, and the training loop with its loader.
Beside them what they can be held against on the same device: large products, and the bare tower. Runs on CUDA where
there is one (bfloat16), else on the CPU (float32). Weights change no rate.

`--save` keeps the figures in docs/measurements/networks.{json,md}, one record per device, so that a CPU and a GPU stand
side by side. `--quick` tries every part at a small size in seconds; its figures mean nothing and are never saved.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from geo_pipeline.geosurge.config import TrainingConfig
from geo_pipeline.geosurge.model import GeoSurge
from geo_pipeline_tests.speed import network_rates as rates
from geo_pipeline_tests.speed.fed_training import fed
from geo_pipeline_tests.speed.measuring import MEASUREMENTS, machine, save
from geo_pipeline_tests.speed.network_sizes import Size, counted, full, geosurge, multiply_adds, quick

MP16 = 4_723_695
WORDS = {
    "oneformer": "OneFormer Swin-L, forward",
    "oneformer_float32": "the same in float32",
    "oneformer_worker": "segmentation worker from stored bytes to compressed maps",
    "centre": "GeoSURGE, centre crop",
    "ten": "GeoSURGE, ten crops of a photograph",
    "training": "GeoSURGE, training step",
    "bare_training": "bare tower: frozen forward and one trainable block",
    "centre_compiled": "centre crop, torch.compile",
    "ten_compiled": "ten crops, torch.compile",
    "training_compiled": "training step, torch.compile",
    "bare_training_compiled": "bare tower, torch.compile",
    "worker_centre": "feature worker from stored bytes, centre crop",
    "worker_ten": "feature worker from stored bytes, ten crops",
    "fed": "training loop fed by its loader",
}
Record = dict[str, Any]


def works(bench: rates.Bench, size: Size, model: GeoSurge, batch: int, folder: Path, backend: str) -> dict[str, Any]:
    """Every part by name: a call that gives its figures."""
    few = max(1, batch // 16)

    def compiled(work: Callable[..., rates.Figure], plain: Callable[..., Any], *sizes: int) -> rates.Figure:
        torch.compiler.reset()
        return work(bench, model, torch.compile(plain, backend=backend), *sizes)

    def stored(ten: bool) -> rates.Figure:
        if not (folder / "checkpoint" / "card.json").is_file():
            model.save_pretrained(folder / "checkpoint")
        return rates.worker(bench, folder / "checkpoint", size, batch, ten)

    encode, tower = model.encode_image, model.tower.forward
    parts: dict[str, Callable[[], rates.Figure]] = {
        "products": lambda: rates.products(bench, size.product_sides),
        "oneformer": lambda: rates.segmentation(bench, size, few, bench.precision),
        "oneformer_float32": lambda: rates.segmentation(bench, size, few, torch.float32),
        "oneformer_worker": lambda: rates.segmentation_worker(bench, size, few, folder / "oneformer"),
        "centre": lambda: rates.features(bench, model, encode, batch, 1),
        "ten": lambda: rates.features(bench, model, encode, batch, 10),
        "training": lambda: rates.training(bench, model, encode, batch),
        "bare_training": lambda: rates.bare_training(bench, model, tower, batch),
        "centre_compiled": lambda: compiled(rates.features, encode, batch, 1),
        "ten_compiled": lambda: compiled(rates.features, encode, batch, 10),
        "training_compiled": lambda: compiled(rates.training, encode, batch),
        "bare_training_compiled": lambda: compiled(rates.bare_training, tower, batch),
        "worker_centre": lambda: stored(ten=False),
        "worker_ten": lambda: stored(ten=True),
        "fed": lambda: fed(model, 20 if bench.device.type == "cuda" else 2, folder / "fed"),
    }
    if bench.precision == torch.float32:
        del parts["oneformer_float32"]
    return parts


def measure(
    bench: rates.Bench, size: Size, batch: int, left_out: Sequence[str] = (), backend: str = "inductor"
) -> Record:
    """One record: the device, the multiply-adds, and the figures of each part, or why it failed."""
    torch.manual_seed(0)
    record: Record = {"size": size.name, **device_facts(bench)}
    model = geosurge(size, bench.device)
    record["multiply_adds"] = multiply_adds(model)
    record["multiply_adds"]["training_as_torch_counts"] = counted_training(bench, model)
    with tempfile.TemporaryDirectory() as folder:
        for name, work in works(bench, size, model, batch, Path(folder), backend).items():
            if any(word in name for word in left_out):
                continue
            try:
                record[name] = work()
            except (RuntimeError, ImportError) as error:  # no memory, no compiler: it must not cost the other parts
                record[name] = {"error": f"{type(error).__name__}: {error}"[:300]}
            print(name, json.dumps(record[name]), flush=True)  # noqa: T201
            if bench.device.type == "cuda":
                torch.cuda.empty_cache()
    return record


def counted_training(bench: rates.Bench, model: GeoSurge) -> float:
    """Multiply-adds of a training step's forward and backward for an image, as torch counts them."""
    pixels_BCHW, maps_BHW = rates.photographs(model, 2, bench.device)
    model.train()
    return counted(lambda: model.encode_image(pixels_BCHW, maps_BHW).square().sum().backward()) / 2


def device_facts(bench: rates.Bench) -> Record:
    """What the figures were measured on."""
    cuda = bench.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads",
        "kind": bench.device.type,
        "precision": str(bench.precision).removeprefix("torch."),
        "torch": torch.__version__,
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
    }


def shares(record: Record) -> dict[str, float]:
    """What is reached of what the multiply-adds allow at the products' speed, and of the bare tower's rate."""
    work, found = record["multiply_adds"], {}
    counts = {"training": work["training"], "bare_training": work["bare_training"], "centre": work["inference"]}
    counts["ten"] = 10 * work["inference"]
    for name, needed in counts.items():
        for kind in (name, f"{name}_compiled"):
            if "images_per_s" in record.get(kind, {}) and "multiply_adds_per_s" in record.get("products", {}):
                allowed = record["products"]["multiply_adds_per_s"] / needed
                found[f"{kind}_of_products"] = record[kind]["images_per_s"] / allowed
    for ending in ("", "_compiled"):
        ours, bare = record.get(f"training{ending}", {}), record.get(f"bare_training{ending}", {})
        if "images_per_s" in ours and "images_per_s" in bare:
            found[f"training{ending}_of_bare"] = ours["images_per_s"] / bare["images_per_s"]
    found["training_of_bare_by_count"] = work["bare_training"] / work["training"]
    return found


def document(devices: dict[str, Record]) -> list[str]:
    """All devices as Markdown, one after the other."""
    lines = [
        "# Full-size networks, random weights",
        "",
        "`python -m geo_pipeline_tests.speed.networks`. `Of the products` is the share of the rate that the counted "
        "multiply-adds allow at the speed of large square products, measured on the same device in the same precision.",
    ]
    for record in devices.values():
        lines += ["", f"## {record['device']}, {record['precision']}", "", *device_lines(record)]
    return lines


def device_lines(record: Record) -> list[str]:
    """One device: rates, memory, shares, and what MP-16 would take."""
    found, work = shares(record), record["multiply_adds"]
    lines = [
        f"Measured {record['measured']} with torch {record['torch']}.",
        "",
        "| work | at once | images per second | peak memory | of the products | hours for MP-16 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, words in WORDS.items():
        figure = record.get(name, {})
        if "error" in figure:
            lines.append(f"| {words} | failed: {figure['error'].splitlines()[0]} | | | | |")
        elif figure:
            memory = f"{figure['peak_gib']:.1f} GiB" if "peak_gib" in figure else ""
            share = f"{100 * found[f'{name}_of_products']:.0f} %" if f"{name}_of_products" in found else ""
            hours = f"{MP16 / figure['images_per_s'] / 3600:,.1f}"
            lines.append(
                f"| {words} | {figure['batch']} | {figure['images_per_s']:.3g} | {memory} | {share} | {hours} |"
            )
    lines += ["", f"Multiply-adds for an image: {work['training'] / 1e9:.4g} G in training (torch counts "]
    lines[-1] += f"{work['training_as_torch_counts'] / 1e9:.4g} G), {work['inference'] / 1e9:.4g} G in inference."
    if "multiply_adds_per_s" in record.get("products", {}):
        products = record["products"]
        lines[-1] += (
            f" Products of side {products['side']:.0f}: {products['multiply_adds_per_s'] / 1e12:.3g} T a second."
        )
    bare = [f"{100 * found[name]:.0f} %" for name in ("training_of_bare", "training_compiled_of_bare") if name in found]
    if bare:
        lines[-1] += (
            f" Training runs at {' (compiled: '.join(bare)}{')' if len(bare) > 1 else ''} of the bare tower's rate;"
        )
        lines[-1] += f" by count {100 * found['training_of_bare_by_count']:.0f} % is the bound."
    if "wait_share" in record.get("fed", {}):
        loop = record["fed"]
        lines[-1] += f" The loop waited for images {100 * loop['wait_share']:.1f} % of its time, with "
        lines[-1] += f"{loop['loader_threads']} threads decoding."
    return lines


def saved_devices() -> dict[str, Record]:
    """The records that are kept, by device."""
    path = MEASUREMENTS / "networks.json"
    known: dict[str, Record] = json.loads(path.read_text()).get("devices", {}) if path.is_file() else {}
    return known


def beside(devices: dict[str, Record], record: Record) -> dict[str, Record]:
    """The records with this one: other devices stay, and so do parts of this device that were left out now."""
    return {**devices, record["device"]: {**devices.get(record["device"], {}), **record}}


def main() -> None:
    """Measure, print Markdown, and keep the figures with --save."""
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write docs/measurements/networks.{json,md}")
    parser.add_argument("--quick", action="store_true", help="every part at a small size; never saved")
    parser.add_argument("--seconds", type=float, default=None, help="least seconds per figure")
    parser.add_argument("--batch", type=int, default=None, help="images, or crops, at once")
    parser.add_argument("--without", nargs="*", default=[], metavar="WORD", help="leave out parts of that name")
    chosen = parser.parse_args()
    batch = chosen.batch or (256 if cuda and not chosen.quick else 2)
    seconds = chosen.seconds if chosen.seconds is not None else 0.1 if chosen.quick else 10.0
    device, precision = torch.device("cuda" if cuda else "cpu"), torch.bfloat16 if cuda else torch.float32
    bench = rates.Bench(device, precision, seconds, least_rounds=1 if chosen.quick else 3)
    settings = TrainingConfig(
        batch=2 * batch,
        micro_batch=batch,
        max_epochs=2,
        precision="bf16" if cuda else "fp32",
        decoded_budget_mib=0,
        loader_threads=os.cpu_count() or 1,
        prefetch=4,
        shuffle_rows=512,
    )
    record = measure(bench, (quick if chosen.quick else full)(settings), batch, chosen.without)
    print("\n".join(["", *document({record["device"]: record})]))  # noqa: T201
    if chosen.save and not chosen.quick:
        devices = beside(saved_devices(), record)
        save("networks", {"devices": devices}, "\n".join(document(devices)))


if __name__ == "__main__":
    main()
