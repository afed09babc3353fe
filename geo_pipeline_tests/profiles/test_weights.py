"""Weights that are not what the hub says, or not what a home first used, are refused in one line each."""

import hashlib
import json
import os
import shutil

import pytest

from geo_pipeline.profiles.profile import ProfileError
from geo_pipeline.profiles.requirements import NeededFiles
from geo_pipeline.profiles.weights import NOTED, check_weights, hub_digest
from geo_pipeline_tests.profiles.fake_hub import fetched, flipped, rewritten

WEIGHTS, CARD = bytes(range(256)) * 300, b'{"mean": 0.5}'
HUB = NeededFiles("a network", "owner/net", ("net.safetensors", "config.json"))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def blobs(cache):
    return (
        fetched(cache, "owner/net", "net.safetensors", WEIGHTS),
        fetched(cache, "owner/net", "config.json", CARD, large=False),
    )


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def local(tmp_path):
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "net.safetensors").write_bytes(WEIGHTS)
    (folder / "config.json").write_bytes(CARD)
    return NeededFiles("a network", str(folder), ("net.safetensors", "config.json"))


def check(home, *needs):
    check_weights(needs, home, lambda need: "geo-pipeline run --again 'segmentations'")


def refusal(home, *needs):
    with pytest.raises(ProfileError) as refused:
        check(home, *needs)
    return str(refused.value)


def noted(home):
    return json.loads((home / NOTED).read_text())["weights"]


def test_what_the_hub_gave_is_noted_by_name_size_and_digest(home, blobs):
    check(home, HUB)
    (files,) = noted(home).values()
    assert {name: (file["size"], file["hub"], file["sha256"]) for name, file in files.items()} == {
        "net.safetensors": (len(WEIGHTS), blobs[0].name, hashlib.sha256(WEIGHTS).hexdigest()),
        "config.json": (len(CARD), blobs[1].name, hashlib.sha256(CARD).hexdigest()),
    }
    assert (len(blobs[0].name), len(blobs[1].name)) == (64, 40)


@pytest.mark.parametrize("known", [False, True], ids=["at the first use", "later"])
@pytest.mark.parametrize("number", [0, 1], ids=["SHA-256", "git's SHA-1"])
@pytest.mark.parametrize("damage", [flipped, lambda data: data[:-1], lambda data: b""], ids=["flip", "cut", "empty"])
def test_a_damaged_file_of_the_hub_is_named_with_both_digests_and_the_command(home, blobs, known, number, damage):
    if known:
        check(home, HUB)
    whole = blobs[number].read_bytes()
    rewritten(blobs[number], damage(whole))
    name, size = ("net.safetensors", "config.json")[number], len(damage(whole))
    plain = hashlib.sha1(b"blob %d\0" % size) if number else hashlib.sha256()
    plain.update(damage(whole))
    assert refusal(home, HUB) == (
        f"found {name} of owner/net damaged: {size} bytes of digest {plain.hexdigest()}, expected "
        f"{blobs[number].name}, the hub's; fetch it again: `hf download owner/net {name} --revision main "
        "--force-download`"
    )
    rewritten(blobs[number], whole)
    check(home, HUB)


def test_every_damaged_file_has_one_line_and_a_blob_that_is_gone_too(home, blobs):
    rewritten(blobs[0], flipped(WEIGHTS))
    blobs[1].unlink()
    lines = refusal(home, HUB).splitlines()
    assert [line.partition(",")[0].partition(" bytes")[0] for line in lines] == [
        "found config.json of owner/net damaged: a link to nothing",
        f"found net.safetensors of owner/net damaged: {len(WEIGHTS)}",
    ]


def test_a_second_start_reads_no_file_whose_size_and_time_are_as_noted(home, blobs, local):
    check(home, HUB, local)
    before = (home / NOTED).stat()
    rewritten(blobs[0], flipped(WEIGHTS), quietly=True)
    check(home, HUB, local)
    assert (home / NOTED).stat() == before
    os.utime(blobs[0])
    assert "net.safetensors of owner/net damaged" in refusal(home, HUB, local)


def test_another_time_alone_is_read_once_and_noted(home, local):
    check(home, local)
    before = noted(home)
    rewritten(local.folder() / "net.safetensors", WEIGHTS)
    check(home, local)
    assert noted(home) != before
    rewritten(local.folder() / "net.safetensors", flipped(WEIGHTS), quietly=True)
    check(home, local)


