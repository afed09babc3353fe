import json
import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geo_pipeline.contracts.contract import ContractError
from geo_pipeline.home.artifact import checkpoint, manifest, table
from geo_pipeline.home.home import Home, MissingArtifactError
from geo_pipeline.home.views import NoTablesError, query, refresh_views


def features(*values):
    ids = [f"image-{number}" for number in range(len(values))]
    column = pa.array([[value / 100] for value in values], pa.list_(pa.float32()))
    return pa.table({"image_id": pa.array(ids, pa.string()), "feature": column})


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def test_the_same_rows_give_the_same_bytes_whatever_their_chunks(home, tmp_path):
    whole = features(1.0, 2.0, 3.0)
    pieces = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    first = home.write_table("features", "a", whole, "f")
    second = Home(tmp_path / "other").write_table("features", "a", pieces, "f")
    assert first == second == home.stored(table("features", "a"))
    assert (home.root / "tables/features/a.parquet").read_bytes() == (
        tmp_path / "other/tables/features/a.parquet"
    ).read_bytes()
    assert home.write_table("features", "a", features(1.0, 2.0, 4.0), "f").content_hash != first.content_hash


def test_the_fingerprint_is_no_content(home):
    first, second = (home.write_table("features", "a", features(1.0), name) for name in ("f", "g"))
    assert first.content_hash == second.content_hash
    assert (first.fingerprint, second.fingerprint) == ("f", "g")


def test_a_table_that_breaks_its_contract_leaves_what_was_there(home):
    home.write_table("features", "a", features(1.0), "f")
    before = home.stored(table("features", "a"))
    with pytest.raises(ContractError):
        home.write_table("features", "a", features(1.0).append_column("extra", pa.array([1])), "g")
    assert home.stored(table("features", "a")) == before
    assert [path.name for path in (home.root / "tables/features").iterdir()] == ["a.parquet"]


def test_a_checkpoint_has_one_folder_per_key(home):
    for key in ("deep", "flat"):
        artifact = checkpoint("variants", key)
        built = home.building_location(artifact, "same")  # variants of one asset may have one fingerprint
        built.mkdir(parents=True)
        (built / "weights").write_text(key)
        home.commit_folder(artifact, "same")
    assert [(home.checkpoint("variants", key) / "weights").read_text() for key in ("deep", "flat")] == ["deep", "flat"]
    with pytest.raises(MissingArtifactError, match=r"found no checkpoint variants \[other\].*materialize `variants`"):
        home.checkpoint("variants", "other")


