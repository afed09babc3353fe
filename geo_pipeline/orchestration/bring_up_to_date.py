"""Makes only what is missing or stale, where Dagster makes all that it is asked for and passes nothing over.

Asset by asset in the order of the data. Dagster also refuses one job over assets of several partitions definitions:
here each asset that needs something gets a run of its own over the shards it needs.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from geo_pipeline.home.home import Home
from geo_pipeline.home.lock import held
from geo_pipeline.home.views import refresh_views
from geo_pipeline.orchestration import events
from geo_pipeline.orchestration.checks import refuse_failed
from geo_pipeline.orchestration.dead_runs import close_dead_runs, process_tags, waits_for
from geo_pipeline.orchestration.freshness import Freshness
from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.orchestration.observation import INDEX, observe
from geo_pipeline.orchestration.partitions import range_tags
from geo_pipeline.orchestration.progress import Progress
from geo_pipeline.orchestration.recipe import Asset
from geo_pipeline.orchestration.weights import refuse_other_weights

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_BARE_NAME = re.compile(r"(?<!\w)(?!(?:and|or|not|sinks|roots)\b)[A-Za-z_]\w*")


@dataclass
class Summary:
    """What a run did: executed keys by asset, and the Dagster run of each."""

    executed: dict[str, list[str]] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """What is to be brought up to date.

    `assets` in the order of the lineage, each with those of its keys that are wanted; `again` names assets that are
    made though they are fresh.
    """

    assets: Mapping[str, Sequence[str]]
    again: frozenset[str] = frozenset()


def wanted(
    definitions: dg.Definitions, lineage: Lineage, selection: str | None = None, again: str | None = None
) -> Wanted:
    """What Dagster's selections name; without one the everyday keys of every asset. Raises ValueError."""
    chosen = selected(definitions, lineage, selection)
    made_again = [] if again is None else selected(definitions, lineage, again)
    keys: dict[str, Sequence[str]] = {}
    for name, asset in lineage.assets.items():
        if name in made_again or (name in chosen and selection is not None):
            keys[name] = asset.keys
        elif name in chosen and asset.everyday:
            keys[name] = asset.everyday
    return Wanted(keys, frozenset(made_again))


def bring_up_to_date(
    definitions: dg.Definitions,
    lineage: Lineage,
    home: Home,
    instance: dg.DagsterInstance,
    what: Wanted | None = None,
    progress: Progress | None = None,
    tags: Mapping[str, str] | None = None,
) -> Summary:
    """Look at the photographs, and execute what is missing or stale of `what` (the everyday keys without it).

    Raises the first error of an asset, CheckFailedError, or ProfileError for weights that changed. `tags` are given to
    every run.
    """
    watcher = progress or Progress()
    with held(home.root, watcher.note):
        close_dead_runs(instance, watcher.note)
        return _bring_up_to_date(
            definitions, lineage, home, instance, what or wanted(definitions, lineage), watcher, tags or {}
        )


def _bring_up_to_date(
    definitions: dg.Definitions,
    lineage: Lineage,
    home: Home,
    instance: dg.DagsterInstance,
    chosen: Wanted,
    watcher: Progress,
    tags: Mapping[str, str],
) -> Summary:
    summary = Summary()
    job = definitions.resolve_implicit_global_asset_job_def()
    remove_leftovers(home)
    freshness = Freshness(lineage, home)
    if lineage.profile.needs:
        refuse_other_weights(lineage, home, _to_be_made(chosen, lineage, freshness))
    for name, keys in chosen.assets.items():
        asset = lineage.assets[name]
        if asset.declared.observed:
            observe(lineage.scope, home)
            freshness = Freshness(lineage, home)
            events.record_observations(instance, asset, freshness)
            continue
        needed = list(keys) if name in chosen.again else needed_keys(instance, asset, freshness, keys)
        watcher.asset_begins(asset, needed)
        if needed:
            started = time.monotonic()
            waiting = None if asset.declared.pool is None else waits_for(instance, asset.declared.pool)
            if waiting:
                watcher.note(waiting)
            summary.runs[name] = _execute(job, asset, needed, instance, name in chosen.again, tags, home, lineage)
            summary.executed[name] = needed
            freshness = Freshness(lineage, home)
            watcher.asset_ends(asset, time.monotonic() - started)
        else:
            refuse_failed(lineage, asset, home)
    refresh_views(home)
    return summary


