"""Materializes shard by shard, where a ranged run of Dagster gives all partitions one data version at its end.

What Dagster is told of an asset of ours, and what a materialization does: every shard is committed and recorded as soon
as it is made, with its own version; fresh shards are left alone; stale inputs are refused by name.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from geo_pipeline.compute.compute import Compute, ComputeError
from geo_pipeline.contracts.contract import ContractError, load
from geo_pipeline.home.home import Home
from geo_pipeline.home.lock import held
from geo_pipeline.home.views import refresh_views
from geo_pipeline.orchestration import automation, checks, display, events
from geo_pipeline.orchestration.accept import accept_keys
from geo_pipeline.orchestration.dagster_partitions import partition_mapping, partitions_definition
from geo_pipeline.orchestration.freshness import Freshness
from geo_pipeline.orchestration.launchpad import Launch
from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.orchestration.progress import Progress
from geo_pipeline.orchestration.recipe import Asset
from geo_pipeline.orchestration.weights import refuse_other_weights
from geo_pipeline.orchestration.work import Notes, Work

OWNERS = ["team:geo-pipeline"]
FRESH_FOR = timedelta(days=8)
"""A report that is older fails its freshness policy: the weekly re-benchmark did not come through."""


def dagster_asset(lineage: Lineage, asset: Asset) -> dg.AssetsDefinition:
    """The Dagster asset of an asset."""

    @dg.asset(
        name=asset.name,
        deps=dependencies(lineage, asset),
        partitions_def=partitions_definition(asset.keys) if asset.partitioned else None,
        backfill_policy=dg.BackfillPolicy.single_run() if asset.partitioned else None,
        code_version=asset.code_version,
        description=asset.declared.description,
        group_name=asset.declared.group_name,
        kinds=set(asset.declared.kinds),
        owners=OWNERS,
        metadata=_fixed_metadata(asset),
        tags={"weekly": "yes"} if asset.declared.weekly else None,
        pool=asset.declared.pool,
        check_specs=checks.contract_spec(asset),
        automation_condition=automation.condition(lineage, asset),
        freshness_policy=_freshness_policy(asset),
        output_required=False,
    )
    def materialize(
        context: dg.AssetExecutionContext,
        config: Launch,
        home: dg.ResourceParam[Home],
        compute: dg.ResourceParam[Compute],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[Any]:
        yield from Materialization(context, config, lineage, asset, home, compute, progress).run()

    return materialize


class Materialization:
    """One materialization of an asset over the partitions of a run."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        config: Launch,
        lineage: Lineage,
        asset: Asset,
        home: Home,
        compute: Compute,
        progress: Progress,
    ) -> None:
        self.context, self.config, self.lineage, self.asset = context, config, lineage, asset
        self.home, self.compute, self.progress = home, compute, progress
        self.inputs = events.input_tags(context.instance, lineage, asset)
        self.freshness = Freshness(lineage, home)

    def run(self) -> Iterator[Any]:
        """Refuse stale inputs, record what is fresh, make the rest, and give the result of the contract's check.

        A run of `geo-pipeline run` or of a job holds the home alone; runs of single assets hold it together.
        """
        with held(self.home.root, self._log, shared=True):
            yield from self._run()

    def _run(self) -> Iterator[Any]:
        keys = list(self.context.partition_keys) if self.asset.partitioned else list(self.asset.keys)
        keys = [key for key in keys if self.config.only is None or key in self.config.only]
        self.freshness.refuse_stale(self.asset, keys)
        if self.config.accept:
            accept_keys(self.freshness, self.asset, keys, self.config.accept, self.context.instance)
            self.freshness = Freshness(self.lineage, self.home)
        stale = [key for key in keys if self.config.again or self.freshness.own_state(self.asset, key) != "fresh"]
        self._record_fresh([key for key in keys if key not in set(stale)])
        if stale:
            refuse_other_weights(self.lineage, self.home, [self.asset])
            try:
                self.asset.make(self._work(stale))
            except (ContractError, ComputeError) as error:
                broken = error if isinstance(error, ContractError) else error.__cause__
                if isinstance(broken, ContractError):
                    yield checks.broken_contract(self.asset, broken)
                raise
            refresh_views(self.home)
        yield dg.MaterializeResult(metadata=events.WITHOUT_OWN_EVENT)
        yield from checks.contract_result(self.asset, self.home, keys)

    def _work(self, keys: Sequence[str]) -> Work:
        fingerprints = {key: str(self.freshness.expected(self.asset, key)) for key in keys}
        return Work(
            self.asset,
            keys,
            self.home,
            self.compute.configured(self.config.compute(self.compute.config)),
            fingerprints,
            done=self._record_made,
            log=self._log,
            epoch=self._record_epoch,
        )

    def _record_fresh(self, keys: Sequence[str]) -> None:
        """One event for each fresh key, which reads no table; from the shell, only where Dagster lacks it."""
        if not keys:
            return
        wanted = set(keys)
        if not self.config.record_unchanged:
            wanted = events.unrecorded_keys(self.context.instance, self.asset, self.freshness)
        known = events.recorded(self.context.instance, self.asset) if wanted else {}
        for key in keys:
            if key in wanted:
                version = self.freshness.made_version(self.asset, key)
                metadata: dict[str, Any] = events.shown_before(known, key) | {"unchanged": dg.MetadataValue.bool(True)}
                accepted = self.freshness.accepted(self.asset, key)
                metadata |= {"accepted": accepted} if accepted else {}
                self._log_event(key, str(version), metadata)
            self.progress.shard_done(self.asset, key, 0, unchanged=True)

    def _record_made(self, key: str, notes: Notes) -> None:
        """One event for a key that was just written."""
        before = self.freshness.made_version(self.asset, key)
        now = Freshness(self.lineage, self.home)
        version, stored = now.made_version(self.asset, key), now.stored(self.asset.outputs(key)[0])
        rows = stored.rows if stored else 0
        metadata = display.event_metadata(self.lineage.profile, self.asset, self.home, key, notes, rows)
        metadata["unchanged"] = dg.MetadataValue.bool(version == before)
        self._log_event(key, str(version), metadata)
        self.progress.shard_done(self.asset, key, rows, unchanged=version == before)

    def _log_event(self, key: str, version: str, metadata: Mapping[str, Any]) -> None:
        self.context.log_event(
            dg.AssetMaterialization(
                self.asset.name,
                partition=key if self.asset.partitioned else None,
                metadata=metadata,
                tags=events.version_tags(self.asset, version, self.inputs),
            )
        )

    def _record_epoch(self, key: str, row: Mapping[str, Any]) -> None:
        """An observation per epoch: the UI plots its numbers."""
        numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
        partition = key if self.asset.partitioned else None
        self.context.log_event(dg.AssetObservation(self.asset.name, partition=partition, metadata=numbers))

    def _log(self, line: str) -> None:
        self.context.log.info(line)
        self.progress.message(self.asset, line)


