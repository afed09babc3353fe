"""Predictions in the true cell, beside it, or neither."""

import numpy as np
import polars as pl
import pyarrow as pa

from geo_pipeline.earth.cells import cell_centres, cell_ids
from geo_pipeline.earth.regions import adjoining
from geo_pipeline.scoring.cell_hits import CellHits, cell_hits, judged_cell_hits
from geo_pipeline.scoring.judged import judge
from geo_pipeline.scoring.report.tables import cell_hits_table
from geo_pipeline_tests.scoring.report.drawn_report import drawn_inputs


def _cells(level=4, left_out=None):
    lat, lon = (each.reshape(-1) for each in np.meshgrid(np.linspace(-89, 89, 90), np.linspace(-179, 179, 180)))
    cells = np.unique(cell_ids(lat, lon, level))
    return cells if left_out is None else cells[cells != left_out]


def test_right_beside_and_neither_are_told_apart_and_nobody_is_left_out():
    cells = _cells()
    true = cell_ids([10.0], [20.0], 4)
    beside = cells[adjoining(cells, np.repeat(true, len(cells)))]
    assert len(beside) == 8
    places = cell_centres(np.concatenate([true, beside[:2], cell_ids([-40.0], [-120.0], 4)]))
    lat, lon = (np.append(each, np.nan) for each in places)
    found = cell_hits(cells, lat, lon, np.full(5, 10.0), np.full(5, 20.0))
    assert found == CellHits(count=5, right=1, adjoining=2, uncovered=0)
    assert (found.neither, found.wrong_that_adjoin) == (2, 0.5)


def test_a_true_place_in_no_cell_is_neither_even_when_the_prediction_is_there_too():
    hole = cell_ids([10.0], [20.0], 4)
    found = cell_hits(_cells(left_out=hole[0]), *(np.array([value]) for value in (10.0, 20.0, 10.0, 20.0)))
    assert found == CellHits(count=1, right=0, adjoining=0, uncovered=1)


def test_without_a_wrong_cell_there_is_no_share():
    place = [np.array([value]) for value in (10.0, 20.0, 10.0, 20.0)]
    assert cell_hits(_cells(), *place).wrong_that_adjoin is None


def test_methods_are_counted_one_by_one_on_each_benchmark():
    truth = pa.table({"image_id": ["a", "b"], "author": [None, None], "lat_deg": [10.0, 10.0], "lon_deg": [20.0, 20.0]})
    rows = [("a", "cells", 10.0, 20.0), ("b", "cells", 60.0, 20.0), ("a", "other", 10.0, 20.0)]
    columns = dict(zip(("image_id", "method", "lat_deg", "lon_deg"), map(list, zip(*rows, strict=True)), strict=True))
    nulls = {name: pa.nulls(3, pa.string()) for name in ("failure", "chosen")}
    predictions = pa.table({**columns, **nulls, "score": pa.nulls(3, pa.float64())})
    judged = pa.concat_tables([judge(name, predictions, truth, ("cells", "other")) for name in ("first", "second")])
    found = judged_cell_hits(pl.DataFrame(judged), _cells(), ["cells", "absent"])
    assert found == {(name, "cells"): CellHits(2, 1, 0, 0) for name in ("first", "second")}


def test_the_report_shows_shares_of_all_images():
    table = cell_hits_table(drawn_inputs(), "planet_mixed")
    assert table.rows == (("GeoSURGE", "30.0", "22.5", "47.5", "32.1", "3"),)
    assert cell_hits_table(drawn_inputs(), "planet_remote").rows == ()
