"""The photographs as an observable source asset: Dagster's own, with a data version for each shard."""

import dagster as dg

from geo_pipeline.home.home import Home
from geo_pipeline.orchestration import display, events
from geo_pipeline.orchestration.automation import observation_condition
from geo_pipeline.orchestration.dagster_partitions import partitions_definition
from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.orchestration.observation import observe, observed
from geo_pipeline.orchestration.recipe import Asset


def source_asset(lineage: Lineage, asset: Asset) -> dg.SourceAsset:
    """The Dagster asset of what lies outside the home; observing it keeps what was seen in the home too."""

    @dg.observable_source_asset(
        name=asset.name,
        description=asset.declared.description,
        group_name=asset.declared.group_name,
        metadata=display.own_metadata(asset),
        partitions_def=partitions_definition(asset.keys),
        automation_condition=observation_condition(),
        tags={f"dagster/kind/{kind}": "" for kind in asset.declared.kinds},
    )
    def look(context: dg.OpExecutionContext, home: dg.ResourceParam[Home]) -> dg.DataVersionsByPartition:
        changed = observe(lineage.scope, home)
        context.log.info(f"{len(changed):,} of {len(asset.keys):,} shards hold other photographs than before")
        recorded = events.recorded_tags(context.instance, asset)
        return dg.DataVersionsByPartition(
            {
                key: stored.content_hash
                for key, stored in observed(home).items()
                if recorded.get(key, {}).get(events.DATA_VERSION) != stored.content_hash
            }
        )

    return look
