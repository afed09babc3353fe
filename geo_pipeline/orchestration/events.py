"""Logs each shard's event with its own version tags, where Dagster gives all shards of a ranged run one data version.

Dagster's staleness marks are made of these tags, which are read here too. The output's own event is left out
(`WITHOUT_OWN_EVENT`).
"""

from collections.abc import Mapping

import dagster as dg

from geo_pipeline.orchestration.freshness import Freshness
from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.orchestration.recipe import Asset

DATA_VERSION = "dagster/data_version"
CODE_VERSION = "dagster/code_version"
USER_PROVIDED = "dagster/data_version_is_user_provided"
INPUT_VERSION = "dagster/input_data_version/"
INPUT_POINTER = "dagster/input_event_pointer/"
WITHOUT_OWN_EVENT = {"__source_asset_observation__": True}
"""Metadata that makes Dagster store the output without logging a materialization of its own; a test watches over it."""


def input_tags(instance: dg.DagsterInstance, lineage: Lineage, asset: Asset) -> dict[str, str]:
    """The latest recorded event and data version of each asset that an asset depends on.

    To be taken before it reads.
    """
    tags: dict[str, str] = {}
    for name in lineage.parents(asset):
        key = dg.AssetKey(name)
        if lineage.assets[name].declared.observed:
            records = instance.fetch_observations(key, limit=1).records
            seen = records[0].asset_observation if records else None
            version = (seen.tags or {}).get(DATA_VERSION) if seen else None
        else:
            records = instance.fetch_materializations(key, limit=1).records
            made = records[0].asset_materialization if records else None
            version = (made.tags or {}).get(DATA_VERSION) if made else None
        tags[f"{INPUT_VERSION}{name}"] = version or "INITIAL"
        tags[f"{INPUT_POINTER}{name}"] = str(records[0].storage_id) if records else "NULL"
    return tags


def version_tags(asset: Asset, data_version: str, inputs: Mapping[str, str]) -> dict[str, str]:
    """The tags of one event from which Dagster reads its versions."""
    return {CODE_VERSION: asset.code_version, DATA_VERSION: data_version, USER_PROVIDED: "true", **inputs}


def recorded(instance: dg.DagsterInstance, asset: Asset) -> dict[str, dg.AssetMaterialization | dg.AssetObservation]:
    """For each key that has an event: what its latest one says."""
    key = dg.AssetKey(asset.name)
    if not asset.partitioned:
        event = instance.get_latest_materialization_event(key)
        materialization = event.asset_materialization if event else None
        return {asset.keys[0]: materialization} if materialization else {}
    observed = asset.declared.observed
    kind = dg.DagsterEventType.ASSET_OBSERVATION if observed else dg.DagsterEventType.ASSET_MATERIALIZATION
    latest = instance.event_log_storage.get_latest_storage_id_by_partition(key, kind)
    if not latest:
        return {}
    chosen = dg.AssetRecordsFilter(asset_key=key, storage_ids=sorted(latest.values()))
    if observed:
        seen = instance.fetch_observations(chosen, limit=len(latest)).records
        return {str(each.partition_key): each.asset_observation for each in seen if each.asset_observation}
    made = instance.fetch_materializations(chosen, limit=len(latest)).records
    return {str(each.partition_key): each.asset_materialization for each in made if each.asset_materialization}


def recorded_tags(instance: dg.DagsterInstance, asset: Asset) -> dict[str, Mapping[str, str]]:
    """For each key that has an event: the tags of its latest one."""
    return {key: each.tags or {} for key, each in recorded(instance, asset).items()}


def shown_before(
    known: Mapping[str, dg.AssetMaterialization | dg.AssetObservation], key: str
) -> dict[str, dg.MetadataValue]:
    """What the UI showed of a key, for an event that says that it is unchanged: pages keep previews and numbers."""
    return dict(known[key].metadata) if key in known else {}


def last_materialized(instance: dg.DagsterInstance, asset: Asset) -> float | None:
    """When Dagster last recorded a materialization (or observation) of an asset, in seconds since 1970."""
    fetch = instance.fetch_observations if asset.declared.observed else instance.fetch_materializations
    records = fetch(dg.AssetKey(asset.name), limit=1).records
    return records[0].timestamp if records else None


def unrecorded_keys(instance: dg.DagsterInstance, asset: Asset, freshness: Freshness) -> set[str]:
    """Keys whose latest event does not say what the home holds.

    No event, another code or data version, or other unpartitioned inputs.
    """
    lineage, fixed = freshness.lineage, {}
    for name in lineage.parents(asset):
        parent = lineage.assets[name]
        if not parent.partitioned:
            fixed[f"{INPUT_VERSION}{name}"] = freshness.made_version(parent, parent.keys[0])
    recorded = recorded_tags(instance, asset)
    wrong = set()
    for key in asset.keys:
        tags = recorded.get(key)
        expected = {DATA_VERSION: freshness.made_version(asset, key), CODE_VERSION: asset.code_version, **fixed}
        if tags is None or any(tags.get(name) != value for name, value in expected.items()):
            wrong.add(key)
    return wrong


def record_observations(instance: dg.DagsterInstance, asset: Asset, freshness: Freshness) -> int:
    """Log an observation of every shard whose latest one says another data version; how many there were."""
    recorded = recorded_tags(instance, asset)
    count = 0
    for key in asset.keys:
        version = freshness.made_version(asset, key)
        if version is not None and recorded.get(key, {}).get(DATA_VERSION) != version:
            tags = {DATA_VERSION: version, USER_PROVIDED: "true"}
            instance.report_runless_asset_event(dg.AssetObservation(asset.name, partition=key, tags=tags))
            count += 1
    return count
