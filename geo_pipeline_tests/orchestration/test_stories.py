"""What a change costs, told by Dagster: its staleness marks, observations and materializations."""

from pathlib import Path

import dagster as dg
import pytest

from geo_pipeline.commands.status import asset_states
from geo_pipeline.orchestration.bring_up_to_date import wanted
from geo_pipeline_tests.orchestration.picture_lineage import KEPT, Opened, Pictures, lineage_of

BEGINNING = range(40)
SHARDED = ("catalogue", "images", "segmentations", "features")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder of forty photographs whose lineage is up to date; each story goes on with a copy of its own."""
    pictures = Pictures(tmp_path_factory.mktemp("pictures") / "first")
    for number in BEGINNING:
        pictures.photograph(number)
    pictures.listed(BEGINNING)
    with pictures.opened():
        executed = pictures.bring_up()
        assert list(executed) == list(KEPT)
        assert pictures.stale_marks() == (set(), set())
    return pictures


@pytest.fixture
def pictures(finished, tmp_path):
    with finished.copied(tmp_path / "copy").opened() as mine:
        yield mine


def told_after_a_change_of_photographs(pictures, numbers, also=()):
    """One observation, then the catalogue, then the rest: marks, record and files against these photographs' shards."""
    before, cursor = pictures.files(), pictures.cursor()
    assert pictures.stale_marks() == (set(), set()), "nobody has looked yet"
    changed = pictures.look()
    everywhere = len(lineage_of(pictures.profile).assets["catalogue"].keys)
    assert 0 < len(changed) < everywhere
    dagsters, ours = pictures.stale_marks()
    assert dagsters == ours == {("catalogue", key) for key in changed}, "one observation, and both know"
    assert pictures.files() == before
    assert pictures.look() == []
    pictures.bring_up("catalogue")
    shards = sorted({*pictures.shards_of(numbers), *also})
    assert changed == shards
    assert pictures.materialized(cursor) == {"catalogue": shards}
    dagsters, ours = pictures.stale_marks()
    assert dagsters == ours == {("images", key) for key in shards}
    executed = pictures.bring_up()
    assert "catalogue" not in executed
    made = pictures.materialized(cursor)
    assert {name: made[name] for name in SHARDED} == dict.fromkeys(SHARDED, shards)
    assert pictures.stale_marks() == (set(), set())
    after = pictures.files()
    touched = {place for place, when in before.items() if after[place] != when}
    assert {place.rpartition("/")[2].removesuffix(".parquet") for place in touched} <= set(shards)
    assert {f"{name}/{key}.parquet" for name in SHARDED for key in shards} <= touched
    assert pictures.bring_up() == {}
    return shards


def test_added_photographs_cost_their_shards(pictures):
    for number in (100, 101):
        pictures.photograph(number)
    pictures.listed([*BEGINNING, 100, 101])
    told_after_a_change_of_photographs(pictures, [100, 101])
    assert len(pictures.shards_of(BEGINNING)) >= len(pictures.shards_of([100, 101]))


def test_a_replaced_photograph_costs_its_shard(pictures):
    pictures.photograph(5, "another colour")
    assert len(told_after_a_change_of_photographs(pictures, [5])) == 1


def test_a_deleted_photograph_costs_its_shard(pictures):
    shard = pictures.shards_of([7])
    (pictures.folder / "photographs" / "photo-007.jpg").unlink()
    pictures.listed([number for number in BEGINNING if number != 7])
    assert told_after_a_change_of_photographs(pictures, [], also=shard) == shard
    assert pictures.shards_of([7]) == []


def test_an_observation_in_dagster_marks_the_shard_of_a_replaced_photograph(pictures):
    shard, observed = pictures.shards_of([5]), pictures.instance.fetch_observations
    count = len(observed(dg.AssetKey("photographs"), limit=1000).records)
    pictures.photograph(5, "another colour")
    assert pictures.look_in_dagster() == shard
    assert len(observed(dg.AssetKey("photographs"), limit=1000).records) == count + 1
    dagsters, ours = pictures.stale_marks()
    assert dagsters == ours == {("catalogue", key) for key in shard}
    assert pictures.look_in_dagster() == []
    assert pictures.look() == [], "the home knows of it too"
    assert pictures.bring_up()["catalogue"] == shard
    assert pictures.stale_marks() == (set(), set())


def test_an_observation_opens_the_metadata_and_no_photograph(pictures):
    opened = Opened(pictures.folder / "photographs")
    for look, number in ((pictures.look, 5), (pictures.look_in_dagster, 6)):
        pictures.photograph(number, "another colour")
        with opened.watched() as files:
            assert len(look()) == 1
        assert {Path(file).name for file in files} == {"photographs.csv"}
    with opened.watched() as files:
        pictures.bring_up()
    assert {Path(file).name for file in files} >= {"photo-005.jpg", "photo-006.jpg"}, "decoding does open them"


