"""Measures the sample (`geo-pipeline sample measure`).

Is the drawn planet fair, do its networks see, and does routing pay, on unseen seeds? Each seed is a whole run of the
lineage in a home of its own; what is measured is read from that home, and the exact class maps come from the planet.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from geo_pipeline.commands.run import run_lineage
from geo_pipeline.home.home import Home
from geo_pipeline.methods.registry import METHODS, everyday_methods
from geo_pipeline.orchestration.shards import shards_of
from geo_pipeline.profiles.profile import Profile
from geo_pipeline.profiles.sample import sample
from geo_pipeline.sample_world.ade20k import ADE20K_CLASSES
from geo_pipeline.sample_world.scene import draw
from geo_pipeline.sample_world.source import PlanetSource
from geo_pipeline.scoring.accuracy import mean_accuracy, paired_difference, score_errors
from geo_pipeline.scoring.routing import oracle_errors, share_of_gap_closed

ROUTERS = tuple(name for name, method in METHODS.items() if method.paradigm == "router")
LEAST_PIXEL_SHARE = 0.005


@dataclass(frozen=True)
class RouterMark:
    """One router on one planet: gain over the better paradigm (points, 95 % interval), share of the gap closed."""

    accuracy: float
    gain: float
    low: float
    high: float
    closed: float


@dataclass(frozen=True)
class PlanetMarks:
    """What one seed gave, over the queries of all its benchmarks; accuracies are mean accuracies in percent."""

    seed: int
    queries: int
    retrieval_better: float
    generation_better: float
    retrieval: float
    generation: float
    oracle: float
    geosurge_200: float
    densest_200: float
    mean_iou: float
    iou: dict[str, tuple[float, float]]
    routers: dict[str, RouterMark]

    @property
    def gap(self) -> float:
        """Points of mean accuracy between the better paradigm and the oracle."""
        return self.oracle - max(self.retrieval, self.generation)


def examine_planet(profile: Profile, home: Home) -> PlanetMarks:
    """Measure a finished home of the sample profile."""
    judged = pl.concat([pl.DataFrame(home.read_table("judged", name)) for name in profile.benchmarks])
    methods = everyday_methods(METHODS, profile.everyday_baselines)
    km = {name: judged.filter(method=name)["error_km"].to_numpy() for name in methods}
    authors = judged.filter(method="retrieval")["author"].to_list()
    means = {name: 100 * mean_accuracy(score_errors(error_km, authors, replicates=2)) for name, error_km in km.items()}
    retrieval, generation = km["retrieval"], km["generation"]
    oracle = 100 * mean_accuracy(score_errors(oracle_errors(retrieval, generation), authors, replicates=2))
    better = "retrieval" if means["retrieval"] >= means["generation"] else "generation"
    routers = {}
    for name in ROUTERS:
        gain, low, high, _ = paired_difference(km[name], km[better], authors)
        closed = share_of_gap_closed(means[name], means["retrieval"], means["generation"], oracle)
        routers[name] = RouterMark(means[name], 100 * gain, 100 * low, 100 * high, 0.0 if closed is None else closed)
    mean_iou, iou = segmentation_iou(profile, home)
    return PlanetMarks(
        seed=profile.seed,
        queries=len(authors),
        retrieval_better=float((retrieval < generation).mean()),
        generation_better=float((generation < retrieval).mean()),
        retrieval=means["retrieval"],
        generation=means["generation"],
        oracle=oracle,
        geosurge_200=100 * float((km["geosurge"] <= 200).mean()),
        densest_200=100 * float((km["densest_cell"] <= 200).mean()),
        mean_iou=mean_iou,
        iou=iou,
        routers=routers,
    )


def segmentation_iou(profile: Profile, home: Home) -> tuple[float, dict[str, tuple[float, float]]]:
    """Intersection over union of the stored class maps with the planet's, over the whole data set.

    Returns the mean over classes with at least 0.5 % of the pixels, and per class name (IoU, share of pixels).
    """
    planet = PlanetSource(profile.seed).planet
    confusion = np.zeros((150, 150), np.int64)
    for shard in shards_of(profile).all:
        catalogue = home.read_table("catalogue", shard, ["image_id", "locator"])
        locators = dict(zip(catalogue["image_id"].to_pylist(), catalogue["locator"].to_pylist(), strict=True))
        rows = home.read_table("segmentations", shard, ["image_id", "class_map_png"])
        for image_id, png in zip(rows["image_id"].to_pylist(), rows["class_map_png"].to_pylist(), strict=True):
            true = draw(planet, planet.photographs[int(locators[image_id])]).class_map
            with Image.open(io.BytesIO(png)) as picture:
                said = np.asarray(picture)
            confusion += np.bincount(150 * true.ravel().astype(np.int64) + said.ravel(), minlength=22500).reshape(
                150, 150
            )
    pixels = confusion.sum(axis=1)
    union = pixels + confusion.sum(axis=0) - np.diag(confusion)
    share = pixels / pixels.sum()
    iou = {
        ADE20K_CLASSES[index]: (float(confusion[index, index] / union[index]), float(share[index]))
        for index in np.argsort(-share)
        if pixels[index]
    }
    return float(np.mean([value for value, part in iou.values() if part >= LEAST_PIXEL_SHARE])), iou


def measure(seeds: Sequence[int], home: Path, in_process: bool = False, say: Callable[[str], None] = print) -> None:
    """Run the lineage on the planets of `seeds` (each in `home`/seed-N) and print Markdown tables of the marks."""
    marks = []
    for seed in seeds:
        profile = sample(seed)
        folder = home / f"seed-{seed}"
        run_lineage(profile, folder, None, in_process)
        marks.append(examine_planet(profile, Home(folder)))
        say(f"seed {seed}: {marks[-1].queries} queries, gap {marks[-1].gap:.1f} points")
    say(planet_tables(marks))


def planet_tables(marks: Sequence[PlanetMarks]) -> str:
    """The marks of several planets as Markdown."""
    lines = [
        "Mean accuracy (percent) over 1, 25, 200, 750 and 2500 km; all benchmark queries of a planet together.",
        "",
        "| seed | queries | retrieval better | generation better | retrieval | generation | oracle | gap"
        " | geosurge at 200 km | densest cell at 200 km | segmentation mean IoU |",
        "|" + "---:|" * 11,
    ]
    lines += [
        f"| {m.seed} | {m.queries} | {m.retrieval_better:.0%} | {m.generation_better:.0%} | {m.retrieval:.1f}"
        f" | {m.generation:.1f} | {m.oracle:.1f} | {m.gap:.1f} | {m.geosurge_200:.1f} | {m.densest_200:.1f}"
        f" | {m.mean_iou:.3f} |"
        for m in marks
    ]
    lines += [
        "",
        "Routers: points over the better paradigm [95 % interval, by author] and share of the gap closed.",
        "",
    ]
    lines += ["| seed |" + "".join(f" {name} |" for name in ROUTERS), "|---:|" + "---:|" * len(ROUTERS)]
    for m in marks:
        cells = [
            f" {mark.gain:+.2f} [{mark.low:+.2f}, {mark.high:+.2f}], {mark.closed:.0%} |" for mark in m.routers.values()
        ]
        lines.append(f"| {m.seed} |{''.join(cells)}")
    averages = [f" {np.mean([m.routers[name].closed for m in marks]):.0%} |" for name in ROUTERS]
    lines.append(f"| mean |{''.join(averages)}")
    names = sorted({name for m in marks for name in m.iou}, key=lambda name: -marks[0].iou.get(name, (0.0, 0.0))[1])
    lines += ["", "Segmentation IoU by class (share of the pixels of the first seed).", ""]
    lines += ["| class | pixels |" + "".join(f" seed {m.seed} |" for m in marks), "|---|---:|" + "---:|" * len(marks)]
    for name in names:
        cells = [f" {m.iou[name][0]:.3f} |" if name in m.iou else " – |" for m in marks]
        lines.append(f"| {name} | {marks[0].iou.get(name, (0.0, 0.0))[1]:.2%} |{''.join(cells)}")
    return "\n".join(lines)
