import json
import unicodedata

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geo_pipeline.earth.thresholds import THRESHOLDS_KM
from geo_pipeline.imagery.metadata.read import SwappedColumnsError
from geo_pipeline.imagery.source import SourceError
from geo_pipeline.imagery.stores.files import IMAGE_SUFFIXES
from geo_pipeline.scoring.prediction_files import FileError, pair_files, score_files

TRUTH = "IMG_ID,AUTHOR,LAT,LON\na_1@N00.jpg,ann,10,20\nb_2@N00.jpg,ann,-30,40\nc_3@N00.jpg,bob,50,-60\n"


@pytest.fixture
def write(tmp_path):
    def _write(name, text, encoding="utf-8"):
        path = tmp_path / name
        path.write_text(text, encoding=encoding)
        return path

    return _write


def _hits(score):
    return [round(score.accuracy[k] * score.count) for k in THRESHOLDS_KM]


def test_an_isn_like_file_with_another_order_and_a_summary(write):
    predictions = write(
        "p.csv",
        "img_id,gt_lat,predicted_lat,gt_long,predicted_long,great_circle_distance\n"
        "c_3@N00.jpg,50,50.1,-60,-60,11.1\na_1@N00.jpg,10,10,20,20,0\nb_2@N00.jpg,-30,30,40,40,6671.7\n\n"
        "street acc (1km),city acc (25km),region acc (200km),country acc (750km),continent acc (2500km),mean (km)\n"
        "0.333333,0.666667,0.666667,0.666667,0.666667,2228.0\n",
    )
    score = score_files(predictions, write("t.csv", TRUTH))
    assert _hits(score) == [1, 2, 2, 2, 2]
    assert (score.count, score.failures, score.ignored_rows) == (3, 0, 2)


def test_every_query_is_in_the_denominator(write):
    predictions = write("p.csv", 'image_id,lat_deg,lon_deg\na_1@N00.jpg,10,20\nb_2@N00.jpg,"Unknown",\n')
    score = score_files(predictions, write("t.csv", TRUTH))
    assert (score.count, score.failures) == (3, 2)
    assert score.accuracy[2500.0] == 1 / 3
    assert pair_files(predictions, write("t.csv", TRUTH)).missing == 1


@pytest.mark.parametrize("failed", ["", "nan", "None", "null", "Unknown", "inf", "12°N"])
def test_what_is_no_number_is_a_failure_and_never_a_coordinate(write, failed):
    text = f"id,lat,lon\na_1@N00,{failed},20\nb_2@N00,-30,40\nc_3@N00,50,{failed}\n"
    score = score_files(write("p.csv", text), write("t.csv", TRUTH))
    assert (score.count, score.failures) == (3, 2)


def test_ids_match_with_and_without_their_ending_also_when_it_was_added_twice(write):
    text = "filename,latitude,longitude\na_1@N00,10,20\nb_2@N00.jpg.jpg,-30,40\nc_3@N00.JPG,50,-60\n"
    assert _hits(score_files(write("p.csv", text), write("t.csv", TRUTH))) == [3] * 5


@pytest.mark.parametrize("truth_form", ["NFC", "NFD"])
def test_composed_and_decomposed_letters_are_one_id(write, truth_form):
    other = "NFD" if truth_form == "NFC" else "NFC"
    truth_id, predicted = (unicodedata.normalize(form, "Müller é") for form in (truth_form, other))
    for ending in ("", ".jpg"):
        truth = write("t.csv", f"id,lat,lon\n{truth_id}{ending},1,2\nb,1,2\n")
        score = score_files(write("p.csv", f"id,lat,lon\n{predicted},1,2\nb,1,2\n"), truth)
        assert score.accuracy[1.0] == 1.0
    both = write("both.csv", f"id,lat,lon\n{truth_id},1,2\n{predicted},50,60\n")
    assert score_files(both, both).accuracy[1.0] == 1.0, "two ids that a file tells apart stay two"


