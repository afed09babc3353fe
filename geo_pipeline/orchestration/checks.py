"""The blocking asset checks.

Every table keeps its contract, few photographs are rejected, benchmarks have their number of images.

The contract is enforced on write and read as well (storage.py); a check shows it in the UI and stops what is
downstream in the same run.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from geo_pipeline.contracts.contract import load
from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.orchestration.stage import Stage
from geo_pipeline.orchestration.storage import Home

CONTRACT = "contract"
REJECTED = "few_rejected"
COUNT = "expected_count"


@dataclass(frozen=True)
class Finding:
    """What one check found for one key: how much it looked at, and what is wrong (empty: nothing)."""

    check: str
    looked_at: int
    problem: str = ""


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
    if "scores" in tables:
        words = "A benchmark with a published protocol has exactly its number of scored images."
        specs.append(dg.AssetCheckSpec(COUNT, asset=stage.name, description=words, blocking=True))
    return specs


def examine(lineage: Lineage, stage: Stage, home: Home, key: str) -> list[Finding]:
    """Run a stage's checks on what the home holds for one key."""
    findings = []
    rows: dict[str, int] = {}
    for artifact in stage.outputs(key):
        if artifact.kind == "table":
            stored = home.stored(artifact)
            rows[artifact.name] = stored.rows if stored else 0
    if rows:
        findings.append(Finding(CONTRACT, sum(rows.values()), _contract_problems(stage, home, key)))
    if "quarantine" in rows:
        kept, rejected = next(count for name, count in rows.items() if name != "quarantine"), rows["quarantine"]
        allowed = lineage.profile.max_rejected_share
        share = rejected / max(1, kept + rejected)
        too_many = share > allowed
        words = (
            f"{rejected} of {kept + rejected} photographs of {key} are rejected ({share:.0%}, allowed {allowed:.0%})"
        )
        findings.append(
            Finding(REJECTED, kept + rejected, f"{words}; see the table quarantine for the reasons" if too_many else "")
        )
    if "scores" in rows:
        findings.append(_count(lineage, home, key))
    return findings


def results(stage: Stage, findings: Mapping[str, Sequence[Finding]]) -> Iterator[dg.AssetCheckResult]:
    """One Dagster result per check over all keys of the run."""
    for spec in check_specs(stage):
        mine = [(key, finding) for key, found in findings.items() for finding in found if finding.check == spec.name]
        wrong = [f"{key}: {finding.problem}" for key, finding in mine if finding.problem]
        yield dg.AssetCheckResult(
            passed=not wrong,
            check_name=spec.name,
            asset_key=stage.name,
            description="; ".join(wrong) or None,
            metadata={"rows": sum(finding.looked_at for _, finding in mine), "shards": len(mine)},
        )


def _contract_problems(stage: Stage, home: Home, key: str) -> str:
    problems = []
    for artifact in stage.outputs(key):
        if artifact.kind == "table":
            found = load(artifact.name).problems(home.examined(artifact))
            problems += [f"{artifact.label()}: {problem}" for problem in found]
    return "; ".join(problems)


def _count(lineage: Lineage, home: Home, key: str) -> Finding:
    expected = lineage.benchmarks[key].expected_count
    counts = home.examined_column("scores", key, "count")
    found = int(str(counts[0])) if counts else 0
    wrong = expected is not None and found != expected
    return Finding(
        COUNT,
        found,
        f"found {found} scored images, expected {expected} by the benchmark's protocol; complete its photographs"
        if wrong
        else "",
    )
