"""GeoSURGE against straightforward PyTorch on a CPU: `python -m geo_pipeline_tests.speed.geosurge [--save]`.

Fusion and loss at the paper's size against the same mathematics as one would write it first
(`geo_pipeline_tests/geosurge/plain_geosurge.py`), forward and backward, each in a process of its own for its memory;
and hierarchical inference over 100,000 cells in each of seven partitions against a plain matrix product of that size.
"""

import argparse
import json

import torch

from geo_pipeline.geosurge.config import FusionConfig
from geo_pipeline.geosurge.fusion import SemanticFusion
from geo_pipeline.geosurge.geography import GeographicEmbeddings
from geo_pipeline.geosurge.loss import hierarchical_loss
from geo_pipeline.geosurge.scores import combine, partition_scores
from geo_pipeline_tests.geosurge.plain_geosurge import PlainFusion, plain_loss
from geo_pipeline_tests.speed.measuring import fresh_process, peak_mib, save, seconds

WIDTH, PATCH_PX, PATCHES, SIDE_PX = 1024, 14, 576, 336
CELLS = (400, 900, 1700, 3800, 7000, 9000, 13000)


def fusion_once(kind: str, batch: int) -> dict[str, float]:
    """Seconds, extra memory and a checksum of fusion's forward and backward, `ours` or `plain`."""
    torch.manual_seed(0)
    ours = SemanticFusion(FusionConfig(), WIDTH, PATCH_PX, PATCHES)
    module = ours if kind == "ours" else PlainFusion(ours)
    torch.manual_seed(1)
    rgb_BTD = torch.randn(batch, PATCHES + 1, WIDTH)
    class_map_BHW = torch.randint(0, 150, (batch, SIDE_PX, SIDE_PX), dtype=torch.uint8)
    before = peak_mib()

    def work() -> float:
        fused_BD = module(rgb_BTD, class_map_BHW)
        fused_BD.square().mean().backward()
        return float(fused_BD.detach().abs().mean())

    value = work()
    return {"seconds": seconds(work, 2), "mib": peak_mib() - before, "value": value}


def loss_once(kind: str, batch: int) -> dict[str, float]:
    """The same of the seven partitions' loss to the letter of the paper."""
    torch.manual_seed(0)
    geography = GeographicEmbeddings(list(CELLS), 768, 0.07, 100.0)
    features_BD = torch.nn.functional.normalize(torch.randn(batch, 768), dim=-1).requires_grad_()
    # Cells of a hierarchy are about evenly filled, so a coarse partition repeats its cells within a batch.
    targets_BP = torch.stack([torch.randint(0, cells, (batch,)) for cells in CELLS], dim=1)
    before = peak_mib()

    def work() -> float:
        if kind == "ours":
            loss = hierarchical_loss(features_BD, targets_BP, geography, kind="naive")
        else:
            loss = plain_loss(features_BD, targets_BP, geography)
        loss.backward()
        return float(loss.detach())

    value = work()
    return {"seconds": seconds(work, 3), "mib": peak_mib() - before, "value": value}


def inference(cells: int, batch: int) -> dict[str, float]:
    """Images per second of hierarchical scoring with its best cell, and of a bare product of the same size."""
    torch.manual_seed(0)
    geography = GeographicEmbeddings([cells] * 7, 768, 0.07, 100.0).requires_grad_(False)
    ancestors_FP = torch.randint(0, cells, (cells, 7)).sort(dim=0).values
    features_BD = torch.nn.functional.normalize(torch.randn(batch, 768), dim=-1)
    tables = [table.data.T.contiguous() for table in geography.tables]

    @torch.inference_mode()
    def ours() -> None:
        parts = partition_scores(geography.cosines(features_BD), [geography.scale(p) for p in range(7)], "log_softmax")
        combine(parts, ancestors_FP, "log_softmax").argmax(dim=1)

    @torch.inference_mode()
    def product() -> None:
        for table_DC in tables:
            features_BD @ table_DC

    return {"ours_per_s": batch / seconds(ours, 2), "product_per_s": batch / seconds(product, 2)}


def main() -> None:
    """Measure, print Markdown, and keep the figures with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write docs/measurements/geosurge.{json,md}")
    parser.add_argument("--quick", action="store_true", help="an eighth of the sizes")
    parser.add_argument("--one", nargs=3, metavar=("WORK", "KIND", "BATCH"), help="one figure as JSON (used inside)")
    chosen = parser.parse_args()
    if chosen.one:
        work, kind, batch = chosen.one
        print(json.dumps({"fusion": fusion_once, "loss": loss_once}[work](kind, int(batch))))  # noqa: T201
        return
    shrink = 8 if chosen.quick else 1
    figures: dict[str, dict[str, float]] = {}
    lines = [
        "# GeoSURGE against straightforward PyTorch",
        "",
        f"`python -m geo_pipeline_tests.speed.geosurge`, {torch.get_num_threads()} CPU threads, float32, forward and "
        "backward.",
        "",
        "| work | ours | plain | ratio | memory ours | memory plain |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for work, batch in (("fusion", max(1, 8 // shrink)), ("loss", 1024 // shrink)):
        ours, plain = (
            fresh_process("geo_pipeline_tests.speed.geosurge", "--one", work, kind, str(batch))
            for kind in ("ours", "plain")
        )
        difference = abs(ours["value"] - plain["value"]) / max(1.0, abs(plain["value"]))
        if difference > 1e-5:
            raise SystemExit(f"{work}: found results that differ by {difference:.2g}; expected at most 1e-5")
        figures[work] = {
            "batch": batch,
            **{f"ours_{k}": v for k, v in ours.items()},
            **{f"plain_{k}": v for k, v in plain.items()},
        }
        lines.append(
            f"| {work}, {batch} images | {ours['seconds']:.3f} s | {plain['seconds']:.3f} s "
            f"| {plain['seconds'] / ours['seconds']:.1f}x | {ours['mib']:,.0f} MiB | {plain['mib']:,.0f} MiB |"
        )
    cells = 100_000 // shrink
    rates = inference(cells, 64)
    figures["inference"] = {"cells": cells, **rates}
    lines += [
        "",
        f"Hierarchical inference over {cells:,} cells in each of 7 partitions: {rates['ours_per_s']:.0f} images per "
        f"second; a plain matrix product of the same size {rates['product_per_s']:.0f} "
        f"({100 * rates['ours_per_s'] / rates['product_per_s']:.0f} % of its rate).",
    ]
    print("\n".join(lines))  # noqa: T201
    if chosen.save:
        save("geosurge", figures, "\n".join(lines))


if __name__ == "__main__":
    main()
