"""What Dagster's event log says of an asset: the version tags that its staleness marks are made of, written and read.

One ranged run covers many shards, and each shard has its own data version; Dagster gives a range one version. So each
shard's event is logged by us with its own tags, and the output's own event is left out (`WITHOUT_OWN_EVENT`).
"""

from collections.abc import Mapping

import dagster as dg

from geo_pipeline.orchestration.lineage import Freshness, Lineage
from geo_pipeline.orchestration.stage import Stage

DATA_VERSION = "dagster/data_version"
CODE_VERSION = "dagster/code_version"
USER_PROVIDED = "dagster/data_version_is_user_provided"
INPUT_VERSION = "dagster/input_data_version/"
INPUT_POINTER = "dagster/input_event_pointer/"
WITHOUT_OWN_EVENT = {"__source_asset_observation__": True}
"""Metadata that makes Dagster store the output without logging a materialization of its own; a test watches over it."""


def input_tags(instance: dg.DagsterInstance, lineage: Lineage, stage: Stage) -> dict[str, str]:
    """The latest recorded event and data version of each asset that the stage depends on.

    To be taken before it reads.
    """
    tags: dict[str, str] = {}
    for name in lineage.parents(stage):
        records = instance.fetch_materializations(dg.AssetKey(name), limit=1).records
        recorded = records[0].asset_materialization if records else None
        version = (recorded.tags or {}).get(DATA_VERSION) if recorded else None
        tags[f"{INPUT_VERSION}{name}"] = version or "INITIAL"
        tags[f"{INPUT_POINTER}{name}"] = str(records[0].storage_id) if records else "NULL"
    return tags


def version_tags(stage: Stage, data_version: str, inputs: Mapping[str, str]) -> dict[str, str]:
    """All version tags of one event."""
    return {CODE_VERSION: stage.code_version, DATA_VERSION: data_version, USER_PROVIDED: "true", **inputs}


def recorded_tags(instance: dg.DagsterInstance, stage: Stage) -> dict[str, Mapping[str, str]]:
    """For each key that has an event: the tags of its latest one."""
    key = dg.AssetKey(stage.name)
    if not stage.partitioned:
        event = instance.get_latest_materialization_event(key)
        materialization = event.asset_materialization if event else None
        return {stage.keys[0]: materialization.tags or {}} if materialization else {}
    latest = instance.event_log_storage.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    if not latest:
        return {}
    chosen = dg.AssetRecordsFilter(asset_key=key, storage_ids=sorted(latest.values()))
    records = instance.fetch_materializations(chosen, limit=len(latest)).records
    found = [record.asset_materialization for record in records]
    return {str(each.partition): each.tags or {} for each in found if each is not None}


def materializations(instance: dg.DagsterInstance, stage: Stage) -> tuple[int, float | None]:
    """How many materializations of an asset Dagster has recorded, and when the latest was (seconds since 1970).

    Dagster counts no events for us; where it keeps them in SQL, as it does by itself, the table is asked.
    """
    import sqlalchemy
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

    key, storage = dg.AssetKey(stage.name), instance.event_log_storage
    latest = instance.fetch_materializations(key, limit=1).records
    if not latest:
        return 0, None
    if isinstance(storage, SqlEventLogStorage):
        kind = SqlEventLogStorageTable.c.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION.value
        of_asset = SqlEventLogStorageTable.c.asset_key == key.to_string()
        with storage.index_connection() as connection:
            counting = sqlalchemy.select(sqlalchemy.func.count()).where(kind, of_asset)
            return int(connection.execute(counting).scalar_one()), latest[0].timestamp
    count, cursor = 0, None
    while True:
        found = instance.fetch_materializations(key, limit=1000, cursor=cursor)
        count, cursor = count + len(found.records), found.cursor
        if not found.has_more:
            return count, latest[0].timestamp


def unrecorded_keys(instance: dg.DagsterInstance, stage: Stage, freshness: Freshness) -> set[str]:
    """Keys whose latest event does not say what the home holds.

    No event, another code or data version, or other unpartitioned inputs.
    """
    lineage, fixed = freshness.lineage, {}
    for name in lineage.parents(stage):
        parent = lineage.stages[name]
        if not parent.partitioned:
            fixed[f"{INPUT_VERSION}{name}"] = freshness.made_version(parent, parent.keys[0])
    recorded = recorded_tags(instance, stage)
    wrong = set()
    for key in stage.keys:
        tags = recorded.get(key)
        expected = {DATA_VERSION: freshness.made_version(stage, key), CODE_VERSION: stage.code_version, **fixed}
        if tags is None or any(tags.get(name) != value for name, value in expected.items()):
            wrong.add(key)
    return wrong


def needed_keys(instance: dg.DagsterInstance, stage: Stage, freshness: Freshness) -> list[str]:
    """Keys that have to be made, or whose record in Dagster has to be renewed, in order."""
    unrecorded = unrecorded_keys(instance, stage, freshness)
    return [key for key in stage.keys if key in unrecorded or freshness.own_state(stage, key) != "fresh"]