def needed_keys(instance: dg.DagsterInstance, asset: Asset, freshness: Freshness, keys: Sequence[str]) -> list[str]:
    """Keys that have to be made, or whose record in Dagster has to be renewed, in order."""
    unrecorded = events.unrecorded_keys(instance, asset, freshness)
    return [key for key in keys if key in unrecorded or freshness.own_state(asset, key) != "fresh"]


def _to_be_made(chosen: Wanted, lineage: Lineage, freshness: Freshness) -> list[Asset]:
    """The assets of which something will be made, as far as that is known before the photographs are looked at."""
    return [
        lineage.assets[name]
        for name, keys in chosen.assets.items()
        if name in chosen.again or any(freshness.state(lineage.assets[name], key) != "fresh" for key in keys)
    ]


def selected(definitions: dg.Definitions, lineage: Lineage, selection: str | None) -> list[str]:
    """The assets of a Dagster selection string, in the order of the lineage; without one, those of a plain run.

    A bare name stands for the asset of that name, so that `+name` is it and all that it stands on, as `+key:"name"` is
    in the UI. What is observed comes with whatever reads it, for Dagster leaves it out of `*` and `+name`. Raises
    ValueError.
    """
    if selection is None:
        return lineage.everyday
    words = selection if ":" in selection else _BARE_NAME.sub(r'key:"\g<0>"', selection)
    try:
        chosen = dg.AssetSelection.from_string(words).resolve(definitions.resolve_asset_graph())
    except dg.DagsterInvalidSubsetError:
        chosen = set()
    except dg.DagsterError as error:
        raise ValueError(
            f"found the selection {selection!r}, which Dagster cannot read ({error}); expected such as 'geocells', "
            "'geocells+', '+benchmark_report' or 'a or b'"
        ) from error
    names = {key.to_user_string() for key in chosen}
    reads = {parent for name in names for parent in lineage.parents(lineage.assets[name])}
    names |= {name for name in reads if lineage.assets[name].declared.observed}
    if not names:
        raise ValueError(
            f"found no asset that matches the selection {selection!r}; expected names such as "
            f"{', '.join(list(lineage.assets)[:3])}"
        )
    return [name for name in lineage.assets if name in names]


def remove_leftovers(home: Home) -> None:
    """Delete files that a killed run left beside their place."""
    leftovers = [*home.root.glob(".*.part"), *(home.root / INDEX).glob(".index-*")]
    for folder in ("tables", "manifests"):
        leftovers += (home.root / folder).rglob(".*.part")
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)


def _execute(
    job: dg.JobDefinition,
    asset: Asset,
    needed: list[str],
    instance: dg.DagsterInstance,
    again: bool,
    tags: Mapping[str, str],
    home: Home,
    lineage: Lineage,
) -> str:
    """One run of one asset over the shards it needs; the id of the run."""
    part = job.get_subset(asset_selection={dg.AssetKey(asset.name)})
    settings = {"again": again, "record_unchanged": False, **({"only": needed} if asset.partitioned else {})}
    config = {**QUIET, "ops": {asset.name: {"config": settings}}}
    ranged = range_tags(needed) if asset.partitioned else {}
    try:
        result = part.execute_in_process(
            instance=instance, tags={**process_tags(), **ranged, **tags}, run_config=config
        )
    except dg.DagsterError:  # of a failed check Dagster names only the check: it is asked again for its reason
        refuse_failed(lineage, asset, home)
        raise
    refuse_failed(lineage, asset, home)
    return result.run_id
