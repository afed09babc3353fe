"""GeoSURGE against straightforward PyTorch on a CPU: `python -m geo_pipeline_tests.speed.geosurge [--save]`.

Fusion and loss at the paper's size against the same mathematics as one would write it first
(`geo_pipeline_tests/geosurge/plain_geosurge.py`), forward and backward, each in a process of its own for its memory;
and hierarchical inference against plain matrix products of the same size: over 100,000 cells in each of seven
partitions, which is the worst case, and over as many cells as MP-16 gives.

Shapes: B images, C cells, F finest cells, D width.
"""

import argparse
import json
from collections.abc import Sequence

import torch
from torch.nn import functional

from geo_pipeline.geosurge.config import FusionConfig
from geo_pipeline.geosurge.fusion import SemanticFusion
from geo_pipeline.geosurge.geography import GeographicEmbeddings
from geo_pipeline.geosurge.loss import hierarchical_loss
from geo_pipeline.geosurge.scores import combine, partition_scores, summed_table
from geo_pipeline_tests.geosurge.plain_geosurge import PlainFusion, plain_loss
from geo_pipeline_tests.speed.measuring import fresh_process, peak_mib, save, seconds
from geo_pipeline_tests.speed.taking_turns import shortest

WIDTH, PATCH_PX, PATCHES, SIDE_PX = 1024, 14, 576, 336
CELLS = (400, 900, 1700, 3800, 7000, 9000, 13000)
WORST = (100_000,) * 7
REALISTIC = (690, 1_774, 3_288, 6_779, 12_777, 15_986, 21_346)
"""Cells of the seven partitions of MP-16's coordinates, about."""


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
    features_BD = functional.normalize(torch.randn(batch, 768), dim=-1).requires_grad_()
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
    return {"seconds": seconds(work, 10), "mib": peak_mib() - before, "value": value}


def inference(cells: Sequence[int], batch: int, rounds: int) -> dict[str, float]:
    """Images per second of hierarchical scoring with its best cell, in three ways, and of the bare products.

    `as_written` is section III-D as one would write it first, `all_parts` the library's scores of every partition,
    combined (as retrieval needs them), `finest` what a prediction of the best cell needs.
    """
    torch.manual_seed(0)
    geography = GeographicEmbeddings(list(cells), 768, 0.07, 100.0).requires_grad_(False)
    rows = [torch.arange(cells[-1])]
    for coarse, fine in zip(cells[-2::-1], cells[:0:-1], strict=True):
        rows.append(torch.randint(0, coarse, (fine,)).sort().values[rows[-1]])
    ancestors_FP = torch.stack(rows[::-1], dim=1)
    features_BD = functional.normalize(torch.randn(batch, 768), dim=-1)
    units, scales = ([read(p) for p in range(len(cells))] for read in (geography.unit, geography.scale))
    summed_FD = summed_table(units, scales, ancestors_FP)

    def as_written() -> torch.Tensor:
        parts = [functional.log_softmax(logits_BC, dim=1) for logits_BC in geography.logits(features_BD)]
        gathered = [part_BC[:, rows_F] for part_BC, rows_F in zip(parts, ancestors_FP.unbind(1), strict=True)]
        return torch.stack(gathered).sum(dim=0).log_softmax(dim=1)

    def all_parts() -> torch.Tensor:
        parts = partition_scores([features_BD @ unit_CD.T for unit_CD in units], scales, "log_softmax")
        return combine(parts, ancestors_FP, "log_softmax").log_softmax(dim=1)

    def finest() -> torch.Tensor:
        return (features_BD @ summed_FD.T).log_softmax(dim=1)

    with torch.inference_mode():
        expected_BF = as_written()
        differences = {work.__name__: float((work() - expected_BF).abs().max()) for work in (all_parts, finest)}
        if max(differences.values()) > 1e-4:  # a float32 step of a log probability near -100 is 8e-6
            raise SystemExit(f"inference: found scores that differ by {differences}; expected at most 1e-4")
        best = shortest(
            {
                **{work.__name__: lambda work=work: work().topk(1, dim=1) for work in (as_written, all_parts, finest)},
                "product": lambda: [features_BD @ unit_CD.T for unit_CD in units],
                "product_transposed": lambda: [unit_CD @ features_BD.T for unit_CD in units],
            },
            rounds,
        )
    best["product"] = min(best["product"], best.pop("product_transposed"))
    return {"batch": batch, "cells": sum(cells), **{f"{name}_per_s": batch / value for name, value in best.items()}}


