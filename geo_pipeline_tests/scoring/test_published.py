import csv
import re
from collections import Counter
from importlib.resources import files

import pytest

from geo_pipeline.scoring.published import ablation_rows, counterparts, published_rows

COUNTS = {
    ("GeoSURGE", "Table I"): 15,
    ("GeoSURGE", "Table II"): 15,
    ("GeoSURGE", "Table III"): 15,
    ("GeoSURGE", "Table IV"): 13,
    ("GeoSURGE", "Table V"): 10,
    ("GeoSURGE", "Table VI"): 2,
    ("GeoSURGE", "Table VII"): 4,
    ("GeoSURGE", "Table VIII"): 3,
    ("GeoRouter", "Table 1"): 32,  # 15 methods and their improvement, on two benchmarks
    ("GeoRouter", "Table 3"): 16,  # 4 policies, two measures, on two benchmarks
}


def _records():
    with files("geo_pipeline.scoring").joinpath("published.csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_every_row_of_every_table_is_there():
    assert Counter((record["paper"], record["table"]) for record in _records()) == COUNTS


def test_the_rows_of_a_benchmark_are_in_the_papers_order_with_their_source():
    rows = published_rows("im2gps")
    assert [row.method for row in rows][:4] == ["[L]kNN", "PlaNet", "CPlaNet", "ISNs"]
    assert rows[3].values == {1.0: 16.9, 25.0: 43.0, 200.0: 51.9, 750.0: 66.7, 2500.0: 80.2}
    assert rows[3].printed[25.0] == "43.0"
    assert rows[3].source == "GeoSURGE, Table I"
    assert published_rows("planet_mixed") == []


def test_slips_stand_as_printed():
    found = {row.source: row for row in published_rows("yfcc4k") if row.method == "GeoRouter"}
    assert found["GeoRouter, Table 1"].printed[1.0] == "32.98"
    assert found["GeoRouter, Table 3"].printed[1.0] == "32.89"
    assert all(row.note for row in found.values())


def test_a_dash_is_no_value():
    rows = {row.method: row for row in published_rows("yfcc4k") if row.source == "GeoSURGE, Table III"}
    assert list(rows["RFM"].values) == [25.0, 200.0, 750.0, 2500.0]
    assert rows["GeoCLIP"].values == {}
    with pytest.raises(KeyError):
        rows["RFM"].agrees(1.0, 20.0)


def test_one_unit_of_the_last_digit_is_allowed():
    row = next(row for row in published_rows("im2gps") if row.method == "ISNs")
    assert row.agrees(1.0, 40 / 237 * 100)
    assert row.agrees(1.0, 16.8)
    assert not row.agrees(1.0, 16.79)
    fine = next(row for row in published_rows("im2gps3k") if row.method == "GeoRouter")
    assert fine.agrees(1.0, 20.83)
    assert not fine.agrees(1.0, 20.84)


def test_printed_averages_are_means_of_the_printed_values():
    checked = 0
    for benchmark in ("im2gps3k", "yfcc4k"):
        for row in (*published_rows(benchmark), *published_rows(benchmark, "routing_accuracy")):
            if row.average is not None:
                assert row.average == pytest.approx(sum(row.values.values()) / 5, abs=0.011)
                checked += 1
    assert checked == 16


def test_the_rows_of_baselines_are_named_as_this_project_names_them():
    named = {row.method: row.ours for name in ("im2gps", "im2gps3k", "yfcc4k") for row in published_rows(name)}
    assert named["[L]kNN"] == named["[L]kNN, sigma=4"] == "lknn"
    assert named["PIGEOTTO"] == named["PIGEON"] == "pigeon"
    assert named["GeoSURGE (Ours)"] == "geosurge"
    assert named["Img2Loc/GPT-4V"] == named["GeoRanker"] == ""
    baselines = {"lknn", "planet_net", "cplanet", "isns", "translocator", "geodecoder", "geoclip", "pigeon"}
    assert counterparts() == baselines | {"geosurge", "retrieval", "generation", "router", "oracle"}


def test_ablations_are_those_of_three_tables_and_the_gains_stay_as_printed():
    rows = ablation_rows()
    assert [row.source for row in rows] == ["GeoSURGE, Table VI"] * 2 + ["GeoSURGE, Table VII"] * 4 + [
        "GeoSURGE, Table VIII"
    ] * 3
    assert {row.benchmark for row in rows} == {"im2gps"}
    two = next(row for row in rows if row.ours == "fusion_2")
    assert dict(two.printed) == {1.0: "+2.6", 25.0: "+0", 200.0: "+0.5", 750.0: "-0.4", 2500.0: "+0"}
    assert not any(row.metric.startswith("ablation") for row in published_rows("im2gps"))


@pytest.mark.shared_data
def test_every_row_of_every_geosurge_table_is_kept_in_its_order(shared_dir):
    text = (shared_dir / "papers/geosurge.txt").read_text()
    numbers, tables = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII"), []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells[0] in ("Street", "Geographic", "Hierarchy", "Fusion"):
            tables.append([])
        elif line.startswith("|") and re.fullmatch(r"-|[-+]?\s*[\d.]+\s*%?", cells[-1]):
            tables[-1].append([cells[0], *(re.sub(r"[\s%]", "", cell) for cell in cells[1:])])
    for number, printed in zip(numbers, tables, strict=True):
        kept = [
            record for record in _records() if (record["paper"], record["table"]) == ("GeoSURGE", f"Table {number}")
        ]
        assert [
            [record["method"].rpartition(": ")[2], *(record[k] or "-" for k in ("1", "25", "200", "750", "2500"))]
            for record in kept
        ] == [[row[0].lower() if number in numbers[5:] else row[0], *row[1:]] for row in printed]


@pytest.mark.shared_data
def test_every_row_stands_in_its_paper(shared_dir):
    texts = {name: (shared_dir / f"papers/{name.lower()}.txt").read_text() for name in ("GeoSURGE", "GeoRouter")}
    texts["GeoSURGE"] = re.sub(r"\s*\|\s*", " ", texts["GeoSURGE"]).replace("%", "").replace("+ ", "+")
    texts["GeoSURGE"] = texts["GeoSURGE"].replace("- 0", "-0").replace("- 1", "-1")
    texts["GeoRouter"] = re.sub(r"\\uparrow\s*[\d.]+\\%|%\\uparrow", "", texts["GeoRouter"])
    missing = []
    for record in _records():
        shown = [record[k] or "-" for k in ("1", "25", "200", "750", "2500")]
        if record["metric"] == "relative_improvement_percent":
            wanted = shown[0]
        elif record["paper"] == "GeoSURGE":
            wanted = (
                f"{record['method'].rpartition(': ')[2].capitalize()} "
                if ": " in record["method"]
                else record["method"] + " "
            )
            wanted += " ".join(shown)
        else:
            wanted = " ".join([*shown, record["average"]]).strip()
        if wanted not in texts[record["paper"]]:
            missing.append(wanted)
    assert missing == []
