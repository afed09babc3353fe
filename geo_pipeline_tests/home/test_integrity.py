"""A file that is not what was written is found before it is used, whatever of it was damaged."""

import os
import shutil

import pyarrow as pa
import pytest

from geo_pipeline.contracts.contract import load
from geo_pipeline.home import integrity
from geo_pipeline.home.artifact import checkpoint, manifest, table
from geo_pipeline.home.halves import writing_options
from geo_pipeline.home.home import Home, MissingArtifactError
from geo_pipeline.home.views import query, refresh_views
from geo_pipeline_tests.home.test_home import build_checkpoint, features

FEATURES = table("features", "a")


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def rewrite(place, data, quietly):
    status = place.stat()
    with place.open("r+b") as file:
        file.write(data)
    if quietly:
        os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
    integrity.forget()


def flip(place, position, quietly=False):
    data = bytearray(place.read_bytes())
    data[position] ^= 0x10
    rewrite(place, bytes(data), quietly)


def test_a_flip_of_any_byte_of_a_table_is_found(home):
    home.write_table("features", "a", features(*range(20)), "f")
    place = home.location(FEATURES)
    whole = place.read_bytes()
    for position in range(len(whole)):
        flip(place, position)
        assert Home(home.root).stored(FEATURES) is None, position
        with pytest.raises(MissingArtifactError, match="is damaged"):
            Home(home.root).read_table("features", "a")
        rewrite(place, whole, False)
        assert Home(home.root).stored(FEATURES).content_hash


def test_a_bit_that_the_disk_lost_is_found_at_the_first_use_and_made_again_afterwards(home):
    home.write_table("features", "a", features(1.0, 2.0), "f")
    place = home.location(FEATURES)
    flip(place, 60, quietly=True)
    assert home.stored(FEATURES) is not None, "its time is as it was, so it is not read to know that it is there"
    for read in (
        lambda: home.read_table("features", "a"),
        lambda: home.read_table("features", "a", ["image_id"]),
        lambda: home.first_rows(FEATURES, 1),
        lambda: home.verify(FEATURES),
    ):
        with pytest.raises(MissingArtifactError, match=r"a\.parquet is damaged.*materialize `features` again"):
            read()
    assert Home(home.root).stored(FEATURES) is None, "what was found once is known to every later run"


def test_a_file_that_another_replaces_with_its_time_and_size_is_read_again(home):
    """A copy keeps times and sizes, and a file system gives a number of a deleted file away at once."""
    home.write_table("features", "a", features(1.0, 2.0), "f")
    home.verify(FEATURES)
    place = home.location(FEATURES)
    status, data = place.stat(), bytearray(place.read_bytes())
    data[60] ^= 0x10
    with place.open("r+b") as file:
        file.write(bytes(data))
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert place.stat().st_ino == status.st_ino
    with pytest.raises(MissingArtifactError, match="is damaged"):
        home.verify(FEATURES)


def in_fork(holds):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if holds() else 1)
    return os.waitpid(pid, 0)[1] == 0


def test_a_fork_reads_files_again_at_its_first_use(home):
    home.write_table("features", "a", features(1.0, 2.0), "f")
    home.verify(FEATURES)
    place = str(home.location(FEATURES))
    assert integrity.is_sound(place)
    assert in_fork(lambda: not integrity.is_sound(place))
    assert integrity.is_sound(place)


def test_a_table_that_nobody_touched_is_not_read_to_know_that_it_is_there(home):
    home.write_table("features", "a", features(1.0, 2.0), "f")
    integrity.forget()
    assert Home(home.root).stored(FEATURES) is not None
    assert not integrity.is_sound(str(home.location(FEATURES))), "only its footer was read"


def test_a_copy_with_other_times_is_read_once_and_carries_its_stamp_then(home, tmp_path):
    home.write_table("features", "a", features(1.0, 2.0), "f")
    copied = Home(tmp_path / "copied")
    shutil.copytree(home.root, copied.root, copy_function=shutil.copyfile)
    place = str(copied.location(FEATURES))
    assert copied.stored(FEATURES) == home.stored(FEATURES)
    assert integrity.is_sound(place)
    state = integrity.file_state(place)
    integrity.forget()
    assert Home(copied.root).stored(FEATURES) is not None
    assert integrity.file_state(place) == state
    assert not integrity.is_sound(place)


@pytest.mark.parametrize("large_bytes", [0, 10**9])
def test_a_part_of_a_large_table_is_read_without_the_rest(home, monkeypatch, large_bytes):
    monkeypatch.setattr(integrity, "LARGE_BYTES", large_bytes)
    home.write_table("features", "a", features(1.0, 2.0), "f")
    integrity.forget()
    home.read_table("features", "a", ["image_id"])
    assert integrity.is_sound(str(home.location(FEATURES))) == bool(large_bytes)
    home.read_table("features", "a")
    assert integrity.is_sound(str(home.location(FEATURES)))


