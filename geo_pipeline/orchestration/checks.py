"""The blocking asset checks.

Every table keeps its contract, few photographs are rejected (of all shards together, and never all of one shard),
benchmarks have their number of images.

The contract is enforced on write and read as well (storage.py); a check shows it in the UI and stops what is
downstream in the same run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import dagster as dg

from geo_pipeline.contracts.contract import load
from geo_pipeline.home.artifact import table
from geo_pipeline.home.home import Home
from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.orchestration.stage import Stage

CONTRACT = "contract"
REJECTED = "few_rejected"
COUNT = "expected_count"
FEW = 10
"""So many photographs of a reference shard may all be rejected: where shards hold a handful, chance does that."""


class CheckFailedError(RuntimeError):
    """A blocking asset check failed; the message says which and why."""


@dataclass(frozen=True)
class Finding:
    """What one check found for one key: how much it looked at, and what is wrong (empty: nothing).

    `overall` says what is wrong with all keys of the asset together; it is asked once, when all of a run are made.
    """

    check: str
    looked_at: int
    problem: str = ""
    overall: Callable[[], str] | None = None


def check_specs(stage: Stage) -> list[dg.AssetCheckSpec]:
    """The checks of a stage."""
    tables = [artifact.name for artifact in stage.outputs(stage.keys[0]) if artifact.kind == "table"]
    specs = []
    if tables:
        words = f"Every row of {' and '.join(tables)} keeps its contract (data_contracts/)."
        specs.append(dg.AssetCheckSpec(CONTRACT, asset=stage.name, description=words, blocking=True))
    if "quarantine" in tables:
        words = "No more photographs are rejected than the profile allows."
        specs.append(dg.AssetCheckSpec(REJECTED, asset=stage.name, description=words, blocking=True))
    if "catalogue" in tables:
        words = "A benchmark with a published protocol has exactly its number of photographs."
        specs.append(dg.AssetCheckSpec(COUNT, asset=stage.name, description=words, blocking=True))
    if "scores" in tables:
        words = "A benchmark with a published protocol has exactly its number of scored images."
        specs.append(dg.AssetCheckSpec(COUNT, asset=stage.name, description=words, blocking=True))
    return specs


def examine(lineage: Lineage, stage: Stage, home: Home, key: str, just_written: bool = False) -> list[Finding]:
    """Run a stage's checks on what the home holds for one key.

    What was just written has passed its contract on the way and is not read again.
    """
    rows = _rows(stage, home, key)
    if not rows:
        return []
    problems = "" if just_written else _contract_problems(stage, home, key)
    return [Finding(CONTRACT, sum(rows.values()), problems), *_counted(lineage, stage, home, key, rows)]


def refuse_failed(lineage: Lineage, stage: Stage, home: Home) -> None:
    """Raise CheckFailedError where an up-to-date stage fails a check of its counts.

    A run that such a check stopped has left its tables in the home; the next one must not walk on past them.
    """
    wrong: list[str] = []
    overall: dict[str, Callable[[], str]] = {}
    for key in stage.keys if len(check_specs(stage)) > 1 else ():
        for finding in _counted(lineage, stage, home, key, _rows(stage, home, key)):
            wrong += [f"{key}: {finding.problem}"] if finding.problem else []
            overall |= {finding.check: finding.overall} if finding.overall else {}
    wrong += [problem for problem in (asked() for asked in overall.values()) if problem]
    if wrong:
        raise CheckFailedError(f"an asset check failed: {stage.name}: {'; '.join(wrong)}")


def _rows(stage: Stage, home: Home, key: str) -> dict[str, int]:
    """Rows of each table of a key, from the files' ends."""
    stored = {each.name: home.stored(each) for each in stage.outputs(key) if each.kind == "table"}
    return {name: found.rows if found else 0 for name, found in stored.items()}


