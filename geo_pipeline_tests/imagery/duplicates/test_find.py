"""Who is whose duplicate, in which group, and what the sets share."""

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageFilter

from geo_pipeline.imagery.duplicates.find import (
    MOST_SETS,
    DuplicateError,
    find_duplicates,
    informs,
)
from geo_pipeline.imagery.duplicates.tables import leakage, packed_sha256
from geo_pipeline.imagery.fingerprints import perceptual_hash, sha256_hex

NAMES = ("benchmark", "holdout", "train")
BENCHMARK, HOLDOUT, TRAIN = range(3)
FAR = (0x0F0F0F0F33335555, 0x123456789ABCDEF0, 0xFEDCBA9876543219, 0x5555AAAA3333CCCC, 0x00FF00FF0FF0F00F)


def search(rows):
    """rows: (set, bytes, hash) of each image."""
    sets, contents, hashes = zip(*rows, strict=True)
    sha256 = packed_sha256(pl.Series([sha256_hex(content) for content in contents]))
    phash = np.array(hashes, np.uint64).view(np.int64)
    return find_duplicates(np.array(sets), sha256, phash), np.array(sets)


def names_of(mask):
    return {name for place, name in enumerate(NAMES) if int(mask) >> place & 1}


def shared(found, sets):
    table = leakage(found, sets, NAMES, {"train+holdout": {"train", "holdout"}})
    return {
        (row["set_name"], row["other_set"], row["kind"]): row["images"] for row in table.to_pylist() if row["images"]
    }


def test_equal_bytes_near_hashes_and_strangers_are_told_apart():
    found, _ = search(
        [
            (BENCHMARK, b"one", FAR[0]),
            (TRAIN, b"one", FAR[0]),
            (TRAIN, b"two", FAR[0] ^ 0b10101),
            (TRAIN, b"three", FAR[1]),
            (TRAIN, b"four", FAR[2]),
        ]
    )
    assert [names_of(mask) for mask in found.byte] == [{"train"}, {"benchmark"}, set(), set(), set()]
    # the third image lies near both copies: the copy in train is byte-equal to the first, so only the rest is near
    assert [names_of(mask) for mask in found.near] == [set(), {"train"}, {"benchmark", "train"}, set(), set()]
    assert found.distance.tolist() == [0, 0, 3, 255, 255]
    assert found.group.tolist() == [0, 0, 0, -1, -1]


def test_a_chain_is_one_group_but_only_neighbours_leak():
    start = FAR[3]
    found, sets = search(
        [(BENCHMARK, b"a", start), (HOLDOUT, b"b", start ^ 0b111111), (TRAIN, b"c", start ^ 0b111111111111)]
    )
    assert found.group.tolist() == [0, 0, 0]
    assert found.distance.tolist() == [6, 6, 6]
    assert shared(found, sets) == {
        ("benchmark", "holdout", "near"): 1,
        ("benchmark", "train+holdout", "near"): 1,
        ("holdout", "benchmark", "near"): 1,
        ("holdout", "train", "near"): 1,
        ("holdout", "train+holdout", "near"): 1,
        ("train", "holdout", "near"): 1,
        ("train", "train+holdout", "near"): 1,
    }


def test_seven_bits_are_too_far():
    found, _ = search([(TRAIN, b"a", FAR[3]), (TRAIN, b"b", FAR[3] ^ 0b1111111)])
    assert found.group.tolist() == [-1, -1]


def test_an_image_counts_once_and_equal_bytes_come_first():
    found, sets = search(
        [
            (BENCHMARK, b"a", FAR[4]),
            (TRAIN, b"a", FAR[4]),
            (TRAIN, b"b", FAR[4] ^ 1),
            (HOLDOUT, b"c", FAR[4] ^ 2),
            (BENCHMARK, b"d", FAR[0]),
        ]
    )
    counts = shared(found, sets)
    mine = {key[1:]: images for key, images in counts.items() if key[0] == "benchmark"}
    assert mine == {("train", "byte"): 1, ("holdout", "near"): 1, ("train+holdout", "byte"): 1}
    assert counts["train", "train", "near"] == 2


def test_duplicates_within_a_set_are_counted_for_each_image():
    found, sets = search([(TRAIN, b"a", FAR[0]), (TRAIN, b"a", FAR[0]), (TRAIN, b"b", FAR[0]), (TRAIN, b"z", FAR[1])])
    assert shared(found, sets) == {("train", "train", "byte"): 2, ("train", "train", "near"): 1}
    assert found.distance.tolist() == [0, 0, 0, 255]


