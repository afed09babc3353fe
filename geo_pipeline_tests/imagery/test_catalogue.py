"""From a source to catalogue and quarantine: every record stands in one of the two."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.contracts.contract import load
from geo_pipeline.imagery.catalogue import EmptyCatalogueError, build_catalogue
from geo_pipeline.imagery.ingest import decode_shard
from geo_pipeline.imagery.opening import open_source
from geo_pipeline.imagery.shard_plan import ShardPlan
from geo_pipeline.imagery.source import MissingImageError, SourceError, SourceRecord, batches_of, read_each
from geo_pipeline.imagery.split import SplitConfig
from geo_pipeline_tests.imagery.drawn_files import encoded, quartered, with_exif

ALL_TRAIN = SplitConfig(holdout=0.0, router_queries=0.0)
SPLIT = SplitConfig(holdout=0.1, router_queries=0.2, benchmark=0.2)
PLAN = ShardPlan(3, ("router_queries", "photos", "planet_mixed", "im2gps"))


@dataclass
class ListedSource:
    """A source that holds its records and bytes in memory."""

    listed: list[SourceRecord]
    files: dict[str, bytes] = field(default_factory=dict)

    def fingerprint(self):
        return "fixed"

    def listing(self):
        return batches_of(self.listed)

    def read(self, locator):
        if locator not in self.files:
            raise MissingImageError(f"{locator} is gone")
        return self.files[locator]

    def read_many(self, locators):
        return read_each(self.read, locators)


def record(image_id, lat, lon, **more):
    return SourceRecord(image_id, f"{image_id}.jpg", lat_deg=lat, lon_deg=lon, **more)


def tables(source, split=ALL_TRAIN, plan=PLAN):
    """Catalogue and quarantine of all shards; each of them keeps its contract."""
    made = build_catalogue(source, split, plan)
    kept = pa.concat_tables([load("catalogue").conform(made.kept(key)) for key in plan.keys])
    refused = pa.concat_tables([load("quarantine").conform(made.refused(key)) for key in plan.keys])
    assert (kept.num_rows, refused.num_rows) == (made.rows, made.rejected)
    return kept, refused


def column(table, key, value):
    return dict(zip(table[key].to_pylist(), table[value].to_pylist(), strict=True))


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
    catalogue, quarantine = tables(source, ALL_TRAIN)
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


def test_of_records_with_one_id_the_first_good_one_is_kept_and_the_others_say_where_it_was():
    listed = [record("a", None, 1.0), record("b", 3.0, 3.0), record("a", 1.0, 1.0), record("a", 2.0, 2.0)]
    listed += [replace(record("a", 4.0, 4.0), locator="other/a.jpg"), record("b", 1.0, 181.0)]
    catalogue, quarantine = tables(ListedSource(listed))
    assert column(catalogue, "image_id", "lat_deg") == {"a": 1.0, "b": 3.0}
    reasons = Counter(quarantine["reason"].to_pylist())
    assert reasons == {"no_coordinate": 1, "duplicate_id": 2, "lon_out_of_range": 1}
    details = [row["detail"] for row in quarantine.to_pylist() if row["reason"] == "duplicate_id"]
    assert sorted(details)[0] == "The id a was given before, for a.jpg; the first is kept."


def test_the_sources_own_reason_goes_before_all_others():
    listed = [
        record("good", 1.0, 1.0),
        record("good", 100.0, 1.0, problem="path_outside", detail="It lies outside."),
        record("said", 100.0, 1.0, detail="Row 7 was odd.", first_bytes_kind="heif"),
    ]
    _, quarantine = tables(ListedSource(listed))
    rows = {row["reason"]: (row["detail"], row["first_bytes_kind"]) for row in quarantine.to_pylist()}
    assert rows == {
        "path_outside": ("It lies outside.", None),
        "lat_out_of_range": ("Row 7 was odd.; latitude 100.0, longitude 1.0", "heif"),
    }


def test_a_record_without_id_or_place_is_refused_and_not_lost():
    listed = [record("good", 1.0, 1.0), replace(record("x", 1.0, 1.0), image_id=""), record("", 2.0, 2.0)]
    listed += [replace(record("nowhere", 1.0, 1.0), locator=""), replace(record("q", 1.0, 1.0), locator="")]
    listed[-1] = replace(listed[-1], set_name="im2gps", problem="missing_file")
    catalogue, quarantine = tables(ListedSource(listed))
    assert column(catalogue, "image_id", "locator") == {"good": "good.jpg", "q": "q"}
    assert sorted(quarantine["reason"].to_pylist()) == ["missing_file", "no_id", "no_id"]
    assert set(quarantine["image_id"].to_pylist()) == {None, "nowhere"}


def test_an_empty_or_hopeless_source_is_one_clear_error():
    with pytest.raises(EmptyCatalogueError, match="found no photograph at all"):
        tables(ListedSource([]))
    hopeless = ListedSource([record("a", None, 1.0), record("b", 0.0, 0.0), record("c", 0.0, 0.0)])
    with pytest.raises(EmptyCatalogueError, match=r"found 3 photographs .*null_island 2, no_coordinate 1.*a\.jpg"):
        tables(hopeless)


def test_the_order_of_the_source_leaves_no_trace():
    records = [record(f"id{n}", n / 7, n / 3, author=f"author {n}") for n in range(1, 40)]
    assert tables(ListedSource(records), SPLIT)[0].equals(tables(ListedSource(records[::-1]), SPLIT)[0])


def test_ids_and_file_names_do_not_move_a_photograph_to_another_set():
    records = [record(f"id{n}", n / 7, n / 3, author=f"author {n}") for n in range(1, 40)]
    renamed = [record(f"other{n}", n / 7, n / 3, author=f"author {n}") for n in range(1, 40)]
    split = replace(SPLIT, by=("author", "place"))
    one, other = (tables(ListedSource(listed), split)[0] for listed in (records, renamed))
    assert column(one, "lat_deg", "set_name") == column(other, "lat_deg", "set_name")


coordinate = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(-200.0, 200.0))
text = st.text(st.characters(exclude_categories=("Cs",)), max_size=4)
any_record = st.builds(
    SourceRecord,
    image_id=text,
    locator=text,
    author=st.none() | text,
    lat_deg=coordinate,
    lon_deg=coordinate,
    set_name=st.sampled_from((None, "train", "router_queries", "im2gps")),
    problem=st.sampled_from((None, None, None, "missing_file", "unreadable")),
    detail=text,
    block=st.sampled_from((None, "a.tar#0", "a.tar#1")),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(any_record, max_size=25))
def test_whatever_the_source_says_every_record_is_kept_or_refused(listed):
    listed = [record("surely usable", 1.0, 1.0), *listed]
    kept, refused = tables(ListedSource(listed), plan=ShardPlan(2, ("router_queries", "im2gps")))
    assert kept.num_rows + refused.num_rows == len(listed)


def test_a_record_more_changes_one_shard_and_a_shard_more_moves_only_into_it():
    records = [record(f"id{n}", n % 80 + 0.5, n / 3) for n in range(1, 501)]
    plan = ShardPlan(5)
    members = []
    for listed, each in ((records[:499], plan), (records, plan), (records, ShardPlan(6))):
        found = defaultdict(set)
        for image_id, shard in column(tables(ListedSource(listed), plan=each)[0], "image_id", "shard").items():
            found[shard].add(image_id)
        members.append(found)
    before, after, wider = members
    assert sorted(after) == [f"reference-{n:03d}" for n in range(5)]
    assert max(map(len, after.values())) < 140
    assert sum(before[shard] != after[shard] for shard in after) == 1
    assert all(wider[shard] <= after[shard] for shard in after)


def test_photographs_of_one_block_share_a_shard_wherever_they_are_refused_or_kept():
    listed = [
        record(
            f"id{n}", n % 80 + 0.5, n / 3, block=f"images-0{n % 2}.tar#{n % 4}", problem="unreadable" * (n > 90) or None
        )
        for n in range(100)
    ]
    plan = ShardPlan(40)
    made = build_catalogue(ListedSource(listed), ALL_TRAIN, plan)
    filled = [key for key in plan.keys if made.kept(key).num_rows + made.refused(key).num_rows]
    assert 2 <= len(filled) <= 4
    assert sum(made.refused(key).num_rows for key in filled) == 9
    assert sum(sum(made.reasons(key).values()) for key in filled) == 9


def test_offset_and_stamp_are_stored():
    places = {
        "tar": ("images-00.tar!e1/55/a@b+c!.jpg@1536+48213", 1536),
        "parquet": ("im2gps|train.parquet!x@12345+1", 12345),
        "loose": ("e1/a@1+2.jpg", None),
        "odd": ("bang!.jpg", None),
        "huge": ("a.tar!x@99999999999999999999999+1", None),
    }
    listed = [replace(record(name, 1.0, 2.0, stamp=f"s-{name}"), locator=place) for name, (place, _) in places.items()]
    catalogue, _ = tables(ListedSource(listed))
    assert column(catalogue, "image_id", "source_offset") == {name: offset for name, (_, offset) in places.items()}
    assert column(catalogue, "image_id", "stamp") == {name: f"s-{name}" for name in places}


def test_sets_given_by_the_source_become_shards_and_unknown_ones_are_refused_by_name():
    given_sets = [record("q", 1.0, 1.0, set_name="planet_mixed"), record("t", 2.0, 2.0, set_name="train")]
    given_sets.append(record("bad", 100.0, 2.0, set_name="im2gps"))
    made = build_catalogue(ListedSource(given_sets), ALL_TRAIN, ShardPlan(1, PLAN.query_sets))
    assert made.kept("planet_mixed")["image_id"].to_pylist() == ["q"]
    assert made.kept("reference-000")["shard"].to_pylist() == ["reference-000"]
    assert made.refused("im2gps")["reason"].to_pylist() == ["lat_out_of_range"]
    with pytest.raises(SourceError, match=r"the set '\.\./x'; expected one of train, holdout, .*--benchmark"):
        tables(ListedSource([record("q", 1.0, 1.0, set_name="../x")]))


def test_a_large_query_set_has_several_shards_of_like_size():
    plan = ShardPlan(2, ("router_queries", "im2gps", "yfcc26k"), (4, 1, 3))
    assert plan.keys == (
        "reference-000", "reference-001",
        "router_queries-000", "router_queries-001", "router_queries-002", "router_queries-003",
        "im2gps",
        "yfcc26k-000", "yfcc26k-001", "yfcc26k-002",
    )  # fmt: skip
    sets = ("train", "router_queries", "im2gps", "yfcc26k")
    listed = [record(f"id{n}", n % 80 + 0.5, n / 7, set_name=sets[n % 4]) for n in range(1200)]
    kept, _ = tables(ListedSource(listed), ALL_TRAIN, plan)
    counts = defaultdict(Counter)
    for image_id, shard in column(kept, "image_id", "shard").items():
        counts[column(kept, "image_id", "set_name")[image_id]][shard] += 1
    assert set(counts["router_queries"]) == set(plan.query_keys["router_queries"])
    assert set(counts["yfcc26k"]) == set(plan.query_keys["yfcc26k"])
    assert counts["im2gps"] == {"im2gps": 300}
    assert set(counts["train"]) == {"reference-000", "reference-001"}
    assert max(counts["router_queries"].values()) < 120
    assert max(counts["yfcc26k"].values()) < 150


def test_a_plan_without_a_shard_is_refused():
    with pytest.raises(ValueError, match=r"found 0 reference shards.*--shards"):
        ShardPlan(0)
    for wrong in ((1,), (0, 1)):
        with pytest.raises(ValueError, match=r"expected one number of at least 1 for each; correct query_shards"):
            ShardPlan(1, ("router_queries", "im2gps"), wrong)


def test_a_benchmarks_missing_file_stays_in_its_denominator():
    listed = [
        record("here", 1.0, 2.0, set_name="im2gps"),
        record("gone", 3.0, 4.0, set_name="im2gps", problem="missing_file"),
        record("lost", 0.0, 0.0, set_name="im2gps", problem="missing_file"),
        record("pool", 5.0, 6.0, problem="missing_file"),
        record("train", 7.0, 8.0),
    ]
    source = ListedSource(listed, {"here.jpg": encoded(quartered()), "train.jpg": encoded(quartered())})
    made = build_catalogue(source, ALL_TRAIN, PLAN)
    benchmark = made.kept("im2gps")
    assert benchmark["image_id"].to_pylist() == ["gone", "here"]
    assert made.refused("im2gps").select(["image_id", "reason"]).to_pylist() == [
        {"image_id": "lost", "reason": "null_island"}
    ]
    images, failed = decode_shard(source, benchmark, shorter_side=64)
    assert images["image_id"].to_pylist() == ["here"]
    assert failed.select(["image_id", "reason"]).to_pylist() == [{"image_id": "gone", "reason": "missing_file"}]


def test_a_folder_of_photographs_with_exif_becomes_a_catalogue(tmp_path):
    for number in range(12):
        (tmp_path / f"{number}.jpg").write_bytes(with_exif(5.0 * number - 30, 10.0 * number - 65))
    source = open_source(str(tmp_path))
    catalogue, quarantine = tables(source, SplitConfig.photographs(), ShardPlan(1, ("router_queries", "photos")))
    assert quarantine.num_rows == 0
    counts = Counter(catalogue["shard"].to_pylist())
    assert set(counts) == {"reference-000", "router_queries", "photos"}
    assert sum(counts.values()) == 12
    images, failures = decode_shard(source, catalogue, 64)
    assert (images.num_rows, failures.num_rows) == (12, 0)


@pytest.mark.shared_data
def test_the_423_photographs(shared_dir):
    folder = shared_dir / "photos"
    source = open_source(str(folder / "images"), str(folder / "manifest.csv"))
    catalogue, quarantine = tables(source, SplitConfig.photographs())
    assert (catalogue.num_rows, quarantine.num_rows) == (423, 0)
    names = catalogue["set_name"].to_pylist()
    sides = ["pool" if name in ("train", "holdout") else name for name in names]
    counts = Counter(sides)
    assert counts["pool"] == pytest.approx(0.60 * 423, abs=25)
    assert counts["router_queries"] == pytest.approx(0.15 * 423, abs=25)
    assert counts["photos"] == pytest.approx(0.25 * 423, abs=25)
    assert names.count("holdout") >= 10
    for key in ("author", "place_token"):
        found = defaultdict(set)
        for value, name in zip(catalogue[key].to_pylist(), sides, strict=True):
            found[value].add(name)
        assert max(map(len, found.values())) == 1, key


@pytest.mark.shared_data
def test_the_originals_by_their_exif(shared_dir):
    catalogue, quarantine = tables(open_source(str(shared_dir / "photos" / "originals")))
    assert catalogue.num_rows + quarantine.num_rows == 79
    reasons = Counter(quarantine["reason"].to_pylist())
    assert reasons in ({"no_coordinate": 49, "heif_unsupported": 1}, {"no_coordinate": 49})