def test_rows_that_come_out_as_they_were_keep_their_file_and_take_the_new_fingerprint(home, tmp_path):
    home.write_table("features", "a", features(1.0), "f")
    place = home.root / "tables/features/a.parquet"
    before = place.stat()
    assert home.write_table("features", "a", features(1.0), "g").fingerprint == "g"
    assert (place.stat().st_mtime_ns, place.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert home.stored(table("features", "a")).fingerprint == "g"
    moved = Home(home.root.rename(tmp_path / "moved"))
    assert moved.stored(table("features", "a")).fingerprint == "g"
    moved.write_table("features", "a", features(2.0), "h")
    assert moved.stored(table("features", "a")).fingerprint == "h"
    assert [path.name for path in (moved.root / "tables/features").iterdir()] == ["a.parquet"]


def test_a_note_about_other_rows_is_not_believed(home):
    home.write_table("features", "a", features(1.0), "f")
    home.write_table("features", "a", features(1.0), "g")
    note = home.root / "tables/features/.a.parquet.confirmed"
    kept = note.read_text()
    home.write_table("features", "a", features(2.0), "h")
    note.write_text(kept)
    assert home.stored(table("features", "a")).fingerprint == "h"


def test_what_is_known_of_a_file_is_forgotten_when_it_changes(home):
    artifact = table("features", "a")
    assert home.stored(artifact) is None
    home.write_table("features", "a", features(1.0), "f")
    first = home.stored(artifact)
    assert home.stored(artifact) is first, "the footer is read once"
    Home(home.root).write_table("features", "a", features(2.0, 3.0), "g")
    assert (home.stored(artifact).rows, home.stored(artifact).fingerprint) == (2, "g")
    (home.root / "tables/features/a.parquet").unlink()
    assert home.stored(artifact) is None


def test_rows_with_pictures_are_written_in_small_row_groups(home):
    ids = [f"image-{number}" for number in range(1200)]
    size = pa.array([8] * 1200, pa.int32())
    png = pa.array([b"\x89PNG\r\n\x1a\n"] * 1200, pa.binary())
    maps = pa.table({"image_id": ids, "class_map_png": png, "width": size, "height": size})
    home.write_table("segmentations", "a", maps, "f")
    footer = pq.read_metadata(home.root / "tables/segmentations/a.parquet")
    assert [footer.row_group(number).num_rows for number in range(footer.num_row_groups)] == [512, 512, 176]
    assert home.first_rows(table("segmentations", "a"), 3)["image_id"].to_pylist() == ids[:3]


def test_a_missing_table_is_named_with_what_to_do(home):
    with pytest.raises(MissingArtifactError, match=r"features \[a\].*materialize `features` first"):
        home.read_table("features", "a")
    with pytest.raises(MissingArtifactError, match="router_checkpoint"):
        home.checkpoint("router_checkpoint")


def test_event_files_and_the_page_of_curves_are_no_part_of_a_checkpoints_version(home, tmp_path):
    other = Home(tmp_path / "other")
    for each, text in ((home, "now, here"), (other, "then, there")):
        place = build_checkpoint(each, "one", "f" * 32)
        (place / "tensorboard" / "more").mkdir(parents=True)
        (place / "tensorboard" / "events").write_text(text)
        (place / "tensorboard" / "more" / text).touch()
        (place / "curves.html").write_text(f"drawn in the colour of {text}")
    first, second = (each.commit_folder(checkpoint("net"), "f" * 32) for each in (home, other))
    assert first == second
    assert (home.checkpoint("net") / "tensorboard" / "events").read_text() == "now, here"
    assert first.rows == 1


def test_a_file_that_only_sounds_like_a_log_counts(home, tmp_path):
    other = Home(tmp_path / "other")
    for each, text in ((home, "1"), (other, "2")):
        place = build_checkpoint(each, "one", "f" * 32)
        (place / "nested" / "tensorboard").mkdir(parents=True)
        (place / "nested" / "tensorboard" / "part").write_text(text)
    first, second = (each.commit_folder(checkpoint("net"), "f" * 32) for each in (home, other))
    assert first.content_hash != second.content_hash


def build_checkpoint(home, text, fingerprint):
    place = home.building_location(checkpoint("net"), fingerprint)
    (place / "last").mkdir(parents=True)
    (place / "last" / "state").write_text("resume")
    (place / "weights").write_text(text)
    return place


def test_a_checkpoint_is_swapped_as_a_whole(home):
    build_checkpoint(home, "one", "f" * 32)
    first = home.commit_folder(checkpoint("net"), "f" * 32)
    build_checkpoint(home, "two", "g" * 32)
    second = home.commit_folder(checkpoint("net"), "g" * 32)
    assert home.checkpoint("net").joinpath("weights").read_text() == "two"
    assert first.content_hash != second.content_hash
    assert sorted(path.name for path in home.checkpoint("net").iterdir()) == ["fingerprint.json", "weights"]
    assert [path.name for path in (home.root / "checkpoints").iterdir()] == ["net"]


def test_a_marker_that_was_half_written_is_no_content(home):
    build_checkpoint(home, "one", "f" * 32)
    first = home.commit_folder(checkpoint("net"), "f" * 32)
    place = build_checkpoint(home, "one", "g" * 32)
    (place / ".fingerprint.json.123.part").write_text("{")
    assert home.commit_folder(checkpoint("net"), "g" * 32).content_hash == first.content_hash


def test_a_swap_that_was_killed_is_finished_by_the_next_commit(home):
    place = build_checkpoint(home, "one", "f" * 32)
    home.commit_folder(checkpoint("net"), "f" * 32)
    home.checkpoint("net").rename(place)
    assert home.stored(checkpoint("net")) is None
    assert home.finished_building(checkpoint("net"), "f" * 32)
    (place / "last").mkdir()  # of the training, begun again
    assert home.commit_folder(checkpoint("net"), "f" * 32).fingerprint == "f" * 32
    assert not (home.checkpoint("net") / "last").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"PAR1",
        lambda data: bytes(len(data)),
        lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1",
        lambda data: data[:-120] + bytes(80) + data[-40:],
    ],
    ids=["cut", "empty", "magic only", "zeros", "wrong length", "footer gone"],
)
def test_a_damaged_table_counts_as_missing_and_is_named(home, caplog, damage):
    artifact = table("features", "a")
    home.write_table("features", "a", features(1.0, 2.0), "f")
    place = home.location(artifact)
    whole = place.read_bytes()
    place.write_bytes(damage(whole))
    with caplog.at_level(logging.WARNING):
        assert home.stored(artifact) is None
        assert home.version(artifact) is None
    (line,) = caplog.messages
    assert f"{place} is damaged" in line
    assert line.endswith("it counts as missing, and the next run makes features [a] again")
    assert "is damaged" in home.damage(artifact)
    for read in (
        lambda: home.read_table("features", "a"),
        lambda: home.read_table("features", "a", ["image_id"], ids=["image-0"]),
        lambda: home.examined(artifact),
        lambda: home.first_rows(artifact, 1),
    ):
        with pytest.raises(MissingArtifactError, match=r"a\.parquet is damaged.*.*`features` again"):
            read()
    home.write_table("features", "a", features(1.0, 2.0), "f")
    assert place.read_bytes() == whole
    assert home.damage(artifact) is None
    assert home.read_table("features", "a").num_rows == 2


