"""Samples of WebDataset: what stands beside a photograph, and names with dots, which share a key and are not one."""

import io
import json
import math

import pyarrow as pa
import pytest
import webdataset

from geo_pipeline.imagery.containers.entries import digest_of
from geo_pipeline.imagery.containers.inline_values import degrees_of
from geo_pipeline.imagery.containers.webdataset_samples import has_sidecars, key_of
from geo_pipeline.imagery.metadata.cells import degrees
from geo_pipeline.imagery.metadata.csv_scan import OTHER
from geo_pipeline_tests.imagery.containers.test_tar_files import JPEG, entries_of, problems, tar_of
from geo_pipeline_tests.imagery.drawn_files import with_exif


@pytest.fixture
def shard(tmp_path):
    """A WebDataset shard as the package writes it."""

    def write(*samples):
        with webdataset.TarWriter(str(tmp_path / "000.tar")) as sink:
            for sample in samples:
                sink.write(sample)
        return (tmp_path / "000.tar").read_bytes()

    return write


def test_webdataset_samples_bring_their_sidecars(shard):
    data = shard(
        {"__key__": "000001", "jpg": JPEG, "json": {"latitude": 48.85, "LON": "2.35", "author": "Ann", "id": 17}},
        {"__key__": "000002", "jpg": JPEG, "txt": "-33.86, 151.21"},
        {"__key__": "000003", "png": JPEG, "txt": "lat: 1.5\nlng = -2\nphotographer: Bo\n", "cls": 3},
        {"__key__": "000004", "jpg": JPEG, "txt": "A photograph of a harbour"},
        {"__key__": "000005", "jpg": JPEG, "lat.txt": "7.5", "lon.txt": "8"},
    )
    found = {entry.name: entry for entry in entries_of(data, sidecars=True)}
    assert [(entry.lat_deg, entry.lon_deg) for entry in found.values()] == [
        (48.85, 2.35),
        (-33.86, 151.21),
        (1.5, -2.0),
        (None, None),
        (7.5, 8.0),
    ]
    assert (found["000001.jpg"].image_id, found["000001.jpg"].author) == ("17", "Ann")
    assert found["000003.png"].author == "Bo"
    assert all(entry.problem is None for entry in found.values())
    assert has_sidecars(io.BytesIO(data))
    assert not has_sidecars(io.BytesIO(tar_of(("a.jpg", JPEG), ("b.json", b"{}"))))


@pytest.mark.parametrize("photographs_first", [True, False])
@pytest.mark.parametrize("sidecars", [True, False])
def test_sidecars_that_stand_apart_are_told_with_what_to_do(photographs_first, sidecars):
    photographs = [(f"{n}.jpg", JPEG) for n in range(30)]
    texts = [(f"{n}.json", b'{"lat": 1, "lon": 2}') for n in range(30)] + [("LICENSE.txt", b"free")]
    members = photographs + texts if photographs_first else texts + photographs
    *found, last = entries_of(tar_of(*members), sidecars=sidecars, exif=True)
    assert [entry.name for entry in found] == [name for name, _ in photographs]
    assert (last.name, last.problem) == ("0.json", "sidecars_apart")
    assert "tar --sort=name" in last.detail
    if sidecars:
        ordered = [pair for both in zip(photographs, texts, strict=False) for pair in both]
        assert all(
            entry.lat_deg == 1 and entry.problem is None for entry in entries_of(tar_of(*ordered), sidecars=True)
        )


@pytest.mark.parametrize("sidecars", [True, False])
def test_positions_elsewhere_in_the_archive_are_told_with_what_to_do(sidecars):
    photographs = [(f"images/{n}.jpg", JPEG) for n in range(3)]
    texts = [(f"meta/{n}.json", b'{"lat": 1, "lon": 2}') for n in range(3)]
    *found, last = entries_of(tar_of(*photographs, *texts), sidecars=sidecars, exif=True)
    assert (len(found), last.name, last.problem) == (3, "meta/0.json", "sidecars_apart")
    assert "3 members such as meta/0.json in other folders" in last.detail
    table = ("all.csv", b"path,lat,lon\nimages/0.jpg,1,2\n")
    *found, last = entries_of(tar_of(table, *photographs), sidecars=sidecars, exif=True)
    assert (len(found), last.name, last.problem) == (3, "all.csv", "sidecars_apart")
    assert "--metadata" in last.detail
    placed = [(name, with_exif(10, 20)) for name, _ in photographs]
    assert len(entries_of(tar_of(table, *placed, *texts), sidecars=sidecars, exif=True)) == 3