def test_the_status_gives_no_number_of_rows_for_photographs_which_it_does_not_read(pictures):
    states = {each.asset: each for each in asset_states(lineage_of(pictures.profile), pictures.home, None)}
    assert states["photographs"].rows is None
    assert states["catalogue"].rows == len(BEGINNING)


@pytest.mark.parametrize(
    ("selection", "looks"),
    [(None, True), ("*", True), ("+images", True), ("catalogue", True), ("photographs", True), ("images", False)],
)
def test_a_run_looks_at_the_photographs_before_what_reads_them(tmp_path, selection, looks):
    definitions, lineage, _ = Pictures(tmp_path).location()
    names = list(wanted(definitions, lineage, selection).assets)
    assert ("photographs" in names) is looks
    assert names == [name for name in lineage.assets if name in names]


def test_another_oneformer_makes_segmentations_and_what_follows_stale_and_nothing_before(pictures):
    cursor = pictures.cursor()
    pictures.segmentation = {"input_px": 96}
    keys = lineage_of(pictures.profile).assets["segmentations"].keys
    dagsters, ours = pictures.stale_marks()
    assert dagsters == ours == {("segmentations", key) for key in keys}
    sharded = {(name, key) for name in ("segmentations", "features") for key in keys}
    assert pictures.not_up_to_date() == sharded | {("segmentation_manifest", "all"), ("reference_gallery", "all")}
    before = pictures.files()
    pictures.bring_up()
    assert set(pictures.materialized(cursor)) == {
        "segmentations", "segmentation_manifest", "features", "reference_gallery"
    }  # fmt: skip
    assert pictures.stale_marks() == (set(), set())
    after = pictures.files()
    assert {place: after[place] for place in before if place.startswith(("catalogue", "images", "quarantine"))} == {
        place: when for place, when in before.items() if place.startswith(("catalogue", "images", "quarantine"))
    }


def test_one_segmentation_shard_made_again_leaves_the_others_untouched(pictures):
    cursor, before = pictures.cursor(), pictures.files()
    (pictures.home.root / "tables" / "segmentations" / "reference-001.parquet").unlink()
    definitions, _, compute = pictures.location()
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey("segmentations")})
    assert job.execute_in_process(instance=pictures.instance, partition_key="reference-001").success
    assert pictures.materialized(cursor) == {"segmentations": ["reference-001"]}
    after = pictures.files()
    assert {place for place in before if after[place] != before[place]} == {"segmentations/reference-001.parquet"}
    assert compute.calls == ["FlatMaps"]
    assert pictures.stale_marks() == (set(), set()), "it came out as it was, so nothing after it is stale"
    assert pictures.bring_up() == {}


def test_a_backfill_of_a_range_loads_once_and_after_a_kill_does_only_what_is_missing(pictures):
    cursor = pictures.cursor()
    pictures.segmentation = {"input_px": 96}
    keys = lineage_of(pictures.profile).assets["segmentations"].keys
    wanted = keys[1:5]
    tags = {"dagster/asset_partition_range_start": wanted[0], "dagster/asset_partition_range_end": wanted[-1]}

    def backfill(stop_after=None):
        definitions, _, compute = pictures.location()
        compute.stop_after = stop_after
        job = definitions.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={dg.AssetKey("segmentations")}
        )
        done = job.execute_in_process(instance=pictures.instance, tags=tags, raise_on_error=stop_after is None)
        return done.success, compute.calls

    assert backfill(stop_after=3) == (False, ["FlatMaps"])
    finished = pictures.materialized(cursor)["segmentations"]
    assert finished == sorted(wanted[:3]), "a shard is written as soon as it is whole"
    times = pictures.files()
    assert backfill() == (True, ["FlatMaps"])
    assert pictures.materialized(cursor)["segmentations"] == sorted(wanted)
    assert {
        key
        for key in wanted[:3]
        if pictures.files()[f"segmentations/{key}.parquet"] != times[f"segmentations/{key}.parquet"]
    } == set()
    assert backfill() == (True, [])
    stale = {("segmentations", key) for key in keys if key not in wanted}
    assert stale <= pictures.stale_marks()[0]


@pytest.mark.parametrize("name", SHARDED)
def test_two_shards_whose_files_were_exchanged_are_made_again(pictures, name):
    one, other = sorted((pictures.home.root / "tables" / name).glob("*.parquet"))[:2]
    before = one.read_bytes(), other.read_bytes()
    kept = one.rename(one.with_name("kept"))
    other.rename(one)
    kept.rename(other)
    ours = pictures.stale_marks()[1]
    assert {(name, one.stem), (name, other.stem)} <= ours
    assert {one.stem, other.stem} <= set(pictures.bring_up()[name])
    assert (one.read_bytes(), other.read_bytes()) == before
