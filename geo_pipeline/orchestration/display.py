"""What the Dagster UI shows of a materialization.

Row counts, notes, and previews as Markdown with embedded pictures.
"""

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
from PIL import Image

from geo_pipeline.orchestration.stage import Made, Stage
from geo_pipeline.orchestration.storage import Home
from geo_pipeline.profiles.profile import Profile

THUMBNAIL_PX = 96
SHOWN = 8
MAP_SIZE = (720, 360)


def event_metadata(profile: Profile, stage: Stage, home: Home, made: Made, rows: int, reused: bool) -> dict[str, Any]:
    """The metadata of one materialization event."""
    metadata: dict[str, Any] = {"dagster/row_count": rows, "reused": dg.MetadataValue.bool(reused)}
    for name, value in made.notes.items():
        if isinstance(value, bool | int | float | str):
            metadata[name] = value
    preview = _preview(stage, home, made.key)
    if preview:
        metadata["preview"] = dg.MetadataValue.md(preview)
    main = stage.outputs(made.key)[0]
    metadata["place"] = dg.MetadataValue.path(str(home.place(main).relative_to(home.root)))
    if main.kind == "report":
        metadata["report"] = dg.MetadataValue.path(str(home.place(main) / "index.html"))
    return metadata


def _preview(stage: Stage, home: Home, key: str) -> str:
    for artifact in stage.outputs(key):
        draw = _PREVIEWS.get(artifact.name) if artifact.kind == "table" else None
        if draw is not None:
            return draw(home.examined(artifact))
    return ""


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


def _curve(rows: pa.Table) -> str:
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
    "images": lambda rows: _pictures(rows, "jpeg"),
    "segmentations": lambda rows: _pictures(rows, "class_map_png"),
    "geocells": _map_of,
    "predictions": _map_of,
    "training_curves": _curve,
    "scores": score_table,
}
"""How a table is shown; a table without an entry has no preview."""