def test_damaged_rows_under_a_whole_footer_are_an_error_that_names_the_file(home):
    home.write_table("features", "a", features(*(number % 100 for number in range(500))), "f")
    place = home.location(table("features", "a"))
    data = place.read_bytes()
    place.write_bytes(data[:4] + bytes(600) + data[604:])
    with pytest.raises(MissingArtifactError, match=r"a\.parquet is damaged.*materialize"):
        home.read_table("features", "a")


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"fingerprint": "f"}', '{"shards": 3}', "\ufffd\0"])
def test_a_damaged_manifest_counts_as_missing_and_is_named(home, caplog, text):
    home.write_manifest("listing", {"features/a": "x"}, "f")
    place = home.location(manifest("listing"))
    place.write_text(text)
    assert home.stored(manifest("listing")) is None
    assert f"{place} is damaged" in caplog.text
    home.write_manifest("listing", {"features/a": "x"}, "f")
    assert home.read_manifest("listing") == {"features/a": "x"}
    place.write_text('{"fingerprint": "f", "content_hash": "c", "rows": 1}')
    with pytest.raises(MissingArtifactError, match=r"listing\.json is damaged.*materialize `listing` again"):
        home.read_manifest("listing")


def test_a_damaged_marker_makes_a_checkpoint_missing(home, caplog):
    build_checkpoint(home, "one", "f" * 32)
    first = home.commit_folder(checkpoint("net"), "f" * 32)
    marker = home.checkpoint("net") / "fingerprint.json"
    marker.write_text('{"fingerprint": "ff')
    assert home.stored(checkpoint("net")) is None
    assert f"{marker} is damaged" in caplog.text
    with pytest.raises(MissingArtifactError, match=r"fingerprint\.json is damaged.*materialize `net` again"):
        home.checkpoint("net")
    built = build_checkpoint(home, "one", "f" * 32)
    (built / "fingerprint.json").write_text("")
    assert not home.finished_building(checkpoint("net"), "f" * 32)
    assert home.commit_folder(checkpoint("net"), "f" * 32) == first


def test_a_damaged_note_is_not_believed(home):
    home.write_table("features", "a", features(1.0), "f")
    home.write_table("features", "a", features(1.0), "g")
    (home.root / "tables/features/.a.parquet.confirmed").write_bytes(b"\xff\xfe")
    assert home.stored(table("features", "a")).fingerprint == "f"


def test_an_error_of_the_system_is_no_damage(home):
    home.location(manifest("listing")).mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        home.stored(manifest("listing"))


def test_sql_works_from_anywhere_and_after_a_move(home, tmp_path, monkeypatch):
    with pytest.raises(NoTablesError, match="geo-pipeline run"):
        query(home, "select 1")
    home.write_table("features", "a", features(1.0, 2.0), "f")
    refresh_views(home)
    moved = Home(home.root.rename(tmp_path / "moved"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert query(moved, "select count(*) as n from features").to_pylist() == [{"n": 2}]
    moved.write_table("features", "b", features(3.0), "f")
    assert query(moved, "select count(*) as n from features").to_pylist() == [{"n": 3}]


def test_the_database_is_left_alone_when_no_table_is_new(home):
    home.write_table("features", "a", features(1.0), "f")
    refresh_views(home)
    before = (home.root / "geo_pipeline.duckdb").stat().st_mtime_ns
    home.write_table("features", "b", features(1.0), "f")
    refresh_views(home)
    assert (home.root / "geo_pipeline.duckdb").stat().st_mtime_ns == before


def test_garbage_in_the_database_is_named_and_the_database_made_anew(home, caplog):
    home.write_table("features", "a", features(1.0, 2.0), "f")
    refresh_views(home)
    (home.root / "geo_pipeline.duckdb").write_bytes(b"\xfe\x01" * 9000)
    with pytest.raises(NoTablesError, match=r"duckdb damaged .*`geo-pipeline run` makes it anew"):
        query(home, "select count(*) n from features")
    refresh_views(home)
    assert "holds views only and is made anew" in caplog.text
    assert query(home, "select count(*) n from features").to_pylist() == [{"n": 2}]


def test_a_write_that_fails_leaves_nothing_behind(home):
    from resource import RLIMIT_FSIZE, getrlimit, setrlimit

    home.write_table("features", "a", features(1.0), "f")
    before, limits = home.location(table("features", "a")).read_bytes(), getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (600, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            home.write_table("features", "a", features(*range(100)), "g")
    finally:
        setrlimit(RLIMIT_FSIZE, limits)
    assert [path.name for path in (home.root / "tables/features").iterdir()] == ["a.parquet"]
    assert home.location(table("features", "a")).read_bytes() == before


def test_nothing_in_a_home_names_its_place(home):
    home.write_table("features", "a", features(1.0), "f")
    home.write_manifest("listing", {"features/a": "x"}, "f")
    build_checkpoint(home, "one", "f" * 32)
    home.commit_folder(checkpoint("net"), "f" * 32)
    refresh_views(home)
    for path in home.root.rglob("*"):
        if path.is_file():
            assert str(home.root).encode() not in path.read_bytes(), path
    assert json.loads((home.root / "manifests/listing.json").read_text())["shards"] == {"features/a": "x"}
