"""What the Dagster UI shows of a materialization.

Row counts, notes, and previews as Markdown with embedded pictures.
"""

import base64
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
from PIL import Image

from geo_pipeline.home.home import Home
from geo_pipeline.orchestration.recipe import Asset
from geo_pipeline.profiles.profile import Profile

THUMBNAIL_PX = 96
SHOWN = 8
MAP_SIZE = (720, 360)
COUNTED = {
    "table": "rows",
    "manifest": "shards listed",
    "checkpoint": "files",
    "report": "files",
    "observation": "shards",
}
"""What is counted of an artifact, by its kind."""
PAGES = (
    ("report", "report", "index.html"),
    ("report", "successes and failures", "examples.html"),
    ("checkpoint", "training curves", "curves.html"),
)
"""Pages that a folder may hold: its kind, what the UI calls the page, its file."""


def own_metadata(asset: Asset) -> dict[str, Any]:
    """What the UI shows of every asset: its title, and the links to its code."""
    references: list[dg.LocalFileCodeReference | dg.UrlCodeReference] = [
        dg.LocalFileCodeReference(file_path=file, line_number=line, label=name)
        for name, (file, line) in asset.sources.items()
    ]
    links = dg.CodeReferencesMetadataValue(code_references=references)
    return {"title": asset.title, "dagster/code_references": links}


def event_metadata(
    profile: Profile, asset: Asset, home: Home, key: str, notes: Mapping[str, object], rows: int
) -> dict[str, Any]:
    """The metadata of one materialization event."""
    main = asset.outputs(key)[0]
    counted = "dagster/row_count" if main.kind == "table" else COUNTED[main.kind]
    metadata: dict[str, Any] = {counted: rows}
    for name, value in notes.items():
        if isinstance(value, bool | int | float | str):
            metadata[name] = value
    preview = _preview(asset, home, key)
    if preview:
        metadata["preview"] = dg.MetadataValue.md(preview)
    file = home.location(main)
    metadata["path"] = dg.MetadataValue.path(str(file.relative_to(home.root)))
    for kind, label, page in PAGES:
        if main.kind == kind and (file / page).is_file():
            metadata[label] = dg.MetadataValue.path(str((file / page).relative_to(home.root)))
    return metadata


def _preview(asset: Asset, home: Home, key: str) -> str:
    shown = []
    for artifact in asset.outputs(key):
        if artifact.kind == "table" and artifact.name in _PICTURES:
            shown.append(_pictures(home.first_rows(artifact, SHOWN), _PICTURES[artifact.name]))
        elif artifact.kind == "table" and artifact.name in _PREVIEWS:
            shown.append(_PREVIEWS[artifact.name](home.examined(artifact)))
        elif artifact.kind == "report":
            shown += _report_preview(asset, home)
    return "\n\n".join(part for part in shown if part)


def _report_preview(asset: Asset, home: Home) -> list[str]:
    """The report's scores, and where the answers of its best method lie, benchmark by benchmark."""
    shown = []
    scores = [read.artifact for read in asset.inputs(asset.keys[0]) if read.artifact.name == "scores"]
    for artifact in scores:
        rows = home.examined(artifact)
        shown += [f"**{artifact.key}**", score_table(rows)]
    judged = [read.artifact for read in asset.inputs(asset.keys[0]) if read.artifact.name == "judged"]
    if judged:
        rows = pa.concat_tables([home.examined(artifact) for artifact in judged])
        shown.append(_map_of(rows))
    return shown


def score_table(scores: pa.Table) -> str:
    """The scores of one benchmark as a Markdown table, in percent."""
    rows = scores.to_pylist()
    thresholds = list(dict.fromkeys(row["threshold_km"] for row in rows))
    lines = [
        "| method | " + " | ".join(f"{threshold:g} km" for threshold in thresholds) + " |",
        "|---" * (len(thresholds) + 1) + "|",
    ]
    for method in dict.fromkeys(row["method"] for row in rows):
        found = {row["threshold_km"]: row["accuracy"] for row in rows if row["method"] == method}
        lines.append(f"| {method} | " + " | ".join(f"{100 * found[threshold]:.1f}" for threshold in thresholds) + " |")
    return "\n".join(lines)


def census_table(rows: pa.Table) -> str:
    """What was kept of each set and what was rejected, as Markdown tables."""
    counted = rows.to_pylist()
    sets = sorted({row["set_name"] for row in counted if row["set_name"] is not None})
    of = {(row["set_name"], row["stage"]): row["count"] for row in counted if row["reason"] is None}
    lost: Counter[str | None] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    for row in counted:
        if row["reason"] is not None:
            lost[row["set_name"]] += row["count"]
            reasons[row["stage"], row["reason"]] += row["count"]
    kept = [(name, of.get((name, "catalogue"), 0), of.get((name, "decode"), 0), lost[name]) for name in sets]
    unknown = [("not yet in a set", 0, 0, lost[None])] if lost[None] else []
    text = _markdown(("set", "photographs", "decoded", "rejected"), [*kept, *unknown])
    if reasons:
        found = [(stage, reason, count) for (stage, reason), count in reasons.most_common()]
        text += "\n\n" + _markdown(("stage", "reason", "rejected"), found)
    return text


