"""The blocking asset checks: every table keeps its contract, few photographs are rejected, benchmarks are complete.

The contract is enforced whenever a table is written or read; its check shows that in the UI. The checks of counts look
at the ends of files only, so they are asked again before what depends on them is made.
"""

from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from geo_pipeline.home.artifact import table
from geo_pipeline.home.home import Home
from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.orchestration.recipe import Asset

CONTRACT = "contract"
REJECTED = "few_rejected"
COUNT = "expected_count"
FEW = 10
"""So many photographs of a reference shard may all be rejected: where shards hold a handful, chance does that."""
DESCRIPTIONS = {
    REJECTED: "No more photographs are rejected than the profile allows, and never all of a shard.",
    COUNT: "A benchmark with a published protocol has exactly its number of images.",
}
Problem = Callable[[Lineage, Asset, Home], str]


class CheckFailedError(RuntimeError):
    """A blocking asset check failed; the message says which and why."""


def contract_spec(asset: Asset) -> list[dg.AssetCheckSpec]:
    """The check of an asset's tables; none for an asset without a table."""
    names = _tables(asset)
    if not names:
        return []
    words = f"Every row of {' and '.join(names)} keeps its contract (data_contracts/)."
    return [dg.AssetCheckSpec(CONTRACT, asset=asset.name, description=words, blocking=True)]


def contract_result(asset: Asset, home: Home, keys: Sequence[str]) -> list[dg.AssetCheckResult]:
    """The result for keys that were written, each through its contract; no table is read again."""
    if not _tables(asset):
        return []
    found = [home.stored(each) for key in keys for each in asset.outputs(key) if each.kind == "table"]
    counts = {"rows": sum(each.rows for each in found if each), "shards": len(keys)}
    return [dg.AssetCheckResult(passed=True, check_name=CONTRACT, asset_key=asset.name, metadata=counts)]


def broken_contract(asset: Asset, problem: Exception) -> dg.AssetCheckResult:
    """The result where a table broke its contract and was not written."""
    return dg.AssetCheckResult(passed=False, check_name=CONTRACT, asset_key=asset.name, description=str(problem))


def count_checks(lineage: Lineage) -> list[dg.AssetChecksDefinition]:
    """The checks of counts of all assets."""
    return [
        _count_check(lineage, asset, name, problem)
        for asset in lineage.assets.values()
        for name, problem in _counts_of(asset).items()
    ]


def refuse_failed(lineage: Lineage, asset: Asset, home: Home) -> None:
    """Raise CheckFailedError where an asset's counts are wrong.

    A run that such a check stopped has left its tables in the home; the next one must not walk on past them.
    """
    wrong = {name: problem(lineage, asset, home) for name, problem in _counts_of(asset).items()}
    lines = [f"{asset.name} {name}: {words}" for name, words in wrong.items() if words]
    if lines:
        raise CheckFailedError(f"found that an asset check failed: {'; '.join(lines)}")


def _count_check(lineage: Lineage, asset: Asset, name: str, problem: Problem) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset.name, name=name, description=DESCRIPTIONS[name], blocking=True)
    def check(home: dg.ResourceParam[Home]) -> dg.AssetCheckResult:
        words = problem(lineage, asset, home)
        return dg.AssetCheckResult(passed=not words, description=words or None)

    return check


def _counts_of(asset: Asset) -> Mapping[str, Problem]:
    names = _tables(asset)
    found: dict[str, Problem] = {}
    if "quarantine" in names:
        found[REJECTED] = _rejected
    if "catalogue" in names:
        found[COUNT] = _photographs
    if asset.name == "benchmark_scores":
        found[COUNT] = _scored
    return found


def _tables(asset: Asset) -> list[str]:
    return [artifact.name for artifact in asset.outputs(asset.keys[0]) if artifact.kind == "table"]


def _rejected(lineage: Lineage, asset: Asset, home: Home) -> str:
    """What is wrong with the rejected photographs of all keys; row counts are read from the files' ends."""
    problems, kept_sum, rejected_sum = [], 0, 0
    for key in asset.keys:
        rows = _rows(asset, home, key)
        kept, rejected = sum(count for name, count in rows.items() if name != "quarantine"), rows["quarantine"]
        kept_sum, rejected_sum = kept_sum + kept, rejected_sum + rejected
        if not kept and rejected > (0 if lineage.benchmark_of(key) else FEW):
            problems.append(
                f"{key}: all {rejected} photographs are rejected, expected some that can be used; see the table "
                'quarantine (`geo-pipeline sql "select reason, count(*) from quarantine group by 1"`) and correct what '
                f"feeds {key}"
            )
    allowed = lineage.profile.max_rejected_share
    if rejected_sum > allowed * (kept_sum + rejected_sum):
        share = rejected_sum / (kept_sum + rejected_sum)
        problems.append(
            f"{rejected_sum:,} of {kept_sum + rejected_sum:,} photographs are rejected ({share:.1%}), expected "
            f"at most {allowed:.1%}; see the table quarantine for the reasons, then correct the photographs or their "
            "metadata, or allow more (--max-rejected)"
        )
    return "; ".join(problems)


def _rows(asset: Asset, home: Home, key: str) -> dict[str, int]:
    stored = {each.name: home.stored(each) for each in asset.outputs(key) if each.kind == "table"}
    return {name: found.rows if found else 0 for name, found in stored.items()}


def _photographs(lineage: Lineage, asset: Asset, home: Home) -> str:
    """What is wrong with the number of photographs of a benchmark all of whose shards are there."""
    counts: dict[str, list[int | None]] = {}
    for key in asset.keys:
        name = lineage.benchmark_of(key)
        if name is not None:
            stored = home.stored(table("catalogue", key))
            counts.setdefault(name, []).append(stored.rows if stored else None)
    whole = {name: [rows for rows in found if rows is not None] for name, found in counts.items() if None not in found}
    problems = [_miscounted(lineage, name, sum(rows), "photographs") for name, rows in whole.items()]
    return "; ".join(problem for problem in problems if problem)


def _scored(lineage: Lineage, asset: Asset, home: Home) -> str:
    problems = []
    for key in asset.keys:
        if home.stored(table("scores", key)) is not None:
            counts = home.examined_column("scores", key, "count")
            problems.append(_miscounted(lineage, key, int(str(counts[0])) if counts else 0, "scored images"))
    return "; ".join(problem for problem in problems if problem)


def _miscounted(lineage: Lineage, benchmark: str, found: int, what: str) -> str:
    expected = lineage.benchmarks[benchmark].expected_count
    if expected is None or found == expected:
        return ""
    return (
        f"{benchmark}: found {found} {what}, expected {expected} by the benchmark's protocol; complete its photographs"
    )