def dependencies(lineage: Lineage, asset: Asset) -> list[dg.AssetDep]:
    """The assets that an asset reads, with what Dagster has to know of their partitions."""
    found = []
    for name, reads in lineage.parents(asset).items():
        parent = lineage.assets[name]
        if not parent.partitioned:
            found.append(dg.AssetDep(name))
        elif asset.partitioned:
            found.append(dg.AssetDep(name, partition_mapping=partition_mapping(parent.keys, asset.keys, reads)))
        else:
            read = reads[asset.keys[0]]
            chosen = [key for key in parent.keys if key in read]
            whole = len(chosen) == len(parent.keys)
            mapping = dg.AllPartitionMapping() if whole else dg.SpecificPartitionsPartitionMapping(chosen)
            found.append(dg.AssetDep(name, partition_mapping=mapping))
    return found


def _fixed_metadata(asset: Asset) -> dict[str, Any]:
    main = asset.outputs(asset.keys[0])[0]
    metadata: dict[str, Any] = display.own_metadata(asset)
    if main.kind == "table":
        columns = [
            dg.TableColumn(
                column.name,
                column.physical_type,
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=not column.required),
            )
            for column in load(main.name).columns
        ]
        metadata["dagster/column_schema"] = dg.TableSchema(columns=columns)
    return metadata


def _freshness_policy(asset: Asset) -> dg.FreshnessPolicy | None:
    is_report = asset.outputs(asset.keys[0])[0].kind == "report" and asset.declared.weekly
    return dg.FreshnessPolicy.time_window(fail_window=FRESH_FOR) if is_report else None