def test_ids_that_differ_only_in_their_ending_are_matched_as_they_are(write):
    truth = write("t.csv", "id,lat,lon\nx.jpg,10,20\nx.png,-30,40\n")
    assert _hits(score_files(write("p.csv", "id,lat,lon\nx.png,-30,40\nx.jpg,10,20\n"), truth)) == [2] * 5


def test_ids_may_be_paths_and_longitude_may_stand_first(write):
    truth = write("t.tsv", "IMG_ID\tLON\tLAT\n45/77/3228.jpg\t20\t10\n")
    predictions = write("p.csv", "img_id;pred_lng;pred_lat\n45/77/3228.jpg;20;10\n")
    assert _hits(score_files(predictions, truth)) == [1] * 5


def test_a_byte_order_mark_and_a_quoted_line_break_are_read(write):
    truth = write("t.csv", 'id,address,lat,lon\r\nx,"Main Street,\nTown",10,20\r\n', "utf-8-sig")
    predictions = write("p.csv", "id,lat,lon\nx,10,20\n", "utf-8-sig")
    assert _hits(score_files(predictions, truth)) == [1] * 5


def test_the_predicted_columns_win_over_others_and_the_true_ones_in_the_truth(write):
    both = write("both.csv", "id,lat,gt_lat,predicted_lat,lon,gt_lon,predicted_lon\nx,1,10,10.1,1,20,20\n")
    paired = pair_files(both, both)
    assert (paired.lat_deg[0], paired.truth_lat_deg[0]) == (10.1, 10.0)


def test_authors_cluster_the_interval_and_an_empty_one_is_unknown(write):
    truth = write("t.csv", "id,author,lat,lon\na,ann,1,1\nb,,2,2\n")
    predictions = write("p.csv", "id,lat,lon\na,1,1\nb,2,2\n")
    assert pair_files(predictions, truth).authors == ("ann", None)
    assert pair_files(predictions, write("u.csv", "id,lat,lon\na,1,1\nb,2,2\n")).authors is None


def test_unknown_columns_are_listed_and_a_mapping_names_them(write):
    truth, predictions = write("t.csv", TRUTH), write("p.csv", "key,y,x\na_1@N00,10,20\n")
    with pytest.raises(FileError, match=r"found the columns key, y, x; .* name them: --columns id=COLUMN"):
        score_files(predictions, truth)
    mapping = {"predictions.image_id": "key", "predictions.lat_deg": "y", "predictions.lon_deg": "x"}
    assert _hits(score_files(predictions, truth, mapping=mapping)) == [1] * 5
    with pytest.raises(FileError, match="expected 'z', which was named for lat_deg"):
        score_files(predictions, truth, mapping={**mapping, "predictions.lat_deg": "z"})
    with pytest.raises(FileError, match=r"found mapping keys latitude; expected predictions\.image_id"):
        score_files(predictions, truth, mapping={"latitude": "y"})


def test_a_mapping_reads_the_truth_too(write):
    truth = write("t.csv", "key,who,y,x\na,ann,10,20\n")
    mapping = {"truth.image_id": "key", "truth.lat_deg": "y", "truth.lon_deg": "x", "truth.author": "who"}
    assert pair_files(write("p.csv", "id,lat,lon\na,10,20\n"), truth, mapping).authors == ("ann",)


@pytest.mark.parametrize("role", ["truth", "predictions"])
def test_swapped_headers_are_refused(write, role):
    swapped, right = "id,LON,LAT\nx,10,120\n", "id,LAT,LON\nx,10,120\n"
    truth = write("t.csv", swapped if role == "truth" else right)
    predictions = write("p.csv", swapped if role == "predictions" else right)
    with pytest.raises(SwappedColumnsError, match="swapped"):
        score_files(predictions, truth)