def inference_lines(measured: dict[str, dict[str, float]]) -> list[str]:
    """The rates of `inference` as Markdown."""
    lines = [
        "Hierarchical inference with its best cell, images per second, 64 at a time, all ways in turn; the bare "
        "products are features times the table of every partition, in the faster of two layouts.",
        "",
        "| cells | bare products | section III-D as written | every partition's scores, combined | finest cells only |",
        "|---|---:|---:|---:|---:|",
    ]
    for words, rates in measured.items():
        bare = rates["product_per_s"]
        shown = [
            f"{rates[f'{way}_per_s']:,.0f} ({100 * rates[f'{way}_per_s'] / bare:.0f} %)"
            for way in ("as_written", "all_parts", "finest")
        ]
        lines.append(f"| {words} | {bare:,.0f} | {' | '.join(shown)} |")
    return [
        *lines,
        "",
        "`Finest cells only` is one product with the sum of each cell's ancestors instead of seven: the partitions' "
        "normalisers are the same for all finest cells, so the softmax over these drops them. Retrieval needs every "
        "partition's log probabilities.",
    ]


def against_plain(shrink: int, rounds: int) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Fusion and loss, ours and plain in turn, each run in a process of its own. Exits where results differ."""
    figures, lines = {}, []
    for work, batch in (("fusion", max(1, 8 // shrink)), ("loss", 1024 // shrink)):
        runs: dict[str, list[dict[str, float]]] = {"ours": [], "plain": []}
        for _ in range(rounds):
            for kind, found in runs.items():
                found.append(fresh_process("geo_pipeline_tests.speed.geosurge", "--one", work, kind, str(batch)))
        ours, plain = (
            {name: min(run[name] for run in found) for name in ("seconds", "mib", "value")} for found in runs.values()
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
    return figures, lines


def main() -> None:
    """Measure, print Markdown, and keep the figures with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write docs/measurements/geosurge.{json,md}")
    parser.add_argument("--quick", action="store_true", help="an eighth of the sizes")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each way; the shortest counts")
    parser.add_argument("--one", nargs=3, metavar=("WORK", "KIND", "BATCH"), help="one figure as JSON (used inside)")
    chosen = parser.parse_args()
    if chosen.one:
        work, kind, batch = chosen.one
        print(json.dumps({"fusion": fusion_once, "loss": loss_once}[work](kind, int(batch))))  # noqa: T201
        return
    shrink = 8 if chosen.quick else 1
    figures, rows = against_plain(shrink, 1 if chosen.quick else 2)
    worst, realistic = ([count // shrink for count in cells] for cells in (WORST, REALISTIC))
    measured = {
        f"{worst[-1]:,} in each of 7 partitions": inference(worst, 64, chosen.rounds),
        f"about as MP-16, {sum(realistic):,} in all": inference(realistic, 64, chosen.rounds),
    }
    lines = [
        "# GeoSURGE against straightforward PyTorch",
        "",
        f"`python -m geo_pipeline_tests.speed.geosurge`, {torch.get_num_threads()} CPU threads, float32; fusion and "
        "loss forward and backward.",
        "",
        "| work | ours | plain | ratio | memory ours | memory plain |",
        "|---|---:|---:|---:|---:|---:|",
        *rows,
        "",
        *inference_lines(measured),
    ]
    print("\n".join(lines))  # noqa: T201
    if chosen.save:
        names = ("inference", "inference_realistic")
        save("geosurge", {**figures, **dict(zip(names, measured.values(), strict=True))}, "\n".join(lines))


if __name__ == "__main__":
    main()
