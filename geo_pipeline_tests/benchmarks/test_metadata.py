"""The published metadata of each benchmark, in its true layout: real files where they are present, and siblings."""

import pytest

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.imagery.metadata.join import joined
from geo_pipeline.imagery.metadata.read import MetadataFormat, SwappedColumnsError, metadata_notes, read_metadata
from geo_pipeline.imagery.source import SourceError
from geo_pipeline_tests.imagery.metadata.test_join import entries_of

PLACES365 = "IMG_ID,AUTHOR,LAT,LON,S3_Label,S16_Label,S365_Label,Prob_indoor,Prob_natural,Prob_urban\r\n"


def read(tmp_path, name, text, file="m.csv"):
    (tmp_path / file).write_text(text, newline="")
    return read_metadata(str(tmp_path / file), BENCHMARKS[name].metadata)


def info_line(photo, lat, lon, title="A+photo"):
    """A row of YFCC100M as info.txt has it."""
    before = ["17", photo, "b7b2", "11111111@N00", "Ann", "2008-01-01", "1230764400", "Canon", title, "", "x,y", ""]
    page = f"http://www.flickr.com/photos/11111111@N00/{photo}/"
    after = ["16", page, "http://farm.example/x.jpg", "Attribution", "http://licence.example/by", "1", "1", "a", "b"]
    return "\t".join([*before, lon, lat, *after, "jpg", "0"])


def test_every_published_benchmark_says_how_its_metadata_is_laid_out():
    for name, benchmark in BENCHMARKS.items():
        assert (benchmark.metadata is not None) == benchmark.published
        if benchmark.metadata is not None:
            assert benchmark.metadata.set_name == name
            assert benchmark.metadata.expected_rows == benchmark.expected_count


def test_im2gps_has_places_before_ids_and_parts_of_names_before_authors(tmp_path):
    table = read(
        tmp_path,
        "im2gps",
        PLACES365
        + "1185597181_0158ab4213_1311_43616936@N00.jpg,43616936@N00,42.3,-71.0,2,12,312,0,0,1\r\n"
        + "Rome_00024_231521295_aa1f8e6b5c_90_97522422@N00.jpg,aa1f8e6b5c_90_97522422@N00,41.9,12.5,2,12,312,0,0,1\r\n",
    )
    assert table["author"].to_pylist() == ["43616936@N00", "97522422@N00"]
    assert table["image_id"].to_pylist()[1] == "Rome_00024_231521295_aa1f8e6b5c_90_97522422@N00.jpg"
    assert set(table["set_name"].to_pylist()) == {"im2gps"}
    assert metadata_notes(table).expected_rows == 237
    files = ["Boston_00001_1185597181_0158ab4213_1311_43616936@N00.jpg", "q/231521295_aa1f8e6b5c_90_97522422@N00.jpg"]
    listing = joined(table, entries_of(*files))
    assert listing["locator"].to_pylist() == files
    assert listing["problem"].to_pylist() == [None, None]


def test_im2gps3k_names_its_images_in_one_of_two_ways(tmp_path):
    row = "1000522794_a7d1e37d3d_1197_92153345@N00.jpg,92153345@N00,1.5,2.5,1,8,150,0,0,1\r\n"
    for header in (PLACES365, PLACES365.replace("IMG_ID", "name")):
        (found,) = read(tmp_path, "im2gps3k", header + row).to_pylist()
        assert found["image_id"] == "1000522794_a7d1e37d3d_1197_92153345@N00.jpg"
        assert (found["lat_deg"], found["lon_deg"], found["set_name"]) == (1.5, 2.5, "im2gps3k")


def test_yfcc4k_has_longitude_before_latitude_and_no_header(tmp_path):
    lines = [
        info_line("0012345678", "48.85", "2.35"),
        info_line("4600000001", "-33.9", "151.2", '"a+title+with+one+quote'),
        info_line("4600000002", "", ""),
    ]
    table = read(tmp_path, "yfcc4k", "\n".join(lines) + "\n", "info.txt")
    assert table["image_id"].to_pylist() == ["0012345678", "4600000001", "4600000002"]
    assert table["lat_deg"].to_pylist() == [48.85, -33.9, None]
    assert table["lon_deg"].to_pylist() == [2.35, 151.2, None]
    assert table["author"].to_pylist() == ["11111111@N00"] * 3
    assert table["detail"].to_pylist() == ["", "", "column 13 is empty; column 12 is empty"]
    assert table["line"].to_pylist() == [1, 2, 3]
    assert joined(table, entries_of("yfcc4k/4600000001.jpg"))["problem"].to_pylist()[1] is None