@pytest.mark.parametrize(
    ("truth", "predictions", "said"),
    [
        ("id,lat,lon\na,1,2\na,1,2\n", "id,lat,lon\na,1,2\n", "repeated ids"),
        ("id,lat,lon\na,1,2\n", "id,lat,lon\na.png,1,2\na.jpg,3,4\n", r"two predictions for 'a.jpg' .*lines 2 and 3"),
        ("id,lat,lon\na,1,2\n", "id,lat,lon\nb,1,2\n", "no prediction in"),
        ("id,lat,lon\na,1,2\nb,,2\n", "id,lat,lon\na,1,2\n", r"1 of 2 rows without a coordinate .*line 3"),
        ("id,lat,lon\na,1,2\n\nb,,\n", "id,lat,lon\na,1,2\n", r"1 of 2 rows without a coordinate .*line 4"),
        ("id,lat,lon\na,1,2\n", "", r"found the columns \(none\)"),
        ("id,lat,lon\na,1,2\n", "id,lat,lon\n", "no rows"),
        ("id,lat,LAT,lon\na,1,1,2\n", "id,lat,lon\na,1,2\n", "the columns lat and LAT; expected one"),
        ("id,lat,lon\na,1,200\n", "id,lat,lon\na,1,2\n", "beyond 180 degrees"),
    ],
)
def test_what_cannot_be_scored_says_why(write, truth, predictions, said):
    with pytest.raises(ValueError, match=said):
        score_files(write("p.csv", predictions), write("t.csv", truth))


def test_rows_after_a_blank_line_are_kept_unless_they_open_like_a_summary(write):
    predictions = write("p.csv", "id,lat,lon\na,1,2\n\nb,3,4\n")
    score = score_files(
        predictions, write("t.csv", "id,lat,lon\na,1,2\n\nb,3,4\n\nmean,city acc,region acc\n0.4,0.5,0.5\n")
    )
    assert (score.count, score.failures, score.ignored_rows) == (2, 0, 2)


def test_a_missing_or_binary_file_is_one_clear_error(write, tmp_path):
    truth = write("t.csv", TRUTH)
    with pytest.raises(SourceError, match="Check the path"):
        score_files(tmp_path / "absent.csv", truth)
    (tmp_path / "image.csv").write_bytes(b"\xff\xd8\xff\xe0 no text")
    with pytest.raises(FileError, match="found the columns"):
        score_files(tmp_path / "image.csv", truth)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("image_id;lat;lon\n1;48,1;11,5\n2;-33,9;151,2\n", "utf-8"),
        ("image_id|lat|lon\n1|48.1|11.5\n2|\u221233.9|151.2\n", "utf-8"),
        ("sep=;\nimage_id;lat;lon\n1;48.1;11.5\n2;-33.9;151.2\n", "utf-16"),
        ('image_id,lat,lon\n1,"48,1",11.5\n2,-33.9,+1.512e2\nimage_id,lat,lon\n', "utf-8-sig"),
        ('{"image_id": 1, "lat": 48.1, "lon": "11,5"}\n{"image_id": "2", "lon": 151.2, "lat": -33.9}\n', "utf-8"),
    ],
)
def test_every_dialect_that_a_run_reads_is_scored(write, text, encoding):
    truth = write("t.csv", "image_id,lat,lon\n1,48.1,11.5\n2,-33.9,151.2\n")
    for score in (
        score_files(write("p.csv", text, encoding), truth),
        score_files(truth, write("p.csv", text, encoding)),
    ):
        assert _hits(score) == [2] * 5
        assert (score.failures, score.remarks) == (0, ())


