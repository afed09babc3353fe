"""`geo-pipeline status`: how each asset of a home stands, in the order of the data, and why what is stale is so.

Freshness and its reasons stand in the home, everything upstream included; only when an asset was made last is Dagster's
record.
"""

import logging
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
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.home.home import Home
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration import dagster_record
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.dagster_home import DAGSTER_FOLDER
from geo_pipeline.orchestration.events import last_materialized
from geo_pipeline.orchestration.freshness import Freshness, State
from geo_pipeline.orchestration.lineage import Lineage, bind
from geo_pipeline.orchestration.observation import look
from geo_pipeline.orchestration.recipe import Asset
from geo_pipeline.profiles.profile import Profile

LOG = logging.getLogger(__name__)
NEVER = "not made yet"
DAMAGED = "file is damaged"
OBSERVED = "photographs changed since they were last looked at"
UNREADABLE = "photographs cannot be read"
NAME_WIDTH, LAST_WIDTH, WHY_WIDTH = 12, 12, 24
"""Columns of the terminal: the least for an asset's name, the time of its last event, and the reasons beside them."""


@dataclass(frozen=True)
class AssetState:
    """One asset: its shards by state, its rows, when Dagster last recorded it, and for each reason how many shards.

    `rows`: None for what lies outside the home, whose rows are not read. `accepted`: for each reason that somebody gave
    for counting other code as today's, how many shards. `everyday`: whether a plain run makes any of it.
    """

    asset: str
    title: str
    shards: int
    fresh: int
    stale: int
    missing: int
    rows: int | None
    last: str | None
    why: Mapping[str, int]
    accepted: Mapping[str, int]
    everyday: bool = True

    @property
    def state(self) -> State:
        """The worst state of a shard."""
        return "missing" if self.missing else "stale" if self.stale else "fresh"

    @property
    def never_asked_for(self) -> bool:
        """Whether it is made when it is asked for, and nobody has asked for any of it."""
        return not self.everyday and self.missing == self.shards


def asset_states(lineage: Lineage, home: Home, instance: dg.DagsterInstance | None) -> list[AssetState]:
    """Every asset of a lineage in order; without an instance nothing is said of Dagster's record."""
    freshness = Freshness(lineage, home)
    return [_asset_state(freshness, asset, instance) for asset in lineage.assets.values()]


def _asset_state(freshness: Freshness, asset: Asset, instance: dg.DagsterInstance | None) -> AssetState:
    """The keys of a plain run, and others that somebody has asked for."""
    if asset.declared.observed:
        return _observed_state(freshness, asset, instance)
    states: Counter[State] = Counter()
    why: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    rows = shards = 0
    everyday = set(asset.everyday)
    for key in asset.keys:
        state = freshness.state(asset, key)
        if everyday and key not in everyday and freshness.own_state(asset, key) == "missing":
            continue
        shards += 1
        states[state] += 1
        stored = freshness.stored(asset.outputs(key)[0])
        rows += stored.rows if stored else 0
        if state != "fresh":
            why.update(_reasons(freshness, asset, key))
        reason = freshness.accepted(asset, key) if stored else None
        accepted.update([reason] if reason else [])
    return _state(asset, instance, shards, states, rows, why, accepted)


def _observed_state(freshness: Freshness, asset: Asset, instance: dg.DagsterInstance | None) -> AssetState:
    """What lies outside the home: stale where it is another than when it was last looked at."""
    states: Counter[State] = Counter()
    why: Counter[str] = Counter()
    try:
        now = look(freshness.lineage.scope, freshness.home)
    except (ValueError, OSError):
        now, why = {}, Counter([UNREADABLE])
    for key in asset.keys:
        known = freshness.version(asset.outputs(key)[0])
        state: State = "missing" if known is None else "fresh" if known == now.get(key) else "stale"
        states[state] += 1
        if state != "fresh" and UNREADABLE not in why:
            why[NEVER if state == "missing" else OBSERVED] += 1
    return _state(asset, instance, len(asset.keys), states, None, why, Counter())


