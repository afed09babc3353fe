"""The weekly re-benchmark: predictions, then scores, then the report, every Monday night, under a sensor that is off.

A condition on each of these assets; Dagster's automation asks them, and nothing else is asked for: it trains nothing.
"""

import dagster as dg

from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.orchestration.recipe import Asset

MONDAY_NIGHT = "0 3 * * 1"
SENSOR = "weekly_rebenchmark"


def condition(lineage: Lineage, asset: Asset) -> dg.AutomationCondition | None:
    """When Dagster asks for an asset by itself; None for all but those of the weekly re-benchmark.

    First what reads none of the others, at the tick; each other one when every key of these that it reads has an event
    since the tick (one with an unchanged data version will do). Dagster's own `on_cron` is content with one of them.
    """
    if not asset.declared.weekly:
        return None
    tick = dg.AutomationCondition.cron_tick_passed(MONDAY_NIGHT)
    before = [name for name in lineage.parents(asset) if lineage.assets[name].declared.weekly]
    if not before:
        return tick & ~dg.AutomationCondition.in_progress()
    renewed = dg.AutomationCondition.newly_updated().since(tick) | dg.AutomationCondition.will_be_requested()
    waiting = dg.AutomationCondition.any_deps_match(~renewed)
    return (dg.AutomationCondition.on_cron(MONDAY_NIGHT) & ~waiting).allow(dg.AssetSelection.assets(*before))


def observation_condition() -> dg.AutomationCondition:
    """When Dagster looks at the photographs by itself: at the same tick."""
    return dg.AutomationCondition.cron_tick_passed(MONDAY_NIGHT)


def weekly_rebenchmark(lineage: Lineage) -> dg.AutomationConditionSensorDefinition:
    """The sensor that asks these conditions; off until it is switched on in the UI."""
    names = [name for name, asset in lineage.assets.items() if asset.declared.weekly or asset.declared.observed]
    return dg.AutomationConditionSensorDefinition(
        SENSOR,
        target=dg.AssetSelection.assets(*names),
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Look at the photographs and renew predictions, scores and the report every Monday at 03:00 UTC.",
    )