def test_yfcc4k_made_into_a_csv_is_read_by_its_header(tmp_path):
    (row,) = read(tmp_path, "yfcc4k", "photo_id,lon,lat,img_url\n0012,151.2,-33.9,x\n").to_pylist()
    assert (row["image_id"], row["lat_deg"], row["lon_deg"], row["set_name"]) == ("0012", -33.9, 151.2, "yfcc4k")


def test_a_text_that_is_no_info_txt_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"found 3 columns, expected more than 15 and no header line"):
        read(tmp_path, "yfcc4k", "a\tb\tc\n1\t2\t3\n", "info.txt")


def test_yfcc26k_has_paths_as_ids_and_they_find_flat_files_too(tmp_path):
    table = read(
        tmp_path, "yfcc26k", PLACES365 + "45/77/3228511372.jpg,43008843@N00,46.778991,23.611207,0,5,21,0,0,1\r\n"
    )
    for name in ("45/77/3228511372.jpg", "images/45/77/3228511372.jpg", "45_77_3228511372.jpg", "3228511372.jpg"):
        assert joined(table, entries_of(name)).select(["locator", "problem"]).to_pylist() == [
            {"locator": name, "problem": None}
        ]


def test_gws15k_panorama_ids_stay_text(tmp_path):
    table = read(tmp_path, "gws15k", "pano_id,lng,lat\n-0047e673,10,20\n0012,11,21\n")
    assert table["image_id"].to_pylist() == ["-0047e673", "0012"]
    assert table["lat_deg"].to_pylist() == [20.0, 21.0]


def test_old_copies_with_swapped_headers_are_refused(tmp_path):
    with pytest.raises(SwappedColumnsError, match=r"swapped\?"):
        read(tmp_path, "im2gps", PLACES365 + "a_1_1@N00.jpg,1@N00,-122.4,37.8,1,8,150,0,0,1\r\n")


@pytest.mark.shared_data
def test_the_real_im2gps(shared_dir):
    table = read_metadata(str(shared_dir / "data/im2gps/ground_truth.csv"), BENCHMARKS["im2gps"].metadata)
    notes = metadata_notes(table)
    assert (len(table), notes.expected_rows, notes.beyond, notes.blank) == (237, None, 0, 0)
    assert set(table["detail"].to_pylist()) == {""}
    assert len(set(table["image_id"].to_pylist())) == 237
    authors = table["author"].to_pylist()
    assert all(author.partition("@")[0].isdigit() for author in authors)
    bare = [
        name.partition("_")[2].partition("_")[2] if not name[0].isdigit() else name
        for name in table["image_id"].to_pylist()
    ]
    listing = joined(table, entries_of(*bare))
    assert listing["problem"].null_count == 237


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["predictions_isns.csv", "predictions_base_l_m.csv"])
def test_the_real_predictions_end_in_a_summary(shared_dir, name):
    layout = MetadataFormat(columns=(("lat_deg", "gt_lat"), ("lon_deg", "gt_long")))
    table = read_metadata(str(shared_dir / "data/im2gps" / name), layout)
    notes = metadata_notes(table)
    assert (len(table), notes.summary, notes.blank) == (237, 2, 1)
    truth = read_metadata(str(shared_dir / "data/im2gps/ground_truth.csv"))
    lat_of = dict(zip(truth["image_id"].to_pylist(), truth["lat_deg"].to_pylist(), strict=True))
    assert {row["image_id"]: row["lat_deg"] for row in table.to_pylist()} == lat_of


@pytest.mark.shared_data
def test_the_real_yfcc26k(shared_dir):
    table = read_metadata(str(shared_dir / "data/yfcc26k/ground_truth.csv"), BENCHMARKS["yfcc26k"].metadata)
    assert (len(table), metadata_notes(table).expected_rows) == (25_600, None)
    assert set(table["detail"].to_pylist()) == {""}
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["image_id"], first["lat_deg"], first["lon_deg"]) == ("45/77/3228511372.jpg", 46.778991, 23.611207)
    assert table["lat_deg"].null_count == table["lon_deg"].null_count == 0