def test_flat_images_are_duplicates_only_when_their_bytes_are_equal():
    shades = ["black", "white", "grey", "#445566"]
    hashes = [perceptual_hash(Image.new("RGB", (64, 64), shade)) for shade in shades]
    assert not informs(np.array(hashes, np.int64)).any()
    rows = [(TRAIN, shade.encode(), value % 2**64) for shade, value in zip(shades, hashes, strict=True)]
    found, sets = search([*rows, (BENCHMARK, b"black", hashes[0] % 2**64)])
    assert found.group.tolist() == [0, -1, -1, -1, 0]
    assert found.informed.tolist() == [False] * 5
    assert shared(found, sets) == {
        ("benchmark", "train", "byte"): 1,
        ("benchmark", "train+holdout", "byte"): 1,
        ("train", "benchmark", "byte"): 1,
    }


def test_gradients_say_nothing_and_dark_nights_are_not_alike():
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 256, dtype=np.uint8)
    gradients = [Image.fromarray(np.tile(ramp[:, None], (1, 256))), Image.fromarray(np.tile(ramp[None, :], (256, 1)))]
    assert not informs(np.array([perceptual_hash(image) for image in gradients], np.int64)).any()
    nights = [Image.fromarray(rng.normal(6, 3, (240, 320)).clip(0, 255).astype(np.uint8)) for _ in range(8)]
    hashes = [perceptual_hash(night.filter(ImageFilter.GaussianBlur(2))) for night in nights]
    assert informs(np.array(hashes, np.int64)).all()
    found, _ = search([(TRAIN, str(number).encode(), value % 2**64) for number, value in enumerate(hashes)])
    assert found.group.tolist() == [-1] * 8


def test_many_images_agree_with_counting_one_by_one():
    rng = np.random.default_rng(5)
    middle = rng.choice(np.array(FAR, np.uint64), 400) ^ (np.uint64(1) << rng.integers(0, 12, 400).astype(np.uint64))
    hashes = middle ^ (np.uint64(1) << rng.integers(0, 64, 400).astype(np.uint64))
    hashes[:20] = rng.choice([0, 2**63], 20).astype(np.uint64)
    copies, sets = rng.integers(0, 250, 400), rng.integers(0, 3, 400)
    hashes = hashes[copies]  # equal bytes have equal hashes
    found, _ = search([(int(s), bytes(str(c), "ascii"), int(h)) for s, c, h in zip(sets, copies, hashes, strict=True)])
    bits = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    informed = informs(hashes.view(np.int64))
    others = ~np.eye(400, dtype=bool)
    byte = (copies[:, None] == copies[None, :]) & others
    near = (bits <= 6) & informed[:, None] & informed[None, :] & others
    for place in range(3):
        in_set = sets == place
        has_byte = (byte & in_set).any(axis=1)
        assert np.array_equal(found.byte >> np.uint64(place) & np.uint64(1), has_byte)
        assert np.array_equal(found.near >> np.uint64(place) & np.uint64(1), (near & in_set).any(axis=1) & ~has_byte)
    nearest = np.where(near | byte, bits, 255).min(axis=1)
    assert np.array_equal(found.distance, nearest)
    linked = byte | near
    while not np.array_equal(linked, wider := linked @ linked | linked):
        linked = wider
    alone = ~linked.any(axis=1)
    assert np.array_equal(found.group == -1, alone)
    same = found.group[:, None] == found.group[None, :]
    assert np.array_equal(linked[~alone][:, ~alone] | np.eye((~alone).sum(), dtype=bool), same[~alone][:, ~alone])
    assert found.group.max() >= 3


def test_no_image_is_no_problem():
    found = find_duplicates(np.empty(0, np.int64), np.empty((0, 4), np.uint64), np.empty(0, np.int64))
    assert len(found.group) == 0
    assert leakage(found, np.empty(0, np.int64), (), {}).num_rows == 0


def test_columns_that_do_not_fit_are_refused():
    one = np.zeros(1, np.int64)
    with pytest.raises(DuplicateError, match="1 sets, 2 SHA-256 and 1 hashes"):
        find_duplicates(one, np.zeros((2, 4), np.uint64), one)
    with pytest.raises(DuplicateError, match="65 sets, expected at most 64"):
        find_duplicates(one + MOST_SETS, np.zeros((1, 4), np.uint64), one)
    with pytest.raises(DuplicateError, match="64 digits"):
        packed_sha256(pl.Series(["ab" * 32, "abc"]))


def test_packed_digits_are_the_bytes():
    text = sha256_hex(b"photograph")
    packed = packed_sha256(pl.Series([text, text[::-1]]))
    assert packed.shape == (2, 4)
    assert packed.tobytes() == bytes.fromhex(text) + bytes.fromhex(text[::-1])


def test_digests_that_begin_alike_are_not_the_same_bytes():
    digests = np.array([[7, 1, 1, 1], [7, 1, 1, 2], [7, 1, 1, 1], [9, 1, 1, 1]], np.uint64)
    found = find_duplicates(np.zeros(4, np.int64), digests, np.array(FAR[:4], np.uint64).view(np.int64))
    assert found.group.tolist() == [0, -1, 0, -1]
