"""Which photograph a row of metadata means, and that every row becomes one record."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.imagery.metadata.join import ENTRIES, from_entries, joined
from geo_pipeline.imagery.metadata.read import METADATA
from geo_pipeline.imagery.source import LISTING


def entries_of(*names, **more):
    """Entries with these names as their locators; `more` are further columns."""
    rows = [
        {"name": name, "locator": name, **{key: value[row] for key, value in more.items()}}
        for row, name in enumerate(names)
    ]
    return pa.Table.from_pylist(rows, schema=ENTRIES)


def rows_of(*rows):
    """Rows of metadata; the coordinate is (1, 2) unless given, the detail empty."""
    filled = [
        {"lat_deg": 1.0, "lon_deg": 2.0, "detail": "", "line": line, **row} for line, row in enumerate(rows, start=2)
    ]
    return pa.Table.from_pylist(filled, schema=METADATA)


def ids(*image_ids):
    return rows_of(*({"image_id": image_id} for image_id in image_ids))


def paths(*written):
    return rows_of(*({"path": path} for path in written))


def matches(metadata, entries, **more):
    """(locator, problem) of every record."""
    listing = joined(metadata, entries, **more)
    assert listing.schema.equals(LISTING)
    assert listing["detail"].null_count == 0
    assert listing["image_id"].null_count == 0
    return list(zip(listing["locator"].to_pylist(), listing["problem"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("image_id", "name"),
    [
        ("e1/55/4763.jpg", "e1/55/4763.jpg"),
        ("e1/55/4763.jpg", "images/e1/55/4763.jpg"),
        ("e1/55/4763.jpg", "mp-16-images/e1_55_4763.jpg"),
        ("e1/55/4763", "e1_55_4763.jpg"),
        ("e1/55/4763.jpg", "4763.jpg"),
        ("4763", "e1/55/4763.jpg"),
        ("e1/55/4763", "e1/55/4763.jpg"),
        ("4763.jpg", "e1/55/4763.jpg"),
        ("4763.jpg", "4763.JPEG"),
        ("47e673", "47e673.jpg"),
        ("007", "007.png"),
        ("19355699@N00.jpg", "19355699@N00.jpg"),
        ("a.b", "a.b.jpg"),
        ("a b+c,d", "a b+c,d.jpg"),
        ("Rome_00024_231521295_aa1f8e6b5c_90_97522422@N00.jpg", "231521295_aa1f8e6b5c_90_97522422@N00.jpg"),
        ("231521295_aa1f8e6b5c_90_97522422@N00", "q/Rome_00024_231521295_aa1f8e6b5c_90_97522422@N00.jpg"),
    ],
)
def test_an_id_finds_its_photograph(image_id, name):
    assert matches(ids(image_id), entries_of(name)) == [(name, None)]


@pytest.mark.parametrize(
    ("image_id", "name"),
    [
        ("7", "07.jpg"),
        ("63.jpg", "4763.jpg"),
        ("a/b", "xa/b.jpg"),
        ("A", "a.jpg"),
        ("a", "a.jpg.txt.x"),
        ("rome/1.jpg", "paris/1.jpg"),
    ],
)
def test_parts_of_words_are_no_match(image_id, name):
    assert matches(ids(image_id), entries_of(name)) == [(image_id, "missing_file"), (name, "no_metadata")]


@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_composed_and_decomposed_letters_are_one_name(written):
    other = "NFD" if written == "NFC" else "NFC"
    name, row = (unicodedata.normalize(form, "Fotös/Müller é.jpg") for form in (other, written))
    assert name != row
    assert matches(ids(row), entries_of(name)) == [(name, None)]
    assert matches(paths(row), entries_of(name)) == [(name, None)]
    assert matches(paths(f"up/{row}"), entries_of(name), paths=pa.array([f"up/{name}"])) == [(name, None)]
    assert matches(ids("Mu\u0308ller é"), entries_of(name)) == [(name, None)]


def test_a_suffix_in_large_letters_is_the_same_suffix():
    assert matches(paths("x/a.JPG"), entries_of("x/a.jpg")) == [("x/a.jpg", None)]
    assert matches(paths("a.jpg"), entries_of("x/a.JPG")) == [("x/a.JPG", None)]
    assert matches(paths("A.jpg"), entries_of("a.jpg"))[0] == ("A.jpg", "missing_file"), "only the suffix"
    both = entries_of("a.jpg", "a.JPG")
    assert matches(paths("a.JPG", "a.jpg"), both) == [("a.JPG", None), ("a.jpg", None)]
    assert matches(paths("a.Jpg"), both)[0] == ("a.Jpg", "ambiguous_file")
    assert matches(paths("a.JPG", "a.Jpg"), entries_of("a.jpg"))[0] == ("a.JPG", "ambiguous_file")


def test_two_files_whose_names_differ_only_in_their_composition_stay_two():
    names = [unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD")]
    assert matches(ids(*names), entries_of(*names)) == [(name, None) for name in names]
    third = "e\u0301.JPG"
    assert matches(ids(third), entries_of(*names))[0][1] is None, "an exact part goes before a composed one"


def test_exact_names_go_before_parts_of_names():
    found = matches(ids("a.jpg", "b/a.jpg", "a"), entries_of("a.jpg", "b/a.jpg", "c/a.png"))
    assert found[:2] == [("a.jpg", None), ("b/a.jpg", None)]
    assert found[2] == ("a", "ambiguous_file")
    assert found[3] == ("c/a.png", "no_metadata")
    # the first row means b.jpg loosely, the second exactly: the photograph is the second's
    assert matches(ids("b.png", "b.jpg"), entries_of("b.jpg")) == [("b.jpg", "duplicate_file"), ("b.jpg", None)]


def test_different_ids_that_would_share_a_loose_match_get_none():
    found = matches(ids("rome/1.jpg", "paris/1.jpg", "oslo/2.jpg"), entries_of("1.jpg", "2.jpg"))
    assert found == [
        ("rome/1.jpg", "ambiguous_file"),
        ("paris/1.jpg", "ambiguous_file"),
        ("2.jpg", None),
        ("1.jpg", "no_metadata"),
    ]


@pytest.mark.parametrize("path", ["x/a.jpg", "./x/a.jpg", "x\\a.jpg", "/data/all/x/a.jpg", "x//a.jpg", "a.jpg"])
def test_a_path_finds_its_photograph_however_it_is_written(path):
    assert matches(paths(path), entries_of("x/a.jpg")) == [("x/a.jpg", None)]


def test_a_path_is_read_as_the_metadata_writes_it():
    seen = pa.array(["images/a.jpg", "images/images/a.jpg"])
    found = matches(paths("images/a.jpg"), entries_of("a.jpg", "images/a.jpg"), paths=seen)
    assert found[0] == ("a.jpg", None)


def test_a_path_goes_before_an_id_and_an_id_counts_where_no_path_is_found():
    both = rows_of({"image_id": "b", "path": "a.jpg"}, {"image_id": "b", "path": "gone.jpg"})
    assert matches(both, entries_of("a.jpg", "b.jpg"))[:2] == [("a.jpg", None), ("gone.jpg", "missing_file")]
    elsewhere = rows_of({"image_id": "a", "path": "http://x/1"}, {"image_id": "b", "path": "http://x/2"})
    assert matches(elsewhere, entries_of("a.jpg", "b.jpg")) == [("a.jpg", None), ("b.jpg", None)]


def test_an_id_that_stands_beside_the_photograph_counts():
    found = matches(ids("seven"), entries_of("000007.jpg", image_id=["seven"]))
    assert found == [("000007.jpg", None)]


def test_two_rows_of_one_photograph():
    metadata = rows_of({"image_id": "a", "lat_deg": None}, {"image_id": "a"}, {"image_id": "a", "author": "Ann"})
    listing = joined(metadata, entries_of("a.jpg"))
    assert listing["problem"].to_pylist() == ["duplicate_file", None, "duplicate_file"]
    assert "has the photograph a." in listing["detail"][2].as_py()


def test_what_is_wrong_with_a_cell_is_passed_on():
    metadata = rows_of(
        {"image_id": "a", "lat_deg": None, "detail": "LAT is empty"},
        {"image_id": "b", "lat_deg": float("nan"), "detail": "LAT is 'n/a'"},
        {"image_id": None, "detail": "found 1 cells, expected 3"},
        {"image_id": "gone", "detail": "LON is 'x'"},
    )
    listing = joined(metadata, entries_of("a.jpg", "b.jpg"))
    assert listing["problem"].to_pylist() == ["no_coordinate", None, "missing_file", "missing_file"]
    details = listing["detail"].to_pylist()
    assert details[:2] == ["LAT is empty", "LAT is 'n/a'"]
    assert details[2] == "found no photograph named (no id and no path). found 1 cells, expected 3"
    assert details[3] == "found no photograph named gone. LON is 'x'"
    assert np.isnan(listing["lat_deg"][1].as_py())


def test_an_entrys_own_problem_goes_before_a_missing_coordinate():
    entries = entries_of("a.jpg", "b.txt", problem=["unreadable", "not_an_image"], detail=["Cut short.", None])
    listing = joined(rows_of({"image_id": "a", "lat_deg": None, "detail": "LAT is empty"}), entries)
    assert listing["problem"].to_pylist() == ["unreadable", "not_an_image"]
    assert listing["detail"].to_pylist() == ["Cut short. LAT is empty", ""]


def test_what_stands_beside_a_photograph_fills_what_the_metadata_leaves_empty():
    entries = entries_of(
        "a.jpg", "b.jpg", author=["Ann", "Bo"], lat_deg=[5.0, 6.0], lon_deg=[7.0, 8.0], stamp=["s1", "s2"]
    )
    metadata = rows_of(
        {"image_id": "a", "lat_deg": None, "lon_deg": None}, {"image_id": "b", "author": "Cy", "lon_deg": None}
    )
    first, second = joined(metadata, entries).to_pylist()
    assert (first["author"], first["lat_deg"], first["lon_deg"], first["stamp"]) == ("Ann", 5.0, 7.0, "s1")
    assert (second["author"], second["lat_deg"], second["lon_deg"]) == ("Cy", 1.0, None)
    assert (first["problem"], second["problem"]) == (None, "no_coordinate")


def test_without_metadata_what_stands_beside_each_photograph_counts():
    entries = entries_of(
        "a",
        "b",
        "c",
        lat_deg=[1.0, None, 3.0],
        lon_deg=[2.0, 2.0, 4.0],
        image_id=["x", None, None],
        problem=[None, None, "too_large"],
    )
    listing = from_entries(entries)
    assert listing.schema.equals(LISTING)
    assert listing["image_id"].to_pylist() == ["x", "b", "c"]
    assert listing["problem"].to_pylist() == [None, "no_coordinate", "too_large"]
    assert listing["detail"].to_pylist() == ["", "No latitude and longitude stand beside it.", ""]


@pytest.mark.parametrize("metadata", [ids(), ids("a", "b")])
@pytest.mark.parametrize("entries", [entries_of(), entries_of("a", "c")])
def test_nothing_on_either_side_is_no_trouble(metadata, entries):
    listing = joined(metadata, entries)
    both = len({"a", "b"} & {"a", "c"}) if len(metadata) and len(entries) else 0
    assert len(listing) == len(metadata) + len(entries) - both


NAMES = st.text(alphabet="ab/._", min_size=1, max_size=6)


@settings(max_examples=100, deadline=None)
@given(written=st.lists(st.tuples(st.none() | NAMES, st.none() | NAMES), max_size=8), names=st.lists(NAMES, max_size=8))
def test_rows_out_are_rows_in_and_no_photograph_is_given_twice(written, names):
    metadata = rows_of(*({"image_id": image_id, "path": path} for image_id, path in written))
    entries = entries_of(*names, stamp=[str(row) for row in range(len(names))])
    listing = joined(metadata, entries)
    rows, rest = listing.slice(0, len(written)), listing.slice(len(written))
    assert rows["lat_deg"].to_pylist() == [1.0] * len(written)
    kept = [row["stamp"] for row in rows.to_pylist() if row["problem"] is None]
    assert len(kept) == len(set(kept))
    named = {row["stamp"] for row in rows.to_pylist()} - {None}
    assert sorted([*named, *rest["stamp"].to_pylist()]) == sorted(entries["stamp"].to_pylist())
    assert set(rest["problem"].to_pylist()) <= {"no_metadata"}
    whole = [
        row
        for row, (image_id, path) in enumerate(written)
        if path is None and image_id in names and names.count(image_id) == 1
    ]
    for row in whole:
        if not any(path is not None for _, path in written):
            assert rows["locator"][row].as_py() == written[row][0]
