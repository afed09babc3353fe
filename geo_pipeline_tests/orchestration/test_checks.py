"""The asset `catalogue` with its checks: how much may be rejected, what a benchmark must hold, what is made anew.

Photographs are listed in memory; the asset, the checks and Dagster are the real ones.
"""

from dataclasses import dataclass, field, replace

import dagster as dg
import pytest

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.home.artifact import table
from geo_pipeline.home.home import Home
from geo_pipeline.imagery.source import SourceRecord, batches_of
from geo_pipeline.imagery.split import SplitConfig
from geo_pipeline.orchestration import checks
from geo_pipeline.orchestration.assets import catalogue, photographs
from geo_pipeline.orchestration.bring_up_to_date import bring_up_to_date
from geo_pipeline.orchestration.code_location import code_location
from geo_pipeline.orchestration.freshness import Freshness
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.orchestration.work import Work
from geo_pipeline.profiles.sample import sample
from geo_pipeline_tests.orchestration.small_lineage import NO_TELEMETRY

KEYS = ("reference-000", "reference-001", "router_queries", "im2gps")


@dataclass
class ListedSpec:
    """Photographs in memory; counts how often they are listed."""

    listed: list[SourceRecord]
    listings: list = field(default_factory=list)

    def open(self, index=None):
        return self

    def readers(self):
        return ()

    def missing(self):
        return []

    def fingerprint(self):
        return str(hash(tuple(self.listed)))

    def listing(self):
        self.listings.append(len(self.listed))
        return batches_of(self.listed)


def good(number, **more):
    return SourceRecord(f"p{number}", f"{number}.jpg", f"author {number}", number % 80 + 0.5, number / 9 + 1, **more)


def bad(number, **more):
    return replace(good(number), lat_deg=100.0, **more)


def lineage_of(listed, allowed=0.05):
    split = SplitConfig(holdout=0.1, router_queries=0.2)
    profile = replace(
        sample(0), source=ListedSpec(listed), split=split, reference_shards=2, benchmarks=("im2gps",),
        max_rejected_share=allowed,
    )  # fmt: skip
    return bind((photographs, catalogue), profile, {}, BENCHMARKS)


def made(tmp_path, lineage, keys=KEYS):
    """Make these keys as Dagster would, and ask its checks; a check's result by its name."""
    home, asset = Home(tmp_path), lineage.assets["catalogue"]
    asset.make(Work(asset, keys, home, InProcessCompute(lineage.profile.compute), dict.fromkeys(keys, "f")))
    return home, asked(lineage, home, keys)


def asked(lineage, home, keys):
    """The results of the asset's checks."""
    asset = lineage.assets["catalogue"]
    found = {each.check_name: each for each in checks.contract_result(asset, home, keys)}
    return found | {check.check_key.name: check(home=home) for check in checks.count_checks(lineage)}


def im2gps(count):
    return [good(1000 + number, set_name="im2gps") for number in range(count)]


def test_each_shard_has_its_own_tables_from_one_listing(tmp_path):
    lineage = lineage_of([good(n) for n in range(100)] + [bad(100), *im2gps(237)])
    home, found = made(tmp_path, lineage)
    assert lineage.assets["catalogue"].keys == KEYS
    assert lineage.profile.source.listings == [338]
    rows = [home.stored(table("catalogue", key)).rows for key in KEYS]
    assert (sum(rows), rows[3]) == (337, 237)
    assert sum(home.stored(table("quarantine", f"catalogue/{key}")).rows for key in KEYS) == 1
    assert {name: result.passed for name, result in found.items()} == {
        "contract": True, "few_rejected": True, "expected_count": True,
    }  # fmt: skip


def test_the_rejected_share_is_that_of_all_shards_together(tmp_path):
    listed = [good(n) for n in range(100)] + [bad(n) for n in range(100, 120)] + im2gps(237)
    assert made(tmp_path / "a", lineage_of(listed, 0.06))[1]["few_rejected"].passed
    home, found = made(tmp_path / "b", lineage_of(listed, 0.05))
    assert not found["few_rejected"].passed
    words = found["few_rejected"].description
    assert "20 of 357 photographs are rejected (5.6%), expected at most 5.0%" in words
    assert "--max-rejected" in words
    assert home.stored(table("catalogue", "reference-000")) is not None


def test_one_new_shard_is_judged_with_the_others_that_are_there(tmp_path):
    listed = [good(n) for n in range(300)] + [bad(n, set_name="im2gps") for n in range(500, 510)] + im2gps(237)
    lineage = lineage_of(listed, 0.03)
    assert not made(tmp_path, lineage, ("im2gps",))[1]["few_rejected"].passed
    assert made(tmp_path, lineage, KEYS[:3])[1]["few_rejected"].passed
    assert made(tmp_path, lineage, ("im2gps",))[1]["few_rejected"].passed


def test_a_shard_that_is_rejected_as_a_whole_always_fails(tmp_path):
    listed = [good(n) for n in range(100)] + [bad(n, set_name="im2gps") for n in range(200, 203)]
    _, found = made(tmp_path, lineage_of(listed, 1.0))
    assert found["few_rejected"].description.startswith("im2gps: all 3 photographs are rejected")


@pytest.mark.parametrize(("count", "fails"), [(10, False), (11, True)])
def test_a_handful_in_a_reference_shard_may_all_be_rejected(tmp_path, count, fails):
    listed = [good(n, set_name="router_queries") for n in range(50)] + im2gps(237)
    blocked = [bad(n, block="one.tar#0") for n in range(100, 100 + count)]
    _, found = made(tmp_path, lineage_of(listed + blocked, 0.5))
    assert found["few_rejected"].passed is not fails


def test_a_benchmark_of_another_number_fails_before_anything_is_decoded(tmp_path):
    _, found = made(tmp_path, lineage_of([good(n) for n in range(50)] + im2gps(236)))
    assert found["expected_count"].description == (
        "im2gps: found 236 photographs, expected 237 by the benchmark's protocol; complete its photographs"
    )


def test_in_dagster_too_many_rejects_stop_the_run_and_a_photograph_more_changes_one_shard(tmp_path):
    listed = [good(n) for n in range(100)] + im2gps(237)
    home = Home(tmp_path / "home")

    def bring_up(listed, instance):
        lineage = lineage_of(listed)
        definitions = code_location(lineage, home, InProcessCompute(lineage.profile.compute))
        bring_up_to_date(definitions, lineage, home, instance)
        freshness = Freshness(lineage, home)
        return {key: freshness.made_version(lineage.assets["catalogue"], key) for key in KEYS}

    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=NO_TELEMETRY) as instance:
        before = bring_up(listed, instance)
        after = bring_up([*listed, good(7000)], instance)
        assert sum(before[key] != after[key] for key in KEYS) == 1
        with pytest.raises(
            checks.CheckFailedError, match=r"catalogue few_rejected: 60 of 397 photographs .*--max-rejected"
        ):
            bring_up(listed + [bad(n) for n in range(300, 360)], instance)
        with pytest.raises(checks.CheckFailedError, match="60 of 397"):  # up to date, and still not to be used
            bring_up(listed + [bad(n) for n in range(300, 360)], instance)
        check = dg.AssetCheckKey(dg.AssetKey("catalogue"), "few_rejected")
        (record,) = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
        assert record.status.value == "FAILED"
