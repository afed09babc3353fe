"""A reference collection and benchmarks as one source: nothing clashes, nothing is lost, each is read from its own."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo_pipeline.imagery.catalogue import build_catalogue
from geo_pipeline.imagery.combined import CombinedSource, SourcePart, named, parted
from geo_pipeline.imagery.shard_plan import ShardPlan
from geo_pipeline.imagery.source import MissingImageError, SourceError, SourceRecord, batches_of, read_each, records_of
from geo_pipeline.imagery.split import SplitConfig

ALL_TRAIN = SplitConfig(holdout=0.0, router_queries=0.0)


@dataclass
class ListedSource:
    """A source in memory that notes which locators were asked of it together."""

    listed: list[SourceRecord]
    mark: str = "a"
    asked: list = field(default_factory=list)

    def fingerprint(self):
        return self.mark

    def listing(self):
        return batches_of(self.listed)

    def read(self, locator):
        if locator not in {record.locator for record in self.listed}:
            raise MissingImageError(f"{locator} is gone")
        return f"{self.mark}:{locator}".encode()

    def read_many(self, locators):
        self.asked.append(list(locators))
        return read_each(self.read, locators)


def record(image_id, number, **more):
    return SourceRecord(image_id, f"{image_id}.jpg", lat_deg=1.0 + number, lon_deg=2.0, **more)


@pytest.fixture
def parts():
    reference = ListedSource([record(f"p{n}", n) for n in range(4)] + [record("a|b", 5, block="x.tar#0")], "reference")
    queries = ListedSource([record("p0", 7, set_name="train"), record("q", 8, block="x.tar#0")], "queries")
    return reference, queries


@pytest.fixture
def whole(parts):
    return CombinedSource((SourcePart(None, parts[0]), SourcePart("im2gps3k", parts[1])))


def test_a_benchmarks_photographs_have_names_of_their_own_and_the_reference_keeps_its(whole):
    found = {record.image_id: (record.locator, record.set_name, record.block) for record in records_of(whole.listing())}
    assert found["p0"] == ("p0.jpg", None, None)
    assert found["im2gps3k|p0"] == ("im2gps3k|p0.jpg", "im2gps3k", None)
    assert found["im2gps3k|q"] == ("im2gps3k|q.jpg", "im2gps3k", "im2gps3k|x.tar#0")
    assert found["|a|b"] == ("|a|b.jpg", None, "x.tar#0")
    assert len(found) == 7


def test_an_id_in_both_collections_is_no_duplicate(whole):
    made = build_catalogue(whole, ALL_TRAIN, ShardPlan(2, ("im2gps3k",)))
    assert (made.rows, made.rejected) == (7, 0)
    assert made.kept("im2gps3k")["image_id"].to_pylist() == ["im2gps3k|p0", "im2gps3k|q"]


def test_an_id_that_is_missing_stays_missing(parts):
    nameless = ListedSource([SourceRecord("", "", lat_deg=1.0, lon_deg=1.0)])
    whole = CombinedSource((SourcePart(None, parts[0]), SourcePart("im2gps", nameless)))
    made = build_catalogue(whole, ALL_TRAIN, ShardPlan(1, ("im2gps",)))
    assert made.refused("im2gps")["reason"].to_pylist() == ["no_id"]


def test_a_benchmark_more_leaves_the_reference_shards_as_they_were(parts, whole):
    alone = build_catalogue(parts[0], ALL_TRAIN, ShardPlan(3))
    plan = ShardPlan(3, ("im2gps3k",))
    both = build_catalogue(whole, ALL_TRAIN, plan)
    for key in ("reference-000", "reference-001", "reference-002"):
        ids = [name for name in both.kept(key)["image_id"].to_pylist() if "|" not in name]
        assert ids == [name for name in alone.kept(key)["image_id"].to_pylist() if "|" not in name]


def test_each_photograph_is_read_from_its_own_part_and_neighbours_together(parts, whole):
    locators = ["p1.jpg", "p2.jpg", "im2gps3k|q.jpg", "im2gps3k|gone.jpg", "|a|b.jpg", "im2gps3k|p0.jpg"]
    read = list(whole.read_many(locators))
    assert isinstance(read[3], MissingImageError)
    expected = [b"reference:p1.jpg", b"reference:p2.jpg", b"queries:q.jpg", b"reference:a|b.jpg", b"queries:p0.jpg"]
    assert read[:3] + read[4:] == expected
    assert parts[0].asked == [["p1.jpg", "p2.jpg"], ["a|b.jpg"]]
    assert whole.read("im2gps3k|p0.jpg") == b"queries:p0.jpg"
    with pytest.raises(MissingImageError, match="found no source of photographs for yfcc4k"):
        whole.read("yfcc4k|p0.jpg")


def test_the_fingerprint_follows_every_part_and_its_name(parts, whole):
    other = CombinedSource((SourcePart(None, parts[0]), SourcePart("im2gps", parts[1])))
    assert whole.fingerprint() != other.fingerprint()
    before = whole.fingerprint()
    parts[1].mark = "changed"
    assert whole.fingerprint() != before


def test_two_sources_of_one_set_are_refused(parts):
    with pytest.raises(SourceError, match="more than one source of photographs for im2gps"):
        CombinedSource((SourcePart("im2gps", parts[0]), SourcePart("im2gps", parts[1])))
    with pytest.raises(SourceError, match="a name without"):
        CombinedSource((SourcePart("im|gps", parts[0]),))


@given(st.sampled_from((None, "im2gps", "yfcc4k")), st.text(max_size=6))
def test_names_are_read_back(set_name, text):
    assert parted(named(set_name, text)) == (set_name, text)
