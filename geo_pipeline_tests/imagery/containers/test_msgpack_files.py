"""ISNs' msgpack shards: right ones, wrong shapes, and damage that costs only the records it hits."""

import io
import random
import tracemalloc

import msgpack
import pytest

from geo_pipeline.imagery.containers.entries import digest_of
from geo_pipeline.imagery.containers.msgpack_files import MAX_BREAKS, MsgpackReader
from geo_pipeline.imagery.containers.source import ContainerSource
from geo_pipeline.imagery.source import MissingImageError, SourceError, records_of
from geo_pipeline_tests.imagery.drawn_files import encoded, quartered

IMAGE = encoded(quartered(16, 16))
READER = MsgpackReader()


def stream(*records, **options):
    return b"".join(msgpack.packb(record, **options) for record in records)


def record(number, size=500):
    return {"id": f"e1/55/{number}.jpg", "image": b"\xff\xd8\xff" + random.Random(number).randbytes(size)}


def entries(data):
    """The entries of a shard, which cover every byte of it."""
    found = list(READER.entries(io.BytesIO(data), "shard_0.msg"))
    position = 0
    for entry in found:
        assert entry.offset == position
        position += entry.length
    assert position == len(data)
    return found


def problems(data):
    return [entry.problem for entry in entries(data)]


@pytest.mark.parametrize("options", [{}, {"use_bin_type": False}], ids=["msgpack 1", "writers before msgpack 1"])
def test_records_come_back_from_their_places(options):
    records = [record(1), {b"id": b"e1/55/2.jpg", b"image": IMAGE}, {"id": 7, "image": b"", "labels": [1, {"a": 2}]}]
    data = stream(*records, **options)
    found = entries(data)
    assert [entry.name for entry in found] == [entry.image_id for entry in found] == ["e1/55/1.jpg", "e1/55/2.jpg", "7"]
    assert [entry.first_bytes_kind for entry in found] == ["jpeg", "jpeg", "empty"]
    assert [entry.problem for entry in found] == [None] * 3
    images = [READER.image(data[entry.offset : entry.offset + entry.length]) for entry in found]
    assert images == [records[0]["image"], IMAGE, b""]
    assert [entry.digest for entry in found] == [digest_of(image) for image in images]


def test_what_stands_beside_the_image_is_read():
    (whole, broken) = entries(
        stream(
            {"id": "a", "image": IMAGE, "latitude": 48.5, "lng": "2,25", "author": "Ann", "set": b"im2gps"},
            {"id": "b", "image": IMAGE, "lat": "48,5 N", "lon": [1]},
        )
    )
    assert (whole.lat_deg, whole.lon_deg, whole.author, whole.set_name) == (48.5, 2.25, "Ann", "im2gps")
    assert broken.lat_deg != broken.lat_deg
    assert broken.lon_deg is None
    assert broken.detail == "latitude '48,5 N' is not a number; longitude is a list"


def test_wrong_shapes_are_told_and_the_next_record_is_read():
    odd = [{"id": "no image"}, {"image": IMAGE}, {"id": "b", "image": 5}, {"id": ["c"], "image": IMAGE}]
    found = entries(stream(record(1), [1, 2], 3, None, "text", {}, *odd, record(2)))
    assert [entry.problem for entry in found] == [None, *["wrong_shape"] * 5, None]
    run, no_image, no_id, number, listed = found[1:-1]
    assert "found list, int, NoneType without id and image" in run.detail
    assert "the keys id; expected an image" in no_image.detail
    assert no_image.name == "no image"
    assert "the keys image; expected an id" in no_id.detail
    assert "type int; expected bytes" in number.detail
    assert "expected an id that is text" in listed.detail


def test_extension_types_are_values_and_nothing_more():
    (entry,) = entries(stream({"id": msgpack.ExtType(4, b"cos\nsystem\n"), "image": IMAGE}))
    assert entry.problem == "wrong_shape"
    assert problems(stream(record(1)) + b"\xc7\x03\xffabc" + stream(record(2))) == [None, "unreadable", None]


@pytest.mark.parametrize("cut", [1, 20, 400])
def test_a_truncated_shard_keeps_all_whole_records(cut):
    data = stream(record(1), record(2), record(3))
    first, second, rest = entries(data[:-cut])
    assert (first.problem, second.problem, rest.problem) == (None, None, "truncated")
    assert f"{rest.length} bytes from byte {rest.offset}" in rest.detail
    assert "Fetch the file again" in rest.detail


