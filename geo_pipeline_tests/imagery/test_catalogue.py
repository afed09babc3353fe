"""From a source to catalogue and quarantine: every record stands in one of the two."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest

from geo_pipeline.imagery.catalogue import EmptyCatalogueError, build_catalogue
from geo_pipeline.imagery.folder import FolderSource
from geo_pipeline.imagery.ingest import decode_shard
from geo_pipeline.imagery.source import MissingImageError, SourceError, SourceRecord
from geo_pipeline.imagery.split import SplitConfig
from geo_pipeline_tests.imagery.drawn_files import bomb_png, encoded, quartered, with_exif

ALL_TRAIN = SplitConfig(holdout=0.0, router_queries=0.0)


@dataclass
class ListedSource:
    """A source that holds its records and bytes in memory."""

    listed: list[SourceRecord]
    files: dict[str, bytes] = field(default_factory=dict)

    def fingerprint(self):
        return "fixed"

    def records(self):
        return iter(self.listed)

    def read(self, locator):
        if locator not in self.files:
            raise MissingImageError(f"{locator} is gone")
        return self.files[locator]


def record(image_id, lat, lon, **more):
    return SourceRecord(image_id, f"{image_id}.jpg", lat_deg=lat, lon_deg=lon, **more)


def test_every_bad_coordinate_is_quarantined_with_its_reason():
    nan = float("nan")
    bad = {
        "none": (None, 5.0),
        "nan": (nan, 5.0),
        "infinite": (5.0, float("inf")),
        "north": (90.5, 5.0),
        "east": (5.0, 180.5),
        "island": (0.0, 0.0),
    }
    source = ListedSource([record(name, *position) for name, position in bad.items()] + [record("good", 0.0, 1.0)])
    catalogue, quarantine = build_catalogue(source, ALL_TRAIN, 10)
    assert catalogue["image_id"].to_pylist() == ["good"]
    assert dict(zip(quarantine["image_id"].to_pylist(), quarantine["reason"].to_pylist(), strict=True)) == {
        "none": "no_coordinate",
        "nan": "nan_coordinate",
        "infinite": "nan_coordinate",
        "north": "lat_out_of_range",
        "east": "lon_out_of_range",
        "island": "null_island",
    }
    assert "latitude 90.5, longitude 5.0" in quarantine["detail"].to_pylist()
    assert set(quarantine["stage"].to_pylist()) == {"catalogue"}


def test_of_two_records_with_one_id_the_first_good_one_is_kept():
    source = ListedSource([record("a", None, 1.0), record("a", 1.0, 1.0), record("a", 2.0, 2.0)])
    catalogue, quarantine = build_catalogue(source, ALL_TRAIN, 10)
    assert catalogue["lat_deg"].to_pylist() == [1.0]
    assert quarantine["reason"].to_pylist() == ["no_coordinate", "duplicate_id"]


def test_an_empty_or_hopeless_source_is_one_clear_error(tmp_path):
    with pytest.raises(EmptyCatalogueError, match="Found no photograph at all"):
        build_catalogue(FolderSource(tmp_path), ALL_TRAIN, 10)
    hopeless = ListedSource([record("a", None, 1.0), record("b", 0.0, 0.0), record("c", 0.0, 0.0)])
    with pytest.raises(EmptyCatalogueError, match=r"Found 3 photographs .*null_island 2, no_coordinate 1.*a\.jpg"):
        build_catalogue(hopeless, ALL_TRAIN, 10)


def test_the_order_of_the_source_leaves_no_trace():
    records = [record(f"id{n}", n / 7, n / 3, author=f"author {n}") for n in range(1, 40)]
    split = SplitConfig(holdout=0.1, router_queries=0.2, benchmark=0.2)
    one, _ = build_catalogue(ListedSource(records), split, 8)
    other, _ = build_catalogue(ListedSource(records[::-1]), split, 8)
    assert one.equals(other)


def test_ids_and_file_names_do_not_move_a_photograph_to_another_set():
    records = [record(f"id{n}", n / 7, n / 3, author=f"author {n}") for n in range(1, 40)]
    renamed = [record(f"other{n}", n / 7, n / 3, author=f"author {n}") for n in range(1, 40)]
    split = SplitConfig(holdout=0.1, router_queries=0.2, benchmark=0.2, by=("author", "place"))
    one, _ = build_catalogue(ListedSource(records), split, 8)
    other, _ = build_catalogue(ListedSource(renamed), split, 8)

    def sets(table):
        return dict(zip(table["lat_deg"].to_pylist(), table["set_name"].to_pylist(), strict=True))

    assert sets(one) == sets(other)


def test_shards_are_near_the_wished_size_and_a_record_more_changes_one():
    records = [record(f"id{n}", n % 80 + 0.5, n / 3) for n in range(1, 501)]
    before, _ = build_catalogue(ListedSource(records[:499]), ALL_TRAIN, 100)
    after, _ = build_catalogue(ListedSource(records), ALL_TRAIN, 100)
    counts = Counter(after["shard"].to_pylist())
    assert sorted(counts) == [f"reference-{n:03d}" for n in range(5)]
    assert max(counts.values()) < 140
    members = [defaultdict(set), defaultdict(set)]
    for table, found in zip((before, after), members, strict=True):
        for image_id, shard in zip(table["image_id"].to_pylist(), table["shard"].to_pylist(), strict=True):
            found[shard].add(image_id)
    assert sum(members[0][shard] != members[1][shard] for shard in counts) == 1


def test_sets_given_by_the_source_become_shards():
    given = [record("q", 1.0, 1.0, set_name="planet_mixed"), record("t", 2.0, 2.0, set_name="train")]
    catalogue, _ = build_catalogue(ListedSource(given), ALL_TRAIN, 10)
    assert catalogue["shard"].to_pylist() == ["planet_mixed", "reference-000"]
    with pytest.raises(SourceError, match=r"set name '\.\./x'"):
        build_catalogue(ListedSource([record("q", 1.0, 1.0, set_name="../x")]), ALL_TRAIN, 10)


def test_a_shard_is_decoded_and_its_failures_are_kept():
    files = {
        "good.jpg": with_exif(10.0, 20.0, 6, quartered(120, 80)),
        "empty.jpg": b"",
        "cut.jpg": encoded(quartered(300, 300))[:900],
        "bomb.jpg": bomb_png(),
        "text.jpg": b"<html>404</html>",
    }
    listed = [record(name.removesuffix(".jpg"), 1.0, 2.0, credit="by Ann") for name in [*files, "gone.jpg"]]
    source = ListedSource(listed, files)
    catalogue, _ = build_catalogue(source, ALL_TRAIN, 10)
    images, quarantine = decode_shard(source, catalogue, 64)
    (image,) = images.to_pylist()
    assert (image["image_id"], image["width"], image["height"], image["credit"]) == ("good", 64, 96, "by Ann")
    rows = {row["image_id"]: (row["reason"], row["first_bytes_kind"]) for row in quarantine.to_pylist()}
    assert rows == {
        "empty": ("zero_bytes", "empty"),
        "cut": ("truncated", "jpeg"),
        "bomb": ("decompression_bomb", "png"),
        "text": ("unreadable", "html"),
        "gone": ("missing_file", None),
    }
    assert images.num_rows + quarantine.num_rows == catalogue.num_rows


def test_a_folder_of_photographs_with_exif_becomes_a_catalogue(tmp_path):
    for number in range(12):
        (tmp_path / f"{number}.jpg").write_bytes(with_exif(5.0 * number - 30, 10.0 * number - 65))
    source = FolderSource(tmp_path)
    catalogue, quarantine = build_catalogue(source, SplitConfig.photographs(), 64)
    assert quarantine.num_rows == 0
    assert Counter(catalogue["shard"].to_pylist()) == {"reference-000": 7, "router_queries": 2, "photos": 3}
    images, failures = decode_shard(source, catalogue, 64)
    assert (images.num_rows, failures.num_rows) == (12, 0)


@pytest.mark.shared_data
def test_the_423_photographs(shared_dir):
    folder = shared_dir / "photos"
    source = FolderSource(folder / "images", folder / "manifest.csv")
    catalogue, quarantine = build_catalogue(source, SplitConfig.photographs(), 64)
    assert (catalogue.num_rows, quarantine.num_rows) == (423, 0)
    names = catalogue["set_name"].to_pylist()
    sides = ["pool" if name in ("train", "holdout") else name for name in names]
    counts = Counter(sides)
    assert counts["pool"] == pytest.approx(0.60 * 423, abs=8)
    assert counts["router_queries"] == pytest.approx(0.15 * 423, abs=5)
    assert counts["photos"] == pytest.approx(0.25 * 423, abs=5)
    assert names.count("holdout") >= 10
    for column in ("author", "place_token"):
        found = defaultdict(set)
        for key, name in zip(catalogue[column].to_pylist(), sides, strict=True):
            found[key].add(name)
        assert max(map(len, found.values())) == 1, column
    some = catalogue.slice(0, 20)
    images, failures = decode_shard(source, some, 64)
    assert (images.num_rows, failures.num_rows) == (20, 0)
    assert min(images["width"].to_pylist() + images["height"].to_pylist()) == 64
    assert len(set(zip(images["width"].to_pylist(), images["height"].to_pylist(), strict=True))) > 1


@pytest.mark.shared_data
def test_the_originals_by_their_exif(shared_dir):
    source = FolderSource(shared_dir / "photos" / "originals")
    catalogue, quarantine = build_catalogue(source, ALL_TRAIN, 64)
    assert catalogue.num_rows + quarantine.num_rows == 79
    reasons = Counter(quarantine["reason"].to_pylist())
    assert reasons in ({"no_coordinate": 49, "heif_unsupported": 1}, {"no_coordinate": 49})


def test_a_benchmarks_missing_file_stays_in_its_denominator():
    listed = [
        record("here", 1.0, 2.0, set_name="im2gps"),
        record("gone", 3.0, 4.0, set_name="im2gps", problem="missing_file"),
        record("pool", 5.0, 6.0, problem="missing_file"),
        record("train", 7.0, 8.0),
    ]
    source = ListedSource(listed, {"here.jpg": encoded(quartered()), "train.jpg": encoded(quartered())})
    catalogue, quarantine = build_catalogue(source, ALL_TRAIN, shard_rows=10)
    assert set(catalogue["image_id"].to_pylist()) == {"here", "gone", "train"}
    assert quarantine["image_id"].to_pylist() == ["pool"]
    benchmark = catalogue.filter([name == "im2gps" for name in catalogue["shard"].to_pylist()])
    images, failed = decode_shard(source, benchmark, shorter_side=64)
    assert images["image_id"].to_pylist() == ["here"]
    assert failed.select(["image_id", "reason"]).to_pylist() == [{"image_id": "gone", "reason": "missing_file"}]
