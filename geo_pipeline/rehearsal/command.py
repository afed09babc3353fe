"""`geo-pipeline rehearse`: draws photographs and a hub cache, runs `paper` on them, and says what each asset took.

The caller has pointed HF_HUB_CACHE at `hub_of(home)` before anything of the hub's client was imported.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml
from rich.box import SIMPLE_HEAD
from rich.table import Table

from geo_pipeline.commands.printing import console
from geo_pipeline.commands.run import run_lineage
from geo_pipeline.home.lock import held
from geo_pipeline.home.writing import write_whole
from geo_pipeline.profiles.choices import BenchmarkFiles, Choices
from geo_pipeline.profiles.named import named_profile, settled
from geo_pipeline.rehearsal.costs import Cost, MeasuredDisplay
from geo_pipeline.rehearsal.hub import make_hub
from geo_pipeline.rehearsal.photographs import draw_collections
from geo_pipeline.rehearsal.settings import rehearsed

COSTS = "rehearsal.json"
"""In the home: what each asset of the last rehearsal took."""


def hub_of(home: Path) -> Path:
    """The hub cache of a rehearsal's home."""
    return home / "rehearsal" / "hub"


def rehearse(home: Path, photographs: int, queries: int, shards: int) -> Sequence[Cost]:
    """Rehearse with so many references, queries of each benchmark and reference shards; goes on where it was.

    Raises what a run raises.
    """
    home = home.absolute()
    drawn = draw_collections(home / "rehearsal" / f"photographs-{photographs}-{queries}", photographs, queries)
    benchmarks = (
        BenchmarkFiles("im2gps3k", *map(str, drawn.im2gps3k)),
        BenchmarkFiles("yfcc4k", *map(str, drawn.yfcc4k)),
    )
    images, metadata = map(str, drawn.references)
    config = yaml.safe_dump(dict(rehearsed(queries)), sort_keys=False)
    given = Choices("paper", 0, images, metadata, benchmarks=benchmarks, shards=shards, config=config)
    choices = settled(given, home)
    profile = named_profile(choices)
    make_hub(hub_of(home), profile.geosurge.vision, profile.segmentation, profile.lvlm)
    displays: list[MeasuredDisplay] = []

    def display(*arguments: object) -> MeasuredDisplay:
        displays.append(MeasuredDisplay(*arguments))
        return displays[-1]

    terminal = console()
    try:
        with held(home, terminal.print):
            choices.remember(home)
            run_lineage(profile, home, None, in_process=False, display=display)
    finally:
        for each in displays:
            each.close()
    costs = [cost for each in displays for cost in each.costs]
    write_whole(home / COSTS, json.dumps([asdict(cost) for cost in costs], indent=1) + "\n")
    terminal.print(_table(costs))
    terminal.print(f"Later commands on this home need its networks: export HF_HUB_CACHE={hub_of(home)}", soft_wrap=True)
    return costs


def _table(costs: Sequence[Cost]) -> Table:
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title="What it took", title_justify="left")
    shown.add_column("asset", no_wrap=True)
    for heading in ("shards", "rows", "seconds", "peak MiB"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for cost in costs:
        shown.add_row(cost.asset, f"{cost.shards:,}", f"{cost.rows:,}", f"{cost.seconds:.1f}", f"{cost.peak_mib:,.0f}")
    total, peak = sum(cost.seconds for cost in costs), max((cost.peak_mib for cost in costs), default=0)
    shown.add_row("all", "", "", f"{total:.1f}", f"{peak:,.0f}", style="bold")
    return shown
