"""What an edit of the code makes stale: the package copied, edited, and its versions compared.

`python -m geo_pipeline_tests.orchestration.code_edits` prints the table of docs/measurements/code_versions.md.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.orchestration.versions import PACKAGE_ROOT, Named, Sources
from geo_pipeline.profiles.sample import sample

EDIT = "\nEDITED = True\n"
LINEAGE = bind(ASSETS, sample(0), METHODS, BENCHMARKS)


@dataclass(frozen=True)
class Edit:
    """A text of a file replaced by another, and how many of 60 assets it made stale at f637867."""

    words: str
    file: str
    old: str
    new: str
    before: str


EDITS = (
    Edit("a colour of curves", "training/curve_page.py", "#0b69a3", "#0b69a4", "38 of 60, GeoSURGE retrained"),
    Edit("the shortlist of retrieval", "geosurge/retrieval.py", "", EDIT, "38 of 60, GeoSURGE retrained"),
    Edit("the bootstrap of intervals", "scoring/accuracy.py", "", EDIT, "42 of 60, GeoSURGE retrained"),
    Edit("a rename in earth/parallel.py", "earth/parallel.py", "edges", "borders", "45 of 60, GeoSURGE retrained"),
    Edit("the wording of a contract's problem", "contracts/contract.py", "", EDIT, "60 of 60, GeoSURGE retrained"),
    Edit("anything where tables are stored", "home/home.py", "", EDIT, "60 of 60, GeoSURGE retrained"),
    Edit("... or where assets are run", "orchestration/materialize.py", "", EDIT, "60 of 60, GeoSURGE retrained"),
    Edit("GeoSURGE's loss", "geosurge/loss.py", "", EDIT, ""),
    Edit("the decoding of photographs", "imagery/decode.py", "", EDIT, ""),
    Edit("the prompt of the router", "routing/prompt.py", "", EDIT, ""),
    Edit("one baseline", "baselines/pigeon.py", "", EDIT, ""),
)
"""The six edits of the first measurement (the last counted twice), and some that have to count."""


def copied_package(folder: Path) -> Path:
    """A copy of the package without its weights that may be edited."""
    place = folder / "geo_pipeline"
    everything = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.json", "*.png", "weights")
    shutil.copytree(PACKAGE_ROOT, place, ignore=everything)
    return place


def versions(root: Path) -> dict[str, dict[str, str]]:
    """The hash of the code of every key of every asset."""
    sources = Sources(root)
    found: dict[str, dict[str, str]] = {}
    for name, asset in LINEAGE.assets.items():
        found[name] = {key: sources.code_hash(map(Named.of, asset.counted_for(key))) for key in asset.keys}
    return found


def stale_keys(root: Path, file: str, old: str = "", new: str = EDIT) -> dict[str, list[str]]:
    """The assets, each with those of its keys, that another text in a file makes stale."""
    path = root / file
    text = path.read_text()
    before = versions(root)
    try:
        if old not in text:
            raise ValueError(f"found no {old!r} in {file}, expected it there")
        path.write_text(text.replace(old, new) if old else text + new)
        after = versions(root)
    finally:
        path.write_text(text)
    changed = {name: [key for key in keys if after[name][key] != keys[key]] for name, keys in before.items()}
    return {name: keys for name, keys in changed.items() if keys}


def table(root: Path) -> str:
    """What every edit costs, as a Markdown table."""
    lines = ["| edit | at f637867 | now | which |", "|---|---|---|---|"]
    for edit in EDITS:
        found = stale_keys(root, edit.file, edit.old, edit.new)
        retrained = "GeoSURGE retrained" if "geosurge_checkpoint" in found else "GeoSURGE kept"
        parts = [
            name if len(keys) == len(LINEAGE.assets[name].keys) else f"{name} ({len(keys)} of its keys)"
            for name, keys in found.items()
        ]
        shown = ", ".join(parts[:4]) + (f" and {len(parts) - 4} more" if len(parts) > 4 else "")
        count = f"{len(found)} of {len(LINEAGE.assets)}, {retrained}"
        lines.append(f"| {edit.words} (`{edit.file}`) | {edit.before} | {count} | {shown or 'none'} |")
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(table(copied_package(Path(folder))))  # noqa: T201 - a script prints
