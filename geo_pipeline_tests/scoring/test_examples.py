import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from geo_pipeline.contracts.contract import load
from geo_pipeline.scoring.accuracy import ScoreError
from geo_pipeline.scoring.examples import choose_examples, nearest_references


def _judged(rows, benchmark="b", method="geosurge") -> pl.DataFrame:
    """rows: (image_id, author, truth longitude on the equator, error in km)."""
    columns = {name: [] for name in load("judged").arrow_schema.names}
    for image_id, author, lon, error in rows:
        values = {
            "benchmark": benchmark,
            "method": method,
            "image_id": image_id,
            "author": author,
            "truth_lat_deg": 0.0,
            "truth_lon_deg": lon,
            "lat_deg": None if np.isinf(error) else 0.0,
            "lon_deg": None if np.isinf(error) else lon,
            "error_km": error,
            "failure": "no" if np.isinf(error) else None,
            "chosen": None,
            "score": None,
        }
        for name, column in columns.items():
            column.append(values[name])
    return pl.DataFrame(pa.table(columns, load("judged").arrow_schema))


def _chosen(rows, count):
    (found,) = choose_examples(_judged(rows), count)
    return found


def test_successes_are_the_smallest_errors_of_other_authors_and_places():
    rows = [("a", "x", 0.0, 0.1), ("b", "x", 90.0, 0.2), ("c", "y", 1.0, 0.3), ("d", "z", 60.0, 0.4)]
    assert _chosen(rows, 2).successes == ("a", "d")


def test_bob_and_bob_are_one_author():
    rows = [("a", "Bob", 0.0, 0.1), ("b", "bob ", 90.0, 0.2), ("c", "Ann", 60.0, 0.3), ("d", "unknown", 30.0, 0.4)]
    assert _chosen(rows, 2).successes == ("a", "c")
    assert _chosen([*rows, ("e", "Unknown", 120.0, 0.5)], 4).successes == ("a", "c", "d", "e")


def test_where_there_are_not_enough_first_the_distance_is_given_up_then_the_authors():
    rows = [("a", "x", 0.0, 0.1), ("b", "x", 90.0, 0.2), ("c", "y", 1.0, 0.3)]
    assert _chosen(rows, 2).successes == ("a", "c")
    assert _chosen(rows, 3).successes == ("a", "b", "c")
    assert _chosen(rows, 9).successes == ("a", "b", "c")


def test_unknown_authors_are_different_ones():
    rows = [("a", None, 0.0, 0.1), ("b", None, 90.0, 0.2), ("c", "y", 60.0, 0.3)]
    assert _chosen(rows, 2).successes == ("a", "b")


def test_failures_are_spread_over_their_errors_and_not_the_worst_alone():
    rows = [(f"i{n:02d}", f"author {n}", 10.0 * n, 300.0 + 500 * n) for n in range(30)]
    assert _chosen(rows, 3).failures == ("i05", "i15", "i25")
    assert _chosen(rows[:1], 3).failures == ("i00",)


def test_bounds_belong_to_the_nearer_kind_and_no_answer_is_no_example():
    rows = [("a", "x", 0.0, 25.0), ("b", "y", 90.0, 25.1), ("c", "z", 60.0, 200.0), ("d", "w", 30.0, 200.1)]
    found = _chosen([*rows, ("e", "v", 150.0, np.inf)], 5)
    assert (found.successes, found.failures) == (("a",), ("d",))


def test_the_order_of_the_rows_does_not_matter_and_ties_are_broken_by_image():
    rows = [(f"i{n}", f"author {n % 4}", 37.0 * n % 180, float(1 + n % 3)) for n in range(12)]
    rows += [(f"j{n}", f"author {n}", 20.0 * n, 1000.0) for n in range(6)]
    assert _chosen(rows, 4) == _chosen(rows[::-1], 4)
    assert _chosen([("b", "x", 0.0, 1.0), ("a", "y", 90.0, 1.0)], 1).successes == ("a",)


def test_only_the_method_asked_for_counts_and_every_benchmark_is_there():
    table = pl.concat(
        [
            _judged([("a", "x", 0.0, 1.0)]),
            _judged([("a", "x", 0.0, 9000.0)], method="retrieval"),
            _judged([("b", "x", 0.0, 9000.0)], benchmark="c", method="retrieval"),
        ]
    )
    first, second = choose_examples(table, 2)
    assert (first.benchmark, first.successes, first.failures) == ("b", ("a",), ())
    assert (second.benchmark, second.successes, second.failures) == ("c", (), ())
    assert choose_examples(table, 2, method="retrieval")[0].failures == ("a",)


def test_the_reference_is_that_of_the_true_cell_nearest_to_the_predicted_place():
    found = nearest_references(
        [0.0], [0.0], [0.0], [30.0], [7], [0.0, 0.0, 0.0, 0.0], [-1.0, 2.0, 29.0, 0.1], [7, 7, 8, 8]
    )
    assert found.row.tolist() == [1]
    assert found.in_cell.tolist() == [True]
    assert found.to_prediction_km[0] == pytest.approx(28 * 111.195, rel=1e-4)
    assert found.to_truth_km[0] == pytest.approx(2 * 111.195, rel=1e-4)
    assert found.nearest_to_truth_km[0] == pytest.approx(0.1 * 111.195, rel=1e-4)


@pytest.mark.parametrize("cell", [7, -1])
def test_without_a_reference_in_the_true_cell_it_is_the_one_nearest_to_the_true_place(cell):
    found = nearest_references([0.0], [179.9], [0.0], [30.0], [cell], [0.0, 0.0], [170.0, -179.0], [-1, 8])
    assert found.row.tolist() == [1]
    assert found.in_cell.tolist() == [False]
    assert found.to_truth_km[0] == found.nearest_to_truth_km[0] == pytest.approx(1.1 * 111.195, rel=1e-4)


def test_arrays_that_do_not_match_are_refused():
    with pytest.raises(ScoreError, match="0 reference images"):
        nearest_references([0.0], [0.0], [0.0], [0.0], [1], [], [], [])
    with pytest.raises(ScoreError, match="1 true places, 2 predictions"):
        nearest_references([0.0], [0.0], [0.0, 1.0], [0.0, 1.0], [1], [0.0], [0.0], [1])
    with pytest.raises(ScoreError, match="2 cells for 1 reference images"):
        nearest_references([0.0], [0.0], [0.0], [0.0], [1], [0.0], [0.0], [1, 2])