def test_a_table_of_an_earlier_version_is_compared_by_its_rows_and_sealed_when_it_comes_out_again(home):
    home.write_table("features", "a", features(1.0, 2.0), "f")
    place = home.location(FEATURES)
    write_as_before(place, features(1.0, 2.0), "f")
    assert (
        Home(home.root).stored(FEATURES).content_hash
        == home.write_table("features", "b", features(1.0, 2.0), "f").content_hash
    )
    assert home.read_table("features", "a").num_rows == 2
    flip(place, 60)
    assert Home(home.root).stored(FEATURES) is None
    write_as_before(place, features(1.0, 2.0), "f")
    integrity.forget()
    assert not Home(home.root).stored(FEATURES).sealed
    Home(home.root).write_table("features", "a", features(1.0, 2.0), "f")
    assert Home(home.root).stored(FEATURES).sealed


def write_as_before(place, rows, fingerprint):
    """Write a table as versions before the seal did."""
    import pyarrow.parquet as pq

    conformed = load("features").conform(rows).combine_chunks()
    with place.open("wb") as handle:
        sink = integrity.HashingSink(handle)
        with pq.ParquetWriter(sink, conformed.schema, **writing_options(conformed.schema)) as writer:
            writer.write_table(conformed, 2**20)
            content = sink.content_hash(str(conformed.schema))
            writer.add_key_value_metadata({"fingerprint": fingerprint, "content_hash": content})


@pytest.mark.parametrize("quietly", [False, True], ids=["touched", "by the disk"])
def test_a_damaged_file_of_a_checkpoint_is_named_and_nothing_answers_from_it(home, quietly, caplog):
    build_checkpoint(home, "one", "f" * 32)
    home.commit_folder(checkpoint("net"), "f" * 32)
    weights = home.checkpoint("net") / "weights"
    flip(weights, 0, quietly)
    assert (Home(home.root).stored(checkpoint("net")) is None) != quietly
    with pytest.raises(MissingArtifactError, match=r"net/weights is damaged \(its content.*materialize `net` again"):
        Home(home.root).checkpoint("net")
    assert Home(home.root).stored(checkpoint("net")) is None
    weights.unlink()
    caplog.clear()
    assert Home(home.root).stored(checkpoint("net")) is None
    assert "weights is damaged (the file is gone)" in caplog.text


def test_a_flip_of_any_byte_of_a_marker_or_manifest_is_found_or_makes_it_stale(home):
    build_checkpoint(home, "one", "f" * 32)
    home.commit_folder(checkpoint("net"), "f" * 32)
    home.write_manifest("listing", {"features/a": "x" * 32}, "g" * 32)
    for artifact in (checkpoint("net"), manifest("listing")):
        place = home.location(artifact)
        place = place / "fingerprint.json" if artifact.kind == "checkpoint" else place
        whole, good = place.read_bytes(), home.stored(artifact)
        for position in range(len(whole)):
            flip(place, position)
            found = Home(home.root).stored(artifact)
            assert found is None or found == good or found.fingerprint != good.fingerprint, position
            rewrite(place, whole, False)


def test_a_checkpoint_of_an_earlier_version_is_compared_as_a_whole_with_its_pages_or_without(home):
    for without in (set(), {"curves.html"}):
        place = build_checkpoint(home, "one", "f" * 32)
        (place / "curves.html").write_text("a page")
        home.commit_folder(checkpoint("net"), "f" * 32)
        folder = home.location(checkpoint("net"))
        content, files = integrity.folder_content(folder, {"fingerprint.json", "tensorboard", *without})
        marker = f'{{"fingerprint": "{"f" * 32}", "content_hash": "{content}", "rows": {len(files)}}}'
        (folder / "fingerprint.json").write_text(marker)
        integrity.forget()
        assert Home(home.root).stored(checkpoint("net")).content_hash == content
        assert Home(home.root).checkpoint("net") == folder
        flip(folder / "weights", 0)
        with pytest.raises(MissingArtifactError, match="is damaged"):
            Home(home.root).checkpoint("net")


def test_a_page_is_no_content_of_a_checkpoint(home):
    place = build_checkpoint(home, "one", "f" * 32)
    first = home.commit_folder(checkpoint("net"), "f" * 32)
    place = build_checkpoint(home, "one", "g" * 32)
    (place / "curves.html").write_text("a page")
    assert home.commit_folder(checkpoint("net"), "g" * 32).content_hash == first.content_hash


def test_sql_refuses_to_answer_from_a_damaged_table(home):
    home.write_table("features", "a", features(1.0, 2.0), "f")
    refresh_views(home)
    flip(home.location(FEATURES), 60, quietly=True)
    assert query(home, "select 1 one").to_pylist() == [{"one": 1}]
    with pytest.raises(MissingArtifactError, match=r"a\.parquet is damaged"):
        query(home, "select count(*) from features")


def test_a_rejected_write_leaves_no_file_behind(home):
    with pytest.raises(ValueError, match="features"):
        home.write_table("features", "a", pa.table({"image_id": ["x"]}), "f")
    assert not list(home.root.rglob("*.part"))