def test_parquet_and_json_of_a_run_are_scored(write, tmp_path):
    rows = [
        {"image_id": "a", "method": "m", "lat_deg": 10.0, "lon_deg": 20.0, "candidate_ids": ["r"]},
        {"image_id": "b", "method": "m", "lat_deg": None, "lon_deg": None, "candidate_ids": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    paths = [
        tmp_path / "p.parquet",
        write("p.jsonl", "\n".join(map(json.dumps, rows))),
        write("p.json", json.dumps(rows, indent=1)),
    ]
    for path in paths:
        score = score_files(path, write("t.csv", "id,lat,lon\na,10,20\nb,1,2\n"))
        assert (score.count, score.failures, score.unreadable_rows, score.accuracy[1.0]) == (2, 1, 0, 0.5)


@pytest.mark.parametrize("cell", ["4_8.1", "48.1\u00b0", "33.9 S", "1e999", "0x10", "Unknown"])
def test_a_cell_that_is_no_number_is_a_failure_and_shown(write, cell):
    predictions = write("p.csv", f"image_id,lat,lon\n2,1,1\n1,{cell},11.5\n")
    score = score_files(predictions, write("t.csv", "image_id,lat,lon\n1,48.1,11.5\n2,1,1\n"))
    assert (score.failures, score.unreadable_rows) == (1, 1)
    assert score.remarks == (f"1 prediction cannot be read and counts as wrong (first: line 3, lat is {cell!r})",)


def test_an_empty_prediction_is_a_failure_without_a_remark(write):
    score = score_files(write("p.csv", "id,lat,lon\na,,\n"), write("t.csv", "id,lat,lon\na,1,2\n"))
    assert (score.failures, score.unreadable_rows, score.remarks) == (1, 0, ())


def test_rows_that_belong_to_no_query_are_counted_and_shown(write):
    predictions = write("p.csv", "image_id,lat,lon\n1,48.1,11.5\n1234,1,1\nb,2,2\n")
    score = score_files(predictions, write("t.csv", "image_id,lat,lon\n0001,48.1,11.5\n1234,1,1\nb.webp,2,2\n"))
    assert (score.count, score.failures, score.ignored_rows) == (3, 1, 1)
    (remark,) = score.remarks
    assert remark == ("1 row of the predictions belongs to no query (first: '1' in line 2, beside '0001' of the truth)")


@pytest.mark.parametrize("ending", IMAGE_SUFFIXES)
def test_every_ending_of_a_photograph_may_be_left_out(write, ending):
    predictions = write("p.csv", f"id,lat,lon\nx{ending.upper()},1,2\n")
    assert _hits(score_files(predictions, write("t.csv", "id,lat,lon\nx,1,2\n"))) == [1] * 5


def test_the_distance_is_the_users_choice(write):
    truth, predictions = write("t.csv", "id,lat,lon\na,0,0\n"), write("p.csv", "id,lat,lon\na,0,1\n")
    sphere, ellipsoid = score_files(predictions, truth), score_files(predictions, truth, "wgs84")
    assert (sphere.distance, ellipsoid.distance) == ("great_circle", "wgs84")
    assert sphere.median_km == pytest.approx(111.1949, abs=1e-4)
    assert ellipsoid.median_km == pytest.approx(111.3195, abs=1e-4)
    with pytest.raises(ValueError, match="expected great_circle or wgs84"):
        score_files(predictions, truth, "flat")


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "published"),
    [("isns", ["16.9", "43.0", "51.9", "66.7", "80.2"]), ("base_l_m", ["13.5", "36.3", "50.6", "64.1", "79.7"])],
)
def test_the_public_predictions_give_their_published_row(shared_dir, name, published):
    folder = shared_dir / "data/im2gps"
    score = score_files(folder / f"predictions_{name}.csv", folder / "ground_truth.csv")
    assert (score.count, score.failures, score.ignored_rows) == (237, 0, 2)
    assert [f"{100 * score.accuracy[k]:.1f}" for k in THRESHOLDS_KM] == published


@pytest.mark.shared_data
def test_a_predictions_file_serves_as_its_own_truth(shared_dir):
    path = shared_dir / "data/im2gps/predictions_isns.csv"
    assert score_files(path, path).count == 237


@pytest.mark.shared_data
def test_yfcc26k_ids_are_paths(shared_dir):
    path = shared_dir / "data/yfcc26k/ground_truth.csv"
    assert _hits(score_files(path, path)) == [25600] * 5
