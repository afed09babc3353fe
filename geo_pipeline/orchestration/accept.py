"""Accepts that an edit of the code changes no byte, where Dagster can only make an asset again.

`geo-pipeline accept`, and the launchpad's `accept`. Which acceptances a home holds belongs to acceptance.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg

from geo_pipeline.home.home import Home
from geo_pipeline.orchestration import events
from geo_pipeline.orchestration.acceptance import Record, keep, made_by
from geo_pipeline.orchestration.freshness import Freshness, label
from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.orchestration.recipe import Asset
from geo_pipeline.orchestration.versions import digest


@dataclass
class Outcome:
    """What accepting did: keys by asset that count as fresh now, by reason those that do not, and those not there."""

    accepted: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)


def accept(lineage: Lineage, names: Sequence[str], home: Home, instance: dg.DagsterInstance, why: str) -> Outcome:
    """Accept the code of these assets, where nothing but code has changed, and record it in the home and in Dagster.

    Raises ValueError without a reason.
    """
    if not why.strip():
        raise ValueError("found no reason, expected one; say with --why why the edit changes no byte")
    outcome = Outcome()
    freshness = Freshness(lineage, home)
    for name in names:
        asset = lineage.assets[name]
        if asset.declared.observed:
            continue
        accepted, refused = accept_keys(freshness, asset, asset.keys, why, instance)
        missing = [key for key in asset.everyday if freshness.own_state(asset, key) == "missing"]
        outcome.missing |= {name: missing} if 0 < len(missing) < len(asset.everyday) else {}
        outcome.accepted |= {name: accepted} if accepted else {}
        outcome.refused |= {name: refused} if refused else {}
        if accepted:
            _record(Freshness(lineage, home), asset, accepted, why, instance)
    return outcome


def accept_keys(
    freshness: Freshness, asset: Asset, keys: Sequence[str], why: str, instance: dg.DagsterInstance
) -> tuple[list[str], dict[str, list[str]]]:
    """Accept the code of some keys: those that count as fresh now, and by reason those that do not."""
    accepted: list[str] = []
    refused: dict[str, list[str]] = {}
    records: list[Record] = []
    when = datetime.now(UTC).isoformat(timespec="seconds")
    legacy: Mapping[str, Mapping[str, str]] | None = None
    for key in keys:
        reason = freshness.reason(asset, key)
        if reason is None:
            continue
        if reason == "made by an earlier version of geo_pipeline" and legacy is None:
            legacy = events.recorded_tags(instance, asset)
        if reason == "inputs changed" or not _same_inputs(freshness, asset, key, (legacy or {}).get(key)):
            refused.setdefault(reason, []).append(key)
            continue
        accepted.append(key)
        for output in asset.outputs(key):
            stored = freshness.stored(output)
            if stored is not None:
                inputs = None if ":" in stored.fingerprint else freshness.inputs_digest(asset, key)
                record = Record(asset.name, made_by(stored.fingerprint), asset.version_of(key), why, when, inputs)
                records.append(record)
    if records:
        keep(freshness.home, records)
    return accepted, refused


def _same_inputs(freshness: Freshness, asset: Asset, key: str, recorded: Mapping[str, str] | None) -> bool:
    """Whether an output was made from what its inputs hold today.

    Of a home from before fingerprints told code and inputs apart, Dagster's record of the code version decides: with it
    the whole fingerprint is computed again.
    """
    prints = [stored.fingerprint for stored in map(freshness.stored, asset.outputs(key)) if stored]
    inputs = freshness.inputs_digest(asset, key)
    if all(":" in each for each in prints):
        return all(each.partition(":")[2] == inputs for each in prints)
    if inputs is None or recorded is None:
        return False
    versions = {label(read.artifact): freshness.version(read.artifact) for read in asset.inputs(key)}
    observed = [
        name for name, read in zip(versions, asset.inputs(key), strict=True) if read.artifact.kind == "observation"
    ]
    if observed:
        versions = {name: version for name, version in versions.items() if name not in observed}
        versions["outside"] = asset.scope.profile.source.open().fingerprint()
    known = digest({"code_version": recorded.get(events.CODE_VERSION), "inputs": versions})
    return all(each == known for each in prints)


def _record(freshness: Freshness, asset: Asset, keys: Sequence[str], why: str, instance: dg.DagsterInstance) -> None:
    """Log an event for each accepted key, so that the UI's marks and pages show it."""
    inputs = events.input_tags(instance, freshness.lineage, asset)
    known = events.recorded(instance, asset)
    for key in keys:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset.name,
                partition=key if asset.partitioned else None,
                description=f"accepted as equal: {why}",
                metadata=events.shown_before(known, key) | {"accepted": why, "unchanged": dg.MetadataValue.bool(True)},
                tags=events.version_tags(asset, str(freshness.made_version(asset, key)), inputs),
            )
        )
