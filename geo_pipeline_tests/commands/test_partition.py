"""`geo-pipeline partition` from a file of coordinates to the files it writes."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s2sphere
from PIL import Image
from typer.testing import CliRunner

from geo_pipeline.cli import app
from geo_pipeline.commands.partition import cells_table, partition_file, unusable_lines, write_partition
from geo_pipeline.earth.cell_numbers import ids_from_tokens
from geo_pipeline.earth.cells import cell_centres
from geo_pipeline.earth.hierarchy import Hierarchy
from geo_pipeline.earth.partition import PartitionConfig, build_hierarchy

COLUMNS = ["partition", "token", "level", "count", "lat_deg", "lon_deg", "parent_token"]
LIMITS = ("--tau-min", "4", "--tau-max", "60", "--tau-max", "20")


def _points(count=400, seed=0):
    rng = np.random.default_rng(seed)
    home = np.array([[48.8, 2.3], [-17.0, 179.99], [40.7, -74.0], [35.6, 139.7]])[rng.integers(0, 4, count)]
    lat, lon = (home + rng.normal(0, 0.5, home.shape)).T
    return lat.round(6), ((lon + 180) % 360 - 180).round(6)


@pytest.fixture
def points_csv(tmp_path):
    path = tmp_path / "points.csv"
    rows = [f"{lat},{lon}" for lat, lon in zip(*_points(), strict=True)]
    path.write_text("\n".join(["LAT,LON", *rows]) + "\n")
    return path


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(app, ["partition", *(str(word) for word in words)])


def test_the_files_hold_the_hierarchy(run, points_csv, tmp_path):
    out = tmp_path / "made" / "here"
    done = run(points_csv, *LIMITS, "--out", out)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in out.iterdir()) == ["cells.csv", "cells.parquet", "cells.png", "coverage.json"]
    hierarchy = build_hierarchy(*_points(), PartitionConfig(4, (60, 20)))
    cells = pq.read_table(out / "cells.parquet")
    assert cells.column_names == COLUMNS
    assert cells.schema.field("token").type == cells.schema.field("parent_token").type == pa.string()
    assert cells["count"].to_pylist() == [count for part in hierarchy.partitions for count in part.counts.tolist()]
    assert np.concatenate([part.lat_deg for part in hierarchy.partitions]).tolist() == cells["lat_deg"].to_pylist()
    with (out / "cells.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["token"] for row in read] == cells["token"].to_pylist()
    assert [row["parent_token"] or None for row in read] == cells["parent_token"].to_pylist()
    assert [float(row["lon_deg"]) for row in read] == cells["lon_deg"].to_pylist()
    assert json.loads((out / "coverage.json").read_text())["fingerprint"] == hierarchy.fingerprint()


def test_cells_are_ordered_and_lie_in_their_parents(points_csv):
    cells = cells_table(partition_file(str(points_csv), PartitionConfig(4, (60, 20, 10))).hierarchy).to_pylist()
    keys = [(row["partition"], int(ids_from_tokens([row["token"]])[0])) for row in cells]
    assert keys == sorted(set(keys))
    tokens_of = {number: {row["token"] for row in cells if row["partition"] == number} for number in range(3)}
    assert all(tokens_of.values())
    for row in cells:
        if row["partition"] == 0:
            assert row["parent_token"] is None
            continue
        assert row["parent_token"] in tokens_of[row["partition"] - 1]
        parent = s2sphere.CellId.from_token(row["parent_token"])
        assert parent.contains(s2sphere.CellId.from_token(row["token"]))


def test_a_row_that_cannot_be_used_is_counted_listed_and_told(run, points_csv, tmp_path):
    lines = points_csv.read_text().splitlines()
    wrong = {3: "nowhere,2.0", 50: "0,0", 51: "12.5,", 60: "91.5,120.0", 61: "-91.5,150.0", 70: "10,-200"}
    for number, line in wrong.items():
        lines[number - 1] = line
    points_csv.write_text("\n".join([*lines, ""]))
    out = tmp_path / "out"
    done = run(points_csv, *LIMITS, "--out", out)
    assert done.exit_code == 0, done.output
    assert "400 rows of points.csv, 394 coordinates used" in done.stdout
    assert "6 left out, listed in unusable.csv" in " ".join(done.stdout.split())
    coverage = json.loads((out / "coverage.json").read_text())
    assert (coverage["rows"], coverage["used"], coverage["unusable"]["count"]) == (400, 394, 6)
    expected = {"nan_coordinate": 2, "lat_out_of_range": 2, "lon_out_of_range": 1, "null_island": 1}
    assert coverage["unusable"]["reasons"] == expected
    assert [row["line"] for row in coverage["unusable"]["first"]] == list(wrong)
    with (out / "unusable.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert [int(row["line"]) for row in listed] == list(wrong)
    assert "nowhere" in listed[0]["detail"]
    assert all(row["total"] == 394 for row in coverage["partitions"])


def test_blank_lines_and_summary_rows_are_passed_over_and_counted(points_csv):
    points_csv.write_text(points_csv.read_text() + "\n\n")
    coverage = partition_file(str(points_csv), PartitionConfig(4, (60, 20))).coverage
    assert (coverage["rows"], coverage["used"]) == (400, 400)
    assert coverage["passed_over"]["blank"] == 2
    assert any("2 blank" in line for line in unusable_lines(coverage))


def test_coverage_counts_what_the_hierarchy_counts(points_csv):
    coverage = partition_file(str(points_csv), PartitionConfig(30, (150, 35))).coverage
    hierarchy = build_hierarchy(*_points(), PartitionConfig(30, (150, 35)))
    for row, part, built in zip(coverage["partitions"], hierarchy.partitions, hierarchy.built, strict=True):
        assert row["covered"] == int(part.counts.sum())
        assert row["covered"] + row["uncovered"] == row["total"] == 400
        assert row["covered_share"] == row["covered"] / 400
        assert (row["dropped_cells"], row["unsplittable_cells"]) == (built.dropped_cells, built.unsplittable_cells)
        assert row["levels"] == {"min": part.levels.min(), "max": part.levels.max()}
        assert row["largest_count"] == part.counts.max()
    assert coverage["partitions"][1]["dropped_cells"] > 0
    assert coverage["partitions"][1]["uncovered"] > 0


def test_parquet_and_other_names_give_the_same_cells(points_csv, tmp_path):
    lat, lon = _points()
    parquet = tmp_path / "points.parquet"
    pq.write_table(pa.table({"note": ["x"] * len(lat), "Longitude": lon, "Latitude": lat}), parquet)
    config = PartitionConfig(4, (60, 20))
    first, second = (partition_file(str(path), config).coverage for path in (points_csv, parquet))
    assert first["partitions"] == second["partitions"]
    assert first["fingerprint"] == second["fingerprint"]


def test_semantics_and_coordinate_are_passed_on(run, points_csv, tmp_path):
    out = tmp_path / "out"
    done = run(points_csv, *LIMITS, "--semantics", "isn", "--coordinate", "centre", "--out", out, "--json")
    assert done.exit_code == 0, done.output
    coverage, cells = json.loads(done.stdout), pq.read_table(out / "cells.parquet")
    assert (coverage["semantics"], coverage["coordinate"]) == ("isn", "centre")
    assert min(cells["level"].to_pylist()) >= 2
    assert min(cells["count"].to_pylist()) > 4
    centres = cell_centres(ids_from_tokens(cells["token"].to_pylist()))
    np.testing.assert_allclose(centres, [cells["lat_deg"].to_numpy(), cells["lon_deg"].to_numpy()], atol=1e-9)


def test_a_second_run_replaces_the_first_and_leaves_other_files(points_csv, tmp_path):
    config, out = PartitionConfig(4, (60, 20)), tmp_path / "out"
    bad = tmp_path / "bad.csv"
    bad.write_text(points_csv.read_text() + "north,east\n")
    assert "unusable.csv" in write_partition(partition_file(str(bad), config), out)
    (out / "mine.txt").write_text("kept")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write_partition(partition_file(str(points_csv), config), out)
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(before) - set(after) == {"unusable.csv"}
    assert after["mine.txt"] == b"kept"
    for name in ("cells.csv", "cells.parquet", "cells.png"):
        assert after[name] == before[name], "the same cells are the same bytes"


def test_a_run_that_fails_while_writing_leaves_the_last_result_as_it_was(points_csv, tmp_path):
    out = tmp_path / "out"
    found = partition_file(str(points_csv), PartitionConfig(4, (60, 20)))
    write_partition(found, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    found.coverage["partitions"][0]["covered_share"] = float("nan")  # JSON cannot say it: writing fails half-way
    with pytest.raises(ValueError, match="JSON"):
        write_partition(found, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tau-max", "20", "--tau-max", "60"), "never rises"),
        (("--tau-min", "0"), "tau_min is 0"),
        (("--tau-min", "10", "--tau-max", "5"), "smallest tau_max is 5"),
        (("--semantics", "planet"), "geosurge or isn"),
        (("--coordinate", "median"), "mean or centre"),
        (("--tau-min", "401", "--tau-max", "500"), "lower tau_min"),
    ],
)
def test_a_mistake_is_one_message_and_writes_nothing(run, points_csv, tmp_path, words, said):
    done = run(points_csv, *words, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert said in done.stderr
    assert "Traceback" not in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("LAT,LON\n", "found 0 rows and no usable coordinate"),
        ("LAT,LON\nx,y\n0,0\n", "found 2 rows and no usable coordinate"),
        ("name,place\na,b\n", "lat_deg"),
        ("LAT,LON\n120,10\n130,20\n", "swapped"),
        ("", "found"),
    ],
)
def test_a_file_without_coordinates_is_one_message(run, tmp_path, text, said):
    path = tmp_path / "points.csv"
    path.write_text(text)
    done = run(path, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert said.lower() in done.stderr.lower()
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_one_message(run, tmp_path):
    done = run(tmp_path / "absent.csv", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "absent.csv" in done.stderr


def test_names_that_are_no_utf8_are_read_and_refused_in_words(run, points_csv, tmp_path):
    odd = tmp_path / "points\udcfc.csv"
    odd.write_bytes(points_csv.read_bytes())
    assert run(odd, "--out", tmp_path / "out", *LIMITS).exit_code == 0
    coverage = json.loads((tmp_path / "out" / "coverage.json").read_text())
    assert coverage["coordinates"] == "points\N{REPLACEMENT CHARACTER}.csv"
    done = run(points_csv, "--out", tmp_path / "out\udcfc", *LIMITS)
    assert done.exit_code == 1
    assert "a name that is not UTF-8" in done.stderr
    assert "rename it" in done.stderr


def test_the_cells_read_back_are_the_hierarchy(points_csv):
    found = partition_file(str(points_csv), PartitionConfig(4, (60, 20)))
    again = Hierarchy.from_table(found.hierarchy.to_table())
    assert cells_table(again).equals(cells_table(found.hierarchy))


def test_geojson_holds_every_cell_with_its_count_and_coordinate(run, points_csv, tmp_path):
    out = tmp_path / "out"
    done = run(points_csv, *LIMITS, "--geojson", "--out", out)
    assert done.exit_code == 0, done.output
    assert "cells.geojson" in done.stdout
    collection = json.loads((out / "cells.geojson").read_text())
    assert collection["type"] == "FeatureCollection"
    cells = pq.read_table(out / "cells.parquet").drop_columns(["parent_token"]).to_pylist()
    assert [feature["properties"] for feature in collection["features"]] == cells
    assert {feature["geometry"]["type"] for feature in collection["features"]} <= {"Polygon", "MultiPolygon"}
    run(points_csv, *LIMITS, "--out", out)
    assert not (out / "cells.geojson").exists(), "what does not belong to coverage.json is gone"


@pytest.mark.shared_data
def test_real_coordinates_of_benchmarks_and_galleries(run, shared_dir, tmp_path):
    out = tmp_path / "yfcc26k"
    done = run(shared_dir / "data/yfcc26k/ground_truth.csv", *LIMITS, "--out", out)
    assert done.exit_code == 0, done.output
    coverage = json.loads((out / "coverage.json").read_text())
    assert (coverage["rows"], coverage["used"]) == (25_600, 25_600)
    with Image.open(out / "cells.png") as picture:
        assert picture.size[0] > 1000
    gallery = partition_file(str(shared_dir / "data/coordinates/geoclip_gallery_100k.csv"), PartitionConfig(5, (50,)))
    assert gallery.coverage["used"] == 100_000