def test_nothing_is_told_of_sidecars_where_every_photograph_has_a_position_or_a_metadata_file():
    placed = with_exif(10, 20)
    with_positions = tar_of(("a.jpg", placed), ("b.jpg", placed), ("a.txt", b"a caption"), ("b.json", b"{}"))
    assert problems(entries_of(with_positions, exif=True)) == {"a.jpg": None, "b.jpg": None}
    assert problems(entries_of(tar_of(("a.jpg", JPEG), ("x.jpg", JPEG), ("a.json", b"{}")))) == {
        "a.jpg": None,
        "x.jpg": None,
    }


def test_captions_beside_their_photographs_do_not_stand_apart(shard):
    data = shard({"__key__": "a", "jpg": JPEG, "txt": "A harbour"}, {"__key__": "b", "txt": "A hill", "jpg": JPEG})
    assert problems(entries_of(data, sidecars=True, exif=True)) == {"a.jpg": None, "b.jpg": None}


def test_of_one_sample_the_first_photograph_counts(shard):
    data = shard({"__key__": "k", "jpg": JPEG, "png": JPEG, "seg.png": JPEG, "json": {"lat": 1, "lon": 2}})
    found = entries_of(data, sidecars=True)
    assert problems(found) == {"k.jpg": None, "k.png": "second_image", "k.seg.png": "second_image"}
    (only,) = entries_of(shard({"__key__": "k", "image.jpg": JPEG, "json": {"lat": 1, "lon": 2}}), sidecars=True)
    assert (only.name, only.lat_deg) == ("k.image.jpg", 1.0)


def test_photographs_with_dots_in_their_names_are_samples_of_their_own():
    """WebDataset's key ends at the first dot, so that `IMG_1` is the key of all ten; none may be lost for it."""
    names = [*(f"IMG_1.{number}.jpg" for number in range(10)), "012.left.jpg", "012.right.jpg", "v1.2/3.jpg"]
    assert problems(entries_of(tar_of(*((name, JPEG) for name in names)), sidecars=True)) == dict.fromkeys(names)


def test_a_sidecar_stands_beside_the_photograph_of_its_stem_or_all_of_its_key():
    data = tar_of(
        ("1.a.jpg", JPEG),
        ("1.a.json", b'{"lat": 1, "lon": 2, "id": "own"}'),
        ("1.b.jpg", JPEG),
        ("1.b.lat", b"3"),
        ("1.b.lon.txt", b"4"),
        ("1.c.jpg", JPEG),
        ("1.json", b'{"lat": 5, "lon": 6, "id": "of them all", "author": "Ann"}'),
        ("2.a.jpg", JPEG),
        ("2.json", b'{"lat": 7, "lon": 8, "id": "alone"}'),
        ("3.jpg", JPEG),
        ("3.seg.json", b"["),
    )
    found = [(entry.lat_deg, entry.lon_deg, entry.image_id, entry.author) for entry in entries_of(data, sidecars=True)]
    assert found == [
        (1.0, 2.0, "own", "Ann"),
        (3.0, 4.0, None, "Ann"),
        (5.0, 6.0, None, "Ann"),
        (7.0, 8.0, "alone", None),
        (None, None, None, None),
    ]


@pytest.mark.parametrize("image", ["jpg", "png"])
def test_a_key_of_very_many_photographs_keeps_each_beside_its_sidecar(image):
    """Archives are written in order of name, in which a `.json` stands behind a `.jpg` and before a `.png`."""
    members = [
        (f"k.{n:03d}.{end}", JPEG if end == image else b'{"lat": %d, "lon": 1}' % (n % 90))
        for n in range(1500)
        for end in sorted((image, "json"))
    ]
    found = entries_of(tar_of(("k.json", b'{"author": "Ann"}'), *members), sidecars=True)
    assert [(entry.lat_deg, entry.author) for entry in found] == [(number % 90, "Ann") for number in range(1500)]


