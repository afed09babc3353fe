"""`geo-pipeline status`: how each asset of a home stands, in the order of the data, and why what is stale is so.

Freshness is ours: fingerprints in the home, everything upstream included. How often and when an asset was made, and
with which code, is Dagster's record.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.home.home import Home
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import all_stages
from geo_pipeline.orchestration.lineage import Freshness, Lineage, State
from geo_pipeline.orchestration.provenance import CODE_VERSION, materializations, recorded_tags
from geo_pipeline.orchestration.runner import DAGSTER_FOLDER
from geo_pipeline.orchestration.stage import Stage
from geo_pipeline.profiles.profile import Profile

CODE = "code or settings changed"
SOURCE = "photographs changed"
INPUTS = "inputs changed"
UNKNOWN = "inputs, code or settings changed"
UNREADABLE = "photographs cannot be read"
NEVER = "not made yet"
DAMAGED = "file is damaged"
NAME_WIDTH, LAST_WIDTH, WHY_WIDTH = 12, 12, 24
"""Columns of the terminal: the least for an asset's name, the time of its last event, and the reasons beside them."""


@dataclass(frozen=True)
class AssetState:
    """One asset: its shards by state, its rows, what Dagster has recorded, and for each reason how many shards.

    `on_demand`: a plain run passes it over.
    """

    asset: str
    title: str
    shards: int
    fresh: int
    stale: int
    missing: int
    rows: int
    materializations: int
    last: str | None
    why: Mapping[str, int]
    on_demand: bool = False

    @property
    def state(self) -> State:
        """The worst state of a shard."""
        return "missing" if self.missing else "stale" if self.stale else "fresh"

    @property
    def never_asked_for(self) -> bool:
        """Whether it is made on demand and nobody has asked for any of it."""
        return self.on_demand and self.missing == self.shards


def asset_states(lineage: Lineage, home: Home, instance: dg.DagsterInstance | None) -> list[AssetState]:
    """Every asset of a lineage in order; without an instance nothing is said of Dagster's record."""
    freshness, unreadable = Freshness(lineage, home), set()
    for stage in lineage.stages.values():
        if stage.outside is not None:
            try:
                freshness.outside[stage.name] = stage.outside()
            except (ValueError, OSError):
                freshness.outside[stage.name] = UNREADABLE
                unreadable.add(stage.name)
    return [
        _asset_state(freshness, stage, instance, UNREADABLE if stage.name in unreadable else SOURCE)
        for stage in lineage.stages.values()
    ]


def _asset_state(freshness: Freshness, stage: Stage, instance: dg.DagsterInstance | None, source: str) -> AssetState:
    states: Counter[State] = Counter()
    why: Counter[str] = Counter()
    rows = 0
    own: dict[str, State] = {key: freshness.own_state(stage, key) for key in stage.keys}
    recorded = recorded_tags(instance, stage) if instance is not None and "stale" in own.values() else {}
    for key in stage.keys:
        state = freshness.state(stage, key)
        states[state] += 1
        stored = freshness.stored(stage.outputs(key)[0])
        rows += stored.rows if stored else 0
        if state != "fresh":
            why.update(_reasons(freshness, stage, key, own[key], recorded.get(key), source))
    count, last = (0, None) if instance is None else materializations(instance, stage)
    return AssetState(
        asset=stage.name,
        title=stage.title,
        shards=len(stage.keys),
        fresh=states["fresh"],
        stale=states["stale"],
        missing=states["missing"],
        rows=rows,
        materializations=count,
        last=None if last is None else datetime.fromtimestamp(last, UTC).isoformat(timespec="seconds"),
        why=dict(why.most_common()),
        on_demand=stage.on_demand,
    )


def _reasons(
    freshness: Freshness, stage: Stage, key: str, own: State, recorded: Mapping[str, str] | None, source: str
) -> Sequence[str]:
    if own == "missing":
        damaged = any(freshness.home.damage(output) for output in stage.outputs(key))
        return [DAMAGED if damaged else NEVER]
    if own == "stale":
        if recorded is None:
            return [UNKNOWN]
        if recorded.get(CODE_VERSION) != stage.code_version:
            return [CODE]
        return [INPUTS if stage.inputs(key) else source]
    waiting = {
        parent.name
        for parent, parent_key in map(freshness.lineage.owner, stage.inputs(key))
        if freshness.state(parent, parent_key) != "fresh"
    }
    return [f"follows {name}" for name in freshness.lineage.stages if name in waiting]