def test_damage_costs_the_records_that_it_hits():
    records = [stream(record(number)) for number in range(6)]
    garbage = b"\xc1" * 40
    assert problems(records[0] + garbage + records[1]) == [None, "unreadable", None]
    assert problems(records[0] + bytes(5000) + records[1]) == [None, "wrong_shape", None]
    swallowing = b"\x82\xa2id\xa1x\xa5image\xc6\xff\xff\xff\xff"  # claims 4 GB
    found = entries(records[0] + swallowing + records[1] + records[2])
    assert [entry.problem for entry in found] == [None, "unreadable", None, None]
    assert found[1].length == len(swallowing)
    first_key_is_another = [stream({"labels": [1], **record(number)}) for number in range(3)]
    assert problems(first_key_is_another[0] + garbage + first_key_is_another[1]) == [None, "unreadable", None]


def test_bit_flips_lose_little():
    data = stream(*(record(number) for number in range(20)))
    draw = random.Random(3)
    kept = []
    for _ in range(100):
        damaged = bytearray(data)
        damaged[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        kept.append(problems(bytes(damaged)).count(None))
    assert min(kept) >= 18


def test_a_shard_of_nothing_but_damage_ends_soon():
    found = entries(b"\x82\xa2id\xc1" * 10_000)
    assert len(found) == MAX_BREAKS + 1
    assert f"{MAX_BREAKS} damaged stretches came before" in found[-1].detail


@pytest.mark.parametrize(
    "head",
    [
        b"\xc6\xff\xff\xff\xff",  # 4 GB of bytes
        b"\xdb\xff\xff\xff\xff",  # 4 GB of text
        b"\xdd\xff\xff\xff\xff",  # four thousand million items
        b"\xdf\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\x91" * 5000,  # nested lists
        b"\xdd\x00\x00\xff\xff" * 2000,  # nested lists, each with room for many items
    ],
    ids=["bin", "str", "array", "map", "ext", "deep", "deep and wide"],
)
def test_claims_of_size_cost_no_memory(head):
    data = stream(record(1)) + head + bytes(1000)
    tracemalloc.start()
    found = entries(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found[0].problem is None
    assert all(entry.problem in ("unreadable", "truncated", "wrong_shape") for entry in found[1:])
    assert peak < 150 << 20


def test_other_files_in_the_place_of_a_shard_are_named():
    assert "begins as gzip" in entries(b"\x1f\x8b\x08" + bytes(500))[0].detail
    assert "begins as html" in entries(b"<!DOCTYPE html><html>404</html>")[0].detail
    (empty,) = entries(b"")
    assert empty.problem == "zero_bytes"


def test_a_changed_file_gives_no_image():
    for stored in (b"", b"\xc1", stream([1]), stream({"id": "a"}), stream(record(1))[:-1], stream(record(1)) + b"\x00"):
        with pytest.raises(MissingImageError):
            READER.image(stored)


def test_an_id_that_is_no_text_is_still_named_without_fail():
    (entry, long) = entries(stream({"id": b"a\xff\xfe", "image": IMAGE}, {"id": "x" * 9999, "image": IMAGE}))
    assert entry.image_id == "a\\xff\\xfe"
    assert long.problem == "wrong_shape"
    assert len(long.name) < 100


class _Unanswered(io.BytesIO):
    def read(self, size=-1):
        raise SourceError("The store does not answer.")


def test_a_store_that_fails_is_not_taken_for_damage():
    with pytest.raises(SourceError, match="does not answer"):
        list(READER.entries(_Unanswered(stream(record(1))), "shard_0.msg"))


def test_shards_are_a_source_and_join_their_metadata(tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "shard_0.msg").write_bytes(stream(record(0), record(1)))
    (tmp_path / "shards" / "shard_1.msg").write_bytes(stream(record(2), 5, record(3))[:-9])
    (tmp_path / "m.csv").write_text(
        "IMG_ID,LAT,LON\n" + "".join(f"e1/55/{number}.jpg,{number},2\n" for number in range(5))
    )
    source = ContainerSource(str(tmp_path / "shards"), READER, "msgpack", str(tmp_path / "m.csv"))
    found = list(records_of(source.listing()))
    assert [item.problem for item in found[:5]] == [None, None, None, "missing_file", "missing_file"]
    assert [item.problem for item in found[5:]] == ["wrong_shape", "truncated"]
    images = list(source.read_many([item.locator for item in found[:3]]))
    assert images == [record(number)["image"] for number in range(3)]
    assert found[1].stamp == digest_of(images[1])
    assert source.read(found[1].locator) == images[1]