def test_a_photograph_that_is_written_twice_is_no_second_image_of_its_sample():
    data = tar_of(("k.jpg", JPEG), ("k.jpg", JPEG[::-1]), ("k.json", b'{"lat": 1, "lon": 2}'))
    assert [(entry.problem, entry.lat_deg) for entry in entries_of(data, sidecars=True)] == [(None, 1.0)] * 2


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (["k.jpg", "k.json"], True),
        (["k.left.jpg", "k.right.jpg", "k.txt"], True),
        (["k.0.jpg", "k.0.json"], True),
        (["k.jpg", "k.seg.png", "k.txt"], True),
        (["k.jpg", "k.1.jpg", "k.txt"], False),
        (["k.jpg", "k.1.JPG", "k.json"], True),
        (["k.0.jpg", "k.1.json"], False),
        (["k.0.jpg", "k.1.jpg"], False),
        (["k.jpg", "k.1.jpg", "j.jpg", "j.txt"], False),
    ],
)
def test_a_shard_is_told_unless_photographs_would_be_set_aside_for_nothing(members, expected):
    """A caption beside `k.jpg` and `k.1.jpg` makes no sample of them; a position does."""
    contents = {"jpg": JPEG, "png": JPEG, "json": b'{"lat": 1, "lon": 2}', "txt": b"A harbour"}
    data = tar_of(*((name, contents[name.lower().rpartition(".")[2]]) for name in members))
    assert has_sidecars(io.BytesIO(data)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("48,2 16,4", (48.2, 16.4)),
        ("48,2;16,4", (48.2, 16.4)),
        ("48,2\t-16,4\n", (48.2, -16.4)),
        ("48,2 | 16,4", (48.2, 16.4)),
        ("48,2, 16,4", (48.2, 16.4)),
        ("\u221233.9 +16.4", (-33.9, 16.4)),
        ("48.2,16.4", (48.2, 16.4)),
        ("48.2, 16.4", (48.2, 16.4)),
        ("48, 16", (48.0, 16.0)),
        ("48,16", (48.0, 16.0)),
        ("48 ,16", (48.0, 16.0)),
        ("48,-16", (48.0, -16.0)),
        ("48.,16.", (48.0, 16.0)),
        ("4.82e1 1.64E+1", (48.2, 16.4)),
        ("lat: 48,2\nlon = 16,4", (48.2, 16.4)),
        ("48,2,16,4", (None, None)),
        ("48 16 200", (None, None)),
        ("48,2", (48.0, 2.0)),
    ],
)
def test_a_pair_of_numbers_may_have_points_or_commas(text, expected):
    (entry,) = entries_of(tar_of(("a.jpg", JPEG), ("a.txt", text.encode())), sidecars=True)
    assert (entry.lat_deg, entry.lon_deg, entry.detail) == (*expected, "")


def test_numbers_beside_a_photograph_are_those_of_metadata_files():
    for text in (
        "48,2",
        "+48.2",
        "\u221248,2",
        "48.",
        ",5",
        "1e1",
        "nan",
        "inf",
        "1_0",
        "1.234,5",
        "1e999",
        "0x1",
        "4 8",
    ):
        found, words = degrees_of(text, "latitude")
        (value,), (kind,) = degrees(pa.array([text]))
        assert found == value or (math.isnan(found) and math.isnan(value))
        assert bool(words) == (kind == OTHER)
    (entry,) = entries_of(tar_of(("a.jpg", JPEG), ("a.json", b'{"lat": "48,2", "lon": 1E999}')), sidecars=True)
    assert (entry.lat_deg, math.isnan(entry.lon_deg)) == (48.2, True)
    assert entry.detail == "longitude 'inf' is not a number"


@pytest.mark.parametrize(
    ("sidecar", "words"),
    [
        (b"[" * 100_000, "cannot be read"),
        (b'{"lat": 1', "cannot be read"),
        (b"[1, 2]", "found a list"),
        (b'{"lat": "north", "lon": 2}', "latitude 'north' is not a number"),
        (json.dumps({"lat": 1, "lon": 2, "x": "y" * (1 << 20)}).encode(), "is not read"),
        (b"\xff\xfe{}", "cannot be read"),
    ],
)
def test_a_broken_sidecar_says_so_and_loses_no_photograph(sidecar, words):
    (entry,) = entries_of(tar_of(("1.jpg", JPEG), ("1.json", sidecar)), sidecars=True)
    assert entry.digest == digest_of(JPEG)
    assert words in entry.detail


def test_keys_are_those_of_webdataset():
    for name in ("000001.jpg", "a/b.c/000001.seg.png", "x/y", "e1/55/4763.jpg"):
        expected = webdataset.tariterators.base_plus_ext(name)
        assert key_of(name) == (expected if expected != (None, None) else (name, ""))
