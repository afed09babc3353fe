"""`geo-pipeline run`: brings a home up to date with progress on the terminal.

It ends with the benchmark table and the report's path.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.commands.printing import console
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.compute.ray import RayCompute
from geo_pipeline.home.artifact import report, table
from geo_pipeline.home.home import Home
from geo_pipeline.home.lock import held
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.bring_up_to_date import bring_up_to_date, wanted
from geo_pipeline.orchestration.code_location import code_location
from geo_pipeline.orchestration.dagster_home import local_instance
from geo_pipeline.orchestration.display import COUNTED
from geo_pipeline.orchestration.lineage import Lineage, bind
from geo_pipeline.orchestration.progress import Progress
from geo_pipeline.orchestration.recipe import Asset
from geo_pipeline.profiles.profile import Profile


class ProgressDisplay(Progress):
    """One line per asset: its shards, rows and seconds. On a terminal a bar moves while it works."""

    def __init__(self, console: Console, width: int) -> None:
        self.console = console
        self.width = width
        self.progress = Bars(
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
        self.unchanged = 0
        self.needed = 0

    def asset_begins(self, asset: Asset, keys: Sequence[str]) -> None:
        """Begin a line, or say that there is nothing to do."""
        self.rows = self.unchanged = 0
        self.needed = len(keys)
        if not keys:
            self.console.print(Text.assemble(f"{asset.name:<{self.width}}  ", ("up to date", "dim")))
            return
        self.task = self.progress.add_task(f"{asset.name:<{self.width}}", total=len(keys), words="")

    def shard_done(self, asset: Asset, key: str, rows: int, unchanged: bool) -> None:
        """Move the bar."""
        self.rows += rows
        self.unchanged += unchanged
        if self.task is not None:
            self.progress.update(self.task, advance=1, words=f"{self.rows:,} {counted(asset)}")

    def message(self, asset: Asset, line: str) -> None:
        """Show an epoch."""
        if self.task is not None:
            self.progress.update(self.task, words=line[:80])

    def note(self, line: str) -> None:
        """Show a line that stays."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def asset_ends(self, asset: Asset, seconds: float) -> None:
        """Finish the line."""
        if self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None
        shards = f"{self.needed} of {len(asset.keys)} shards, " if asset.partitioned else ""
        unchanged = f", {self.unchanged} unchanged" if self.unchanged else ""
        self.console.print(
            Text.assemble(
                f"{asset.name:<{self.width}}  {shards}{self.rows:,} {counted(asset)}{unchanged}  ",
                (f"{seconds:.1f} s", "dim"),
            )
        )


def counted(asset: Asset) -> str:
    """What the number behind an asset's name counts."""
    return COUNTED[asset.outputs(asset.keys[0])[0].kind]


def run_lineage(
    profile: Profile,
    folder: Path,
    selection: str | None,
    in_process: bool,
    again: str | None = None,
    display: Callable[[Console, int], ProgressDisplay] = ProgressDisplay,
) -> None:
    """Run what is missing or stale, and what `again` selects though it is fresh.

    Raises ProfileError when something has to be there first, and whatever an asset raises.
    """
    profile.check_start(in_process)
    warnings.filterwarnings("ignore", module="dagster")
    terminal = console()
    home = Home(folder)
    home.root.mkdir(parents=True, exist_ok=True)
    lineage = bind(ASSETS, profile, METHODS, BENCHMARKS)
    where = InProcessCompute(profile.compute) if in_process else RayCompute(profile.compute)
    with held(home.root, terminal.print), where as compute:
        compute.require()  # hours may pass before the first asset needs it
        shown = display(terminal, max(map(len, lineage.assets)))
        definitions = code_location(lineage, home, compute, shown)
        what = wanted(definitions, lineage, selection, again)
        shown.width = max(map(len, what.assets))
        terminal.print(f"profile {profile.name}, seed {profile.seed}, home {folder}")
        for path, value, own in profile.chosen:
            terminal.print(f"  {path}: {value} (the profile has {own})", soft_wrap=True)
        with local_instance(home, os.environ, shown.note) as instance, shown.progress:
            summary = bring_up_to_date(definitions, lineage, home, instance, what, shown)
    if not summary.executed:
        terminal.print("nothing to do: everything is up to date")
    print_results(terminal, home, lineage)
    if "comparison_report" in summary.executed:
        terminal.print(f"comparison: {home.location(report('comparison_report')) / 'index.html'}", soft_wrap=True)


def print_results(terminal: Console, home: Home, lineage: Lineage) -> None:
    """The benchmark table (percent within each threshold) and where the report lies, as far as they are there."""
    titles = {name: method.title for name, method in METHODS.items()} | {"oracle": "Oracle (better of the two)"}
    for name in lineage.profile.benchmarks:
        scores = table("scores", name)
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
    written = report("benchmark_report")
    if home.stored(written) is not None:
        terminal.print(f"report: {home.location(written) / 'index.html'}", soft_wrap=True)
