"""`geo-pipeline run`: brings a home up to date with progress on the terminal.

It ends with the benchmark table and the report's path.
"""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from geo_pipeline.commands.printing import console
from geo_pipeline.compute.compute import InProcessCompute, RayCompute
from geo_pipeline.home.home import Home
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assembly import Assembly, assemble
from geo_pipeline.orchestration.display import COUNTED
from geo_pipeline.orchestration.jobs import COMPARISON
from geo_pipeline.orchestration.runner import RunObserver, bring_up_to_date, local_instance, selected
from geo_pipeline.orchestration.stage import Stage
from geo_pipeline.profiles.profile import Profile


class ProgressDisplay(RunObserver):
    """One line per asset: its shards, rows and seconds. On a terminal a bar moves while it works."""

    def __init__(self, console: Console, width: int) -> None:
        self.console = console
        self.width = width
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(20),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[words]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self.task: TaskID | None = None
        self.rows = 0
        self.reused = 0
        self.needed = 0

    def stage_begins(self, stage: Stage, needed: Sequence[str]) -> None:
        """Begin a line, or say that there is nothing to do."""
        self.rows = self.reused = 0
        self.needed = len(needed)
        if not needed:
            self.console.print(Text.assemble(f"{stage.name:<{self.width}}  ", ("up to date", "dim")))
            return
        self.task = self.progress.add_task(f"{stage.name:<{self.width}}", total=len(needed), words="")

    def shard_done(self, stage: Stage, key: str, rows: int, reused: bool) -> None:
        """Move the bar."""
        self.rows += rows
        self.reused += reused
        if self.task is not None:
            self.progress.update(self.task, advance=1, words=f"{self.rows:,} {counted(stage)}")

    def said(self, stage: Stage, line: str) -> None:
        """Show an epoch."""
        if self.task is not None:
            self.progress.update(self.task, words=line[:80])

    def stage_ends(self, stage: Stage, seconds: float) -> None:
        """Finish the line."""
        if self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None
        shards = f"{self.needed} of {len(stage.keys)} shards, " if stage.partitioned else ""
        reused = f", {self.reused} reused" if self.reused else ""
        self.console.print(
            Text.assemble(
                f"{stage.name:<{self.width}}  {shards}{self.rows:,} {counted(stage)}{reused}  ",
                (f"{seconds:.1f} s", "dim"),
            )
        )


def counted(stage: Stage) -> str:
    """What the number behind a stage's name counts."""
    return COUNTED[stage.outputs(stage.keys[0])[0].kind]


def run_lineage(profile: Profile, folder: Path, selection: str | None, in_process: bool) -> None:
    """Run what is missing or stale.

    Raises ProfileError when something has to be there first, and whatever a stage raises.
    """
    profile.check_start()
    warnings.filterwarnings("ignore", module="dagster")
    terminal = console()
    home = Home(folder)
    home.root.mkdir(parents=True, exist_ok=True)
    place = InProcessCompute(profile.compute) if in_process else RayCompute(profile.compute)
    with place as compute:
        assembly = assemble(profile, home, compute)
        width = max(len(name) for name in selected(assembly.definitions, assembly.lineage, selection))
        display = ProgressDisplay(terminal, width)
        terminal.print(f"profile {profile.name}, seed {profile.seed}, home {folder}")
        with local_instance(home, os.environ) as instance, display.progress:  # type: ignore[arg-type]
            summary = bring_up_to_date(
                assembly.definitions, assembly.lineage, home, assembly.control, instance, selection, display
            )
    if not summary.executed:
        terminal.print("nothing to do: everything is up to date")
    print_results(terminal, assembly)
    if COMPARISON in summary.executed:
        report = home.place(assembly.lineage.stages[COMPARISON].outputs("all")[0])
        terminal.print(f"comparison: {report / 'index.html'}", soft_wrap=True)


def print_results(terminal: Console, assembly: Assembly) -> None:
    """The benchmark table (percent within each threshold) and where the report lies, as far as they are there."""
    home, lineage = assembly.home, assembly.lineage
    titles = {name: method.title for name, method in METHODS.items()} | {"oracle": "Oracle (better of the two)"}
    for name in lineage.profile.benchmarks:
        scores = lineage.stages["benchmark_scores"].outputs(name)[0]
        if home.stored(scores) is None:
            continue
        rows = home.examined(scores).to_pylist()
        thresholds = list(dict.fromkeys(row["threshold_km"] for row in rows))
        title = f"{lineage.benchmarks[name].title}: {rows[0]['count']} images, percent of them within … km"
        shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title, title_justify="left", title_style="bold")
        shown.add_column("method", no_wrap=True)
        for heading in (*(f"{threshold:g}" for threshold in thresholds), "median km", "failed"):
            shown.add_column(heading, justify="right", no_wrap=True, min_width=4)
        for method in dict.fromkeys(row["method"] for row in rows):
            mine = [row for row in rows if row["method"] == method]
            values = [f"{100 * row['accuracy']:.1f}" for row in mine]
            shown.add_row(titles.get(method, method), *values, f"{mine[0]['median_km']:.0f}", str(mine[0]["failures"]))
        terminal.print(shown)
    report = lineage.stages["benchmark_report"].outputs("all")[0]
    if home.stored(report) is not None:
        terminal.print(f"report: {home.place(report) / 'index.html'}", soft_wrap=True)