@pytest.mark.parametrize("other", [flipped(WEIGHTS), WEIGHTS[:-1]], ids=["content", "size"])
def test_a_local_file_that_changed_is_named_until_it_is_put_back_or_the_note_is_deleted(home, local, other):
    check(home, local)
    place = local.folder() / "net.safetensors"
    rewritten(place, other)
    for _ in range(2):
        assert refusal(home, local) == (
            f"found net.safetensors of {local.repository} changed: {len(other)} bytes of digest "
            f"{hashlib.sha256(other).hexdigest()}, expected {len(WEIGHTS)} bytes of digest "
            f"{hashlib.sha256(WEIGHTS).hexdigest()}, as this home first used it; put that file back, or, if the change "
            f"is meant, delete {home / NOTED} and make anew what was made with it: `geo-pipeline run --again "
            "'segmentations'`"
        )
    rewritten(place, WEIGHTS)
    check(home, local)
    rewritten(place, other)
    (home / NOTED).unlink()
    check(home, local)


def test_a_local_file_that_is_gone_is_named_and_a_new_one_is_noted(home, local):
    check(home, local)
    (local.folder() / "config.json").unlink()
    assert refusal(home, local).startswith(f"found config.json of {local.repository} gone, expected {len(CARD)} bytes")
    (local.folder() / "config.json").write_bytes(CARD)
    (local.folder() / "preprocessor_config.json").write_bytes(b"{}")
    check(home, local)
    assert "preprocessor_config.json" in next(iter(noted(home).values()))


def test_a_branch_that_moved_on_to_other_weights_is_named(home, blobs, cache):
    check(home, HUB)
    fetched(cache, "owner/net", "config.json", CARD, large=False, commit="d" * 40)
    fetched(cache, "owner/net", "net.safetensors", flipped(WEIGHTS), commit="d" * 40)
    assert "net.safetensors of owner/net changed" in refusal(home, HUB)


def test_a_cache_without_links_has_no_digests_of_the_hub_and_is_known_as_a_folder_is(home, blobs):
    folder = HUB.folder()
    for path in list(folder.iterdir()):
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
        assert hub_digest(path) is None
    shutil.rmtree(blobs[0].parent)
    check(home, HUB)
    rewritten(folder / "net.safetensors", flipped(WEIGHTS))
    assert "net.safetensors of owner/net changed" in refusal(home, HUB)


def test_links_in_the_place_of_files_of_the_same_content_change_nothing(home, blobs, cache):
    entry = HUB.folder() / "config.json"
    entry.unlink()
    entry.write_bytes(CARD)
    check(home, HUB)
    fetched(cache, "owner/net", "config.json", CARD, large=False)
    check(home, HUB)
    assert noted(home)["model owner/net main"]["config.json"]["hub"] == blobs[1].name


def test_a_blob_in_a_store_that_several_repositories_share_has_its_own_name(home, blobs, cache):
    store = cache / "blobs" / "ab" / ("ab" * 32)
    store.parent.mkdir(parents=True)
    blobs[0].rename(store)
    blobs[0].symlink_to(os.path.relpath(store, blobs[0].parent))
    check(home, HUB)
    rewritten(store, flipped(WEIGHTS))
    assert f"expected {blobs[0].name}, the hub's" in refusal(home, HUB)


@pytest.mark.parametrize("damage", [flipped, lambda data: data[:40], lambda data: b"", lambda data: b"[]"])
def test_a_damaged_note_is_named_and_written_again(home, blobs, damage, caplog):
    check(home, HUB)
    good = (home / NOTED).read_bytes()
    (home / NOTED).write_bytes(good.replace(b'"size": 7', b'"size": 8') if damage is flipped else damage(good))
    check(home, HUB)
    assert "weights.json damaged" in caplog.text
    assert (home / NOTED).read_bytes() == good


def test_a_home_that_cannot_be_written_to_is_no_reason_to_stop(tmp_path, blobs):
    check(tmp_path / "nowhere", HUB)
    assert not (tmp_path / "nowhere").exists()
    rewritten(blobs[0], flipped(WEIGHTS))
    assert "damaged" in refusal(tmp_path / "nowhere", HUB)