def _counted(lineage: Lineage, stage: Stage, home: Home, key: str, rows: Mapping[str, int]) -> list[Finding]:
    """The findings that need no more than counts."""
    findings = []
    if "quarantine" in rows:
        kept, rejected = _kept_and_rejected(rows)
        whole = not kept and rejected > (0 if lineage.benchmark_of(key) else FEW)
        problem = _all_rejected(key, rejected) if whole else ""
        findings.append(Finding(REJECTED, kept + rejected, problem, partial(_too_many_rejected, lineage, stage, home)))
    if "catalogue" in rows and lineage.benchmark_of(key):
        findings.append(Finding(COUNT, rows["catalogue"], overall=partial(_incomplete, lineage, stage, home)))
    if "scores" in rows:
        counts = home.examined_column("scores", key, "count")
        found = int(str(counts[0])) if counts else 0
        findings.append(Finding(COUNT, found, _miscounted(lineage, key, found, "scored images")))
    return findings


def results(stage: Stage, findings: Mapping[str, Sequence[Finding]]) -> Iterator[dg.AssetCheckResult]:
    """One Dagster result per check over all keys of the run.

    Raises CheckFailedError after the last one where a check failed: Dagster's own error only names the checks.
    """
    failed = []
    for spec in check_specs(stage):
        mine = [(key, finding) for key, found in findings.items() for finding in found if finding.check == spec.name]
        wrong = [f"{key}: {finding.problem}" for key, finding in mine if finding.problem]
        overall = next((finding.overall for _, finding in mine if finding.overall is not None), None)
        wrong += [problem for problem in (overall() if overall else "",) if problem]
        yield dg.AssetCheckResult(
            passed=not wrong,
            check_name=spec.name,
            asset_key=stage.name,
            description="; ".join(wrong) or None,
            metadata={"rows": sum(finding.looked_at for _, finding in mine), "shards": len(mine)},
        )
        failed += [f"{stage.name} {spec.name}: {'; '.join(wrong)}"] if wrong else []
    if failed:
        raise CheckFailedError(f"an asset check failed: {'; '.join(failed)}")


def _contract_problems(stage: Stage, home: Home, key: str) -> str:
    problems = []
    for artifact in stage.outputs(key):
        if artifact.kind == "table":
            found = load(artifact.name).problems(home.examined(artifact))
            problems += [f"{artifact.label()}: {problem}" for problem in found]
    return "; ".join(problems)


def _kept_and_rejected(rows: Mapping[str, int]) -> tuple[int, int]:
    return sum(count for name, count in rows.items() if name != "quarantine"), rows["quarantine"]


def _all_rejected(key: str, rejected: int) -> str:
    return (
        f"all {rejected} photographs are rejected, expected some that can be used; see the table quarantine "
        f'(`geo-pipeline sql "select reason, count(*) from quarantine group by 1"`) and correct what feeds {key}'
    )


def _too_many_rejected(lineage: Lineage, stage: Stage, home: Home) -> str:
    """What is wrong with the rejected share of all keys of a stage; row counts are read from the files' ends."""
    kept = rejected = 0
    for key in stage.keys:
        for artifact in stage.outputs(key):
            stored = home.stored(artifact) if artifact.kind == "table" else None
            count = stored.rows if stored else 0
            kept, rejected = (kept, rejected + count) if artifact.name == "quarantine" else (kept + count, rejected)
    allowed = lineage.profile.max_rejected_share
    if rejected <= allowed * (kept + rejected):
        return ""
    return (
        f"{rejected:,} of {kept + rejected:,} photographs are rejected ({rejected / (kept + rejected):.1%}), expected "
        f"at most {allowed:.1%}; see the table quarantine for the reasons, then correct the photographs or their "
        "metadata, or allow more (--max-rejected)"
    )


def _incomplete(lineage: Lineage, stage: Stage, home: Home) -> str:
    """What is wrong with the number of photographs of a benchmark all of whose shards are there."""
    counts: dict[str, list[int | None]] = {}
    for key in stage.keys:
        name = lineage.benchmark_of(key)
        if name is not None:
            stored = home.stored(table("catalogue", key))
            counts.setdefault(name, []).append(stored.rows if stored else None)
    whole = {name: [rows for rows in found if rows is not None] for name, found in counts.items() if None not in found}
    problems = [_miscounted(lineage, name, sum(rows), "photographs") for name, rows in whole.items()]
    return "; ".join(problem for problem in problems if problem)


def _miscounted(lineage: Lineage, benchmark: str, found: int, what: str) -> str:
    expected = lineage.benchmarks[benchmark].expected_count
    if expected is None or found == expected:
        return ""
    return (
        f"{benchmark}: found {found} {what}, expected {expected} by the benchmark's protocol; complete its photographs"
    )