def leakage_table(rows: pa.Table) -> str:
    """Which sets share images with which, as a Markdown table."""
    shared: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows.to_pylist():
        if row["images"]:
            shared.setdefault((row["set_name"], row["other_set"]), {})[row["kind"]] = row["images"]
    if not shared:
        return "No set shares an image with another."
    found = [(*pair, kinds.get("byte", 0), kinds.get("near", 0)) for pair, kinds in sorted(shared.items())]
    return _markdown(("images of", "with a duplicate in", "byte-equal", "near-equal"), found)


def group_table(rows: pa.Table) -> str:
    """The largest groups of duplicates, as a Markdown table."""
    if not rows.num_rows:
        return "No image is there twice."
    groups = rows.group_by("group").aggregate([([], "count_all"), ("set_name", "distinct")])
    largest = groups.sort_by([("count_all", "descending"), ("group", "ascending")]).slice(0, SHOWN).to_pylist()
    found = [(row["group"], row["count_all"], ", ".join(sorted(row["set_name_distinct"]))) for row in largest]
    return _markdown(("largest groups of duplicates", "images", "sets"), found)


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += [
        "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) + " |" for row in rows
    ]
    return "\n".join(lines)


def _pictures(rows: pa.Table, column: str) -> str:
    shown = []
    for row in rows.slice(0, SHOWN).select([column]).to_pylist():
        with Image.open(io.BytesIO(row[column])) as opened:
            picture = opened.convert("P") if column == "class_map_png" else opened.convert("RGB")
        if column == "class_map_png":
            picture.putpalette(_class_colours())
            picture = picture.convert("RGB")
        picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        shown.append(_embedded(picture, "thumbnail"))
    credits = rows.slice(0, SHOWN)["credit"].to_pylist() if "credit" in rows.column_names else []
    named = list(dict.fromkeys(credit for credit in credits if credit))
    return " ".join(shown) + (f"\n\nPhotographs: {'; '.join(named)}" if named else "")


def _map_of(rows: pa.Table) -> str:
    return _embedded(world_map(rows["lat_deg"].to_pylist(), rows["lon_deg"].to_pylist()), "where the rows lie")


def world_map(lats_deg: Sequence[float | None], lons_deg: Sequence[float | None]) -> Image.Image:
    """Points on a plain map of the world, longitude across and latitude down; nulls are left out."""
    width, height = MAP_SIZE
    picture = Image.new("RGB", MAP_SIZE, (244, 246, 248))
    for degree in range(-150, 180, 30):
        _line(picture, ((degree + 180) / 360 * width, 0, (degree + 180) / 360 * width, height))
        if abs(degree) < 90:
            _line(picture, (0, (90 - degree) / 180 * height, width, (90 - degree) / 180 * height))
    for lat_deg, lon_deg in zip(lats_deg, lons_deg, strict=True):
        if lat_deg is not None and lon_deg is not None:
            x, y = (lon_deg + 180) / 360 * (width - 1), (90 - lat_deg) / 180 * (height - 1)
            picture.paste((20, 90, 160), (int(x) - 1, int(y) - 1, int(x) + 2, int(y) + 2))
    return picture


def curve_preview(rows: pa.Table) -> str:
    """Loss by step as a picture, with what it came from and to."""
    width, height = 480, 200
    picture = Image.new("RGB", (width, height), (255, 255, 255))
    points = {
        split: [(row["step"], row["loss"]) for row in rows.to_pylist() if row["split"] == split]
        for split in ("train", "holdout")
    }
    every = [point for found in points.values() for point in found]
    if not every:
        return ""
    last = max(1, max(step for step, _ in every))
    low, high = min(loss for _, loss in every), max(loss for _, loss in every)
    for split, colour in (("train", (150, 170, 190)), ("holdout", (190, 60, 30))):
        placed = [
            (step / last * (width - 8) + 4, height - 4 - (loss - low) / max(high - low, 1e-9) * (height - 8))
            for step, loss in points[split]
        ]
        for x, y in placed:
            picture.paste(colour, (int(x) - 1, int(y) - 1, int(x) + 2, int(y) + 2))
    return (
        f"{_embedded(picture, 'loss by step')}\n\nLoss from {high:.3g} to {low:.3g} over {last} steps (grey: "
        "training, red: held out)."
    )


def _line(picture: Image.Image, ends: tuple[float, float, float, float]) -> None:
    x0, y0, x1, y1 = (int(value) for value in ends)
    picture.paste((222, 226, 230), (x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)))


def _class_colours() -> list[int]:
    return [
        value
        for number in range(256)
        for value in ((number * 67) % 256, (number * 113 + 40) % 256, (number * 29 + 90) % 256)
    ]


def _embedded(picture: Image.Image, words: str) -> str:
    sink = io.BytesIO()
    picture.save(sink, "PNG", optimize=True)
    return f"![{words}](data:image/png;base64,{base64.b64encode(sink.getvalue()).decode()})"


_PREVIEWS: dict[str, Callable[[pa.Table], str]] = {
    "census": census_table,
    "leakage": leakage_table,
    "duplicates": group_table,
    "geocells": _map_of,
    "predictions": _map_of,
    "training_curves": curve_preview,
    "scores": score_table,
}
"""How a table is shown; a table with an entry neither here nor in _PICTURES has no preview."""
_PICTURES = {"images": "jpeg", "segmentations": "class_map_png"}
"""Tables of which the first rows are shown, by the column that holds their pictures."""