def status(home: Home, profile: Profile) -> list[AssetState]:
    """The state of every asset of a home that was run with this profile. Changes nothing."""
    lineage = all_stages(profile, METHODS, BENCHMARKS)
    folder = os.environ.get("DAGSTER_HOME") or home.root / DAGSTER_FOLDER
    if not Path(folder, "dagster.yaml").is_file():
        return asset_states(lineage, home, None)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        return asset_states(lineage, home, instance)


def to_json(profile: Profile, home: Home, states: Sequence[AssetState]) -> dict[str, Any]:
    """The same as plain data."""
    assets = [{**asdict(each), "state": each.state} for each in states]
    return {"home": str(home.root), "profile": profile.name, "seed": profile.seed, "assets": assets}


def print_status(console: Console, profile: Profile, home: Home, states: Sequence[AssetState]) -> None:
    """A table with one line per asset that was asked for, and what to do next."""
    asked = [each for each in states if not each.never_asked_for]
    console.print(f"profile {profile.name}, seed {profile.seed}, home {home.root}", highlight=False, soft_wrap=True)
    _print_states(console, asked)
    everyday = [each for each in states if not each.on_demand]
    waiting = sum(each.state != "fresh" for each in everyday)
    console.print(
        f"{waiting} of {len(everyday)} assets are not up to date; `geo-pipeline run` makes what is missing or stale"
        if waiting
        else f"all {len(everyday)} assets are up to date",
        highlight=False,
    )
    resting = [each for each in states if each.on_demand and each.state != "fresh"]
    if resting:
        console.print(
            f"{len(resting)} more are made on demand (baselines, ablations, their comparison): "
            f"`geo-pipeline run --select '+{resting[-1].asset}'`",
            highlight=False,
            soft_wrap=True,
        )


def _print_states(console: Console, asked: Sequence[AssetState]) -> None:
    """One row per asset. Where the terminal is narrow, the time goes first, then the reasons stand below the table.

    No number is cut short, which would make it another number, and no reason, which is what the reader came for.
    """
    names = max((len(each.asset) for each in asked), default=0)
    words = max((state_words(each).cell_len for each in asked), default=0)
    digits = max((len(f"{each.rows:,}") for each in asked), default=0)
    events = max((len(f"{each.materializations:,}") for each in asked), default=0)
    gap = 2  # between columns and after the last
    counts = words + gap + max(digits, len("rows")) + gap + max(events, len("recorded")) + gap
    beside = console.width > names + gap + counts + WHY_WIDTH + gap
    with_last = console.width > names + gap + counts + LAST_WIDTH + gap + WHY_WIDTH + gap
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), expand=False)
    shown.add_column("asset", no_wrap=beside, overflow="fold", min_width=names if beside else min(names, NAME_WIDTH))
    shown.add_column("state", no_wrap=True, min_width=words)
    shown.add_column("rows", justify="right", no_wrap=True, min_width=digits)
    shown.add_column("recorded", justify="right", no_wrap=True, min_width=events)
    if with_last:
        shown.add_column("last", no_wrap=True, min_width=LAST_WIDTH)
    if beside:
        shown.add_column("why", overflow="fold", min_width=WHY_WIDTH)
    for each in asked:
        last = datetime.fromisoformat(each.last).astimezone().strftime("%d %b %H:%M") if each.last else ""
        cells = (each.asset, state_words(each), f"{each.rows:,}", f"{each.materializations:,}")
        shown.add_row(*cells, *([last] if with_last else []), *([_why(each)] if beside else []))
    console.print(shown, crop=False)
    if not beside:
        for each in (each for each in asked if each.why):
            console.print(Padding(f"{each.asset}: {_why(each)}", (0, 0, 0, 1)), highlight=False)
        console.print()


def _why(state: AssetState) -> str:
    """The reasons, most frequent first."""
    return ", ".join(name if state.shards == 1 else f"{name} ({count:,})" for name, count in state.why.items())


def state_words(state: AssetState) -> Text:
    """`fresh`, or how many shards are not; with the terminal's colours."""
    if state.state == "fresh":
        return Text("fresh" if state.shards == 1 else f"{state.shards:,} fresh", "green")
    if state.shards == 1:
        return Text(state.state, "yellow")
    counts = {"missing": state.missing, "stale": state.stale}
    words = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    return Text.assemble((words, "yellow"), f" of {state.shards:,}")
