"""What `geo-pipeline sample measure` computes."""

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from geo_pipeline.commands.measure_sample import (
    ROUTERS,
    PlanetMarks,
    RouterMark,
    examine_planet,
    planet_tables,
    segmentation_iou,
)
from geo_pipeline.contracts.contract import load
from geo_pipeline.home.home import Home
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.profiles.sample import sample
from geo_pipeline.sample_world.scene import draw
from geo_pipeline.sample_world.source import PlanetSource
from geo_pipeline.scoring.judged import judge

BENCHMARK = "planet_mixed"
PROFILE = replace(sample(3), benchmarks=(BENCHMARK,), reference_shards=1)
PLACES = [(10.0, 20.0), (-5.0, 100.0), (40.0, -70.0), (0.5, 0.5)]


def _rows(name, rows):
    return pa.Table.from_pylist(rows, schema=load(name).arrow_schema)


def _png(class_map):
    picture = io.BytesIO()
    Image.fromarray(class_map).save(picture, "PNG")
    return picture.getvalue()


@pytest.fixture
def home(tmp_path):
    """Four queries: retrieval right on the first two, generation on the others, the router on three of them."""
    home = Home(tmp_path)
    planet = PlanetSource(PROFILE.seed).planet
    ids = [f"q{number}" for number in range(4)]
    catalogue = [
        {
            "image_id": image_id, "locator": str(row), "author": f"a{row}", "lat_deg": lat, "lon_deg": lon,
            "set_name": BENCHMARK, "shard": BENCHMARK, "place_token": "478b5c",
        }
        for row, (image_id, (lat, lon)) in enumerate(zip(ids, PLACES, strict=True))
    ]  # fmt: skip
    truth = _rows("catalogue", catalogue)
    home.write_table("catalogue", BENCHMARK, truth, "f")
    for key in ("reference-000", "router_queries"):
        home.write_table("catalogue", key, load("catalogue").empty(), "f")
        home.write_table("segmentations", key, load("segmentations").empty(), "f")
    maps = [draw(planet, planet.photographs[row]).class_map for row in range(4)]
    segmentations = [
        {"image_id": image_id, "class_map_png": _png(each), "width": 64, "height": 64}
        for image_id, each in zip(ids, maps, strict=True)
    ]
    home.write_table("segmentations", BENCHMARK, _rows("segmentations", segmentations), "f")
    answers = []
    right = {"retrieval": {0, 1}, "generation": {2, 3}, "router": {0, 1, 2}}
    for name in METHODS:
        rows = []
        for row, image_id in reversed(list(enumerate(ids))):
            lat, lon = PLACES[row] if row in right.get(name, set()) else (-PLACES[row][0], PLACES[row][1] / 2 + 90)
            known = {"lat_deg": lat, "lon_deg": lon}
            if name == "generation" and row == 0:
                known = {"failure": "no_coordinate"}
            rows.append({"image_id": image_id, "method": name, "failure": None, **known})
        answers += rows
    home.write_table("judged", BENCHMARK, judge(BENCHMARK, _rows("predictions", answers), truth, METHODS), "f")
    return home


def test_marks_follow_from_the_errors_whatever_the_order_of_rows(home):
    marks = examine_planet(PROFILE, home)
    assert (marks.queries, marks.retrieval_better, marks.generation_better) == (4, 0.5, 0.5)
    assert (marks.retrieval, marks.generation, marks.oracle) == pytest.approx((50.0, 50.0, 100.0))
    assert marks.gap == pytest.approx(50.0)
    assert marks.routers["router"].closed == pytest.approx(0.5)
    assert marks.routers["router"].gain == pytest.approx(25.0)


def test_exact_maps_have_iou_one_and_a_wrong_map_costs(home):
    assert segmentation_iou(PROFILE, home)[0] == pytest.approx(1.0)
    rows = home.read_table("segmentations", BENCHMARK).to_pylist()
    rows[0]["class_map_png"] = _png(np.zeros((64, 64), np.uint8))
    home.write_table("segmentations", BENCHMARK, _rows("segmentations", rows), "g")
    assert segmentation_iou(PROFILE, home)[0] < 0.99


def test_the_tables_show_every_seed_and_the_mean():
    mark = RouterMark(47.0, 2.0, 1.0, 3.0, 0.4)
    one = PlanetMarks(
        1, 10, 0.6, 0.4, 45.0, 30.0, 50.0, 30.0, 1.0, 0.9, {"sky": (0.9, 0.5)}, dict.fromkeys(ROUTERS, mark)
    )
    text = planet_tables([one, replace(one, seed=2, routers=dict.fromkeys(ROUTERS, replace(mark, closed=0.2)))])
    assert "| 1 | 10 | 60% | 40% |" in text
    assert "| mean | 30% |" in text
    assert "+2.00 [+1.00, +3.00], 40%" in text