def _state(
    asset: Asset,
    instance: dg.DagsterInstance | None,
    shards: int,
    states: Counter[State],
    rows: int | None,
    why: Counter[str],
    accepted: Counter[str],
) -> AssetState:
    last = None if instance is None else last_materialized(instance, asset)
    return AssetState(
        asset=asset.name,
        title=asset.title,
        shards=shards,
        fresh=states["fresh"],
        stale=states["stale"],
        missing=states["missing"],
        rows=rows,
        last=None if last is None else datetime.fromtimestamp(last, UTC).isoformat(timespec="seconds"),
        why=dict(why.most_common()),
        accepted=dict(accepted.most_common()),
        everyday=bool(asset.everyday),
    )


def _reasons(freshness: Freshness, asset: Asset, key: str) -> Sequence[str]:
    if freshness.own_state(asset, key) == "missing":
        damaged = any(freshness.home.damage(output) for output in asset.outputs(key))
        return [DAMAGED if damaged else NEVER]
    reason = freshness.reason(asset, key)
    if reason is not None:
        return [reason]
    waiting = {
        parent.name
        for parent, parent_key in map(freshness.owner, asset.inputs(key))
        if freshness.state(parent, parent_key) != "fresh"
    }
    return [f"follows {name}" for name in freshness.lineage.assets if name in waiting]


def status(home: Home, profile: Profile) -> list[AssetState]:
    """The state of every asset of a home that was run with this profile. Changes nothing."""
    lineage = bind(ASSETS, profile, METHODS, BENCHMARKS)
    folder = Path(os.environ.get("DAGSTER_HOME") or home.root / DAGSTER_FOLDER)
    if not (folder / "dagster.yaml").is_file():
        return asset_states(lineage, home, None)
    problem = dagster_record.unreadable(folder)
    if problem:
        LOG.warning("Dagster's record is left out, its times are not known: %s", problem)
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
    everyday = [each for each in states if each.everyday]
    waiting = sum(each.state != "fresh" for each in everyday)
    console.print(
        f"{waiting} of {len(everyday)} assets are not up to date; `geo-pipeline run` makes what is missing or stale"
        if waiting
        else f"all {len(everyday)} assets are up to date",
        highlight=False,
    )
    resting = [each for each in states if not each.everyday and each.state != "fresh"]
    if resting:
        console.print(
            f"{len(resting)} more are made when they are asked for (ablations, comparison of all baselines): "
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
    digits = max((len(_rows(each)) for each in asked), default=0)
    gap = 2  # between columns and after the last
    counts = words + gap + max(digits, len("rows")) + gap
    beside = console.width > names + gap + counts + WHY_WIDTH + gap
    with_last = console.width > names + gap + counts + LAST_WIDTH + gap + WHY_WIDTH + gap
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), expand=False)
    shown.add_column("asset", no_wrap=beside, overflow="fold", min_width=names if beside else min(names, NAME_WIDTH))
    shown.add_column("state", no_wrap=True, min_width=words)
    shown.add_column("rows", justify="right", no_wrap=True, min_width=digits)
    if with_last:
        shown.add_column("last", no_wrap=True, min_width=LAST_WIDTH)
    if beside:
        shown.add_column("why", overflow="fold", min_width=WHY_WIDTH)
    for each in asked:
        last = datetime.fromisoformat(each.last).astimezone().strftime("%d %b %H:%M") if each.last else ""
        cells = (each.asset, state_words(each), _rows(each))
        shown.add_row(*cells, *([last] if with_last else []), *([escape(_why(each))] if beside else []))
    console.print(shown, crop=False)
    if not beside:
        for each in (each for each in asked if each.why or each.accepted):
            console.print(Padding(escape(f"{each.asset}: {_why(each)}"), (0, 0, 0, 1)), highlight=False)
        console.print()


def _rows(state: AssetState) -> str:
    return "" if state.rows is None else f"{state.rows:,}"


def _why(state: AssetState) -> str:
    """The reasons, most frequent first, and what was accepted."""
    accepted = {f"accepted: {why}": count for why, count in state.accepted.items()}
    reasons = {**state.why, **accepted}
    return ", ".join(name if state.shards == 1 else f"{name} ({count:,})" for name, count in reasons.items())


def state_words(state: AssetState) -> Text:
    """`fresh`, or how many shards are not; with the terminal's colours."""
    if state.state == "fresh":
        return Text("fresh" if state.shards == 1 else f"{state.shards:,} fresh", "green")
    if state.shards == 1:
        return Text(state.state, "yellow")
    counts = {"missing": state.missing, "stale": state.stale}
    words = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    return Text.assemble((words, "yellow"), f" of {state.shards:,}")
