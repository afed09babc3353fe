"""The README is short, and its picture of the lineage, its commands and its tree are those of the code."""

import re
import shlex

import typer

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.cli import app
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.profiles.sample import sample
from geo_pipeline_tests.test_conventions import ROOT

README = (ROOT / "README.md").read_text()
USAGE_ERROR = typer.BadParameter.__base__
"""What the command line raises for words that it does not understand."""
FOLDED = {
    "image_manifest": "images",
    "ingest_manifest": "images",
    "segmentation_manifest": "segmentations",
    "reference_gallery": "features",
    "router_checkpoint": "router_checkpoints",
    "router_image_only_checkpoint": "router_checkpoints",
    "router_coordinates_only_checkpoint": "router_checkpoints",
    "router_image_only_predictions": "routed_predictions",
    "router_coordinates_only_predictions": "routed_predictions",
}
"""Assets that the picture shows as one with another."""


def drawn():
    """The arrows of the picture, each with whether it is dotted."""
    picture = re.search(r"```mermaid\nflowchart LR\n(.*?)```", README, re.DOTALL).group(1)
    arrows = {}
    for line in re.sub(r"\(\[\w+\]\)", "", picture).splitlines():
        parts = re.split(r"(-->|-\.->)", line)
        for before, arrow, after in zip(parts[::2], parts[1::2], parts[2::2], strict=False):
            for source in before.split("&"):
                arrows |= {(source.strip(), target.strip()): arrow == "-.->" for target in after.split("&")}
    return arrows


def lineage():
    return bind(ASSETS, sample(0), METHODS, BENCHMARKS)


def reads():
    """What each asset reads of another, as the picture folds them."""
    found = set()
    for name, asset in lineage().assets.items():
        parents = {each.asset for key in asset.keys for each in asset.inputs(key)}
        found |= {(FOLDED.get(parent, parent), FOLDED.get(name, name)) for parent in parents}
    return {(parent, child) for parent, child in found if parent != child}


def ways(arrows):
    """Every pair of assets that a way along the arrows joins."""
    joined = set(arrows)
    while True:
        longer = {(first, last) for first, middle in joined for other, last in arrows if middle == other}
        if longer <= joined:
            return joined
        joined |= longer


def test_the_picture_shows_every_asset_and_no_arrow_that_is_not_read():
    arrows = set(drawn())
    assert arrows - reads() == set()
    assert reads() - ways(arrows) == set()
    shown = {name for arrow in arrows for name in arrow}
    assert shown == {FOLDED.get(name, name) for name in lineage().assets}


def test_what_is_dotted_is_what_a_plain_run_does_not_make_whole():
    made_when_asked = {name for name, asset in lineage().assets.items() if asset.everyday != asset.keys}
    dotted = {target for (_, target), is_dotted in drawn().items() if is_dotted}
    assert dotted - {"benchmark_scores"} == made_when_asked


def commands():
    """The command lines of the README: `geo-pipeline ...` in a block or in backticks, and the table's first column."""
    lines = README.replace("\\\n", " ").splitlines()
    found = [line.strip() for line in lines if line.startswith("    geo-pipeline ")]
    found += re.findall(r"`(geo-pipeline [^`]+)`", README)
    table = README.split("## Commands")[1].split("## What is where")[0]
    rows = [
        line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `") and "`geo-pipeline`" not in line
    ]
    return found + [f"geo-pipeline {words}" for row in rows for words in re.findall(r"`([^`]+)`", row)]


def test_every_command_of_the_readme_is_understood():
    root = typer.main.get_command(app)
    wrong = []
    for line in commands():
        _, name, *words = shlex.split(re.sub(r"[\[\]]", "", line.replace("IMAGE...", "IMAGE")))
        command = root.commands.get(name)
        if command is not None and hasattr(command, "commands"):
            command, words = command.commands.get(words[0]), words[1:]
        if command is None:
            wrong.append(line)
            continue
        try:
            command.make_context(name, words)
        except USAGE_ERROR as error:
            wrong.append(f"{line}: {error}")
    assert len(commands()) > 15
    assert wrong == []


def test_every_command_stands_in_the_readme():
    named = {shlex.split(line)[1] for line in commands()}
    assert named == set(typer.main.get_command(app).commands)


def test_the_tree_names_every_package_and_every_module_of_assets():
    tree = README.split("## What is where")[1].split("## Dual use")[0]
    named = set(re.findall(r"[\w/]+\.py|\w+/", tree))
    packages = {f"{path.parent.name}/" for path in (ROOT / "geo_pipeline").glob("*/__init__.py")}
    modules = {path.name for path in (ROOT / "geo_pipeline/orchestration/assets").glob("[a-z]*.py")}
    assert packages | modules <= named


def test_the_readme_is_read_in_a_few_minutes():
    assert len(README.splitlines()) <= 135
    assert max(map(len, README.splitlines())) <= 140
