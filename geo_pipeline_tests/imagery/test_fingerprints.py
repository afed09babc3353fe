"""Near-duplicates share a perceptual hash, other images do not."""

import numpy as np
from PIL import Image, ImageEnhance

from geo_pipeline.imagery.fingerprints import hamming_distance, perceptual_hash


def scene(seed):
    """A smooth random scene with detail."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (9, 9, 3), np.uint8))
    return coarse.resize((160, 120), Image.Resampling.BICUBIC)


def distance(left, right):
    return int(hamming_distance(np.int64(perceptual_hash(left)), np.int64(perceptual_hash(right))))


def test_a_copy_that_is_smaller_or_brighter_is_near():
    for seed in range(5):
        image = scene(seed)
        assert distance(image, image.resize((80, 60))) <= 6
        assert distance(image, ImageEnhance.Brightness(image).enhance(0.8)) <= 6


def test_a_large_copy_that_is_averaged_first_is_near():
    """Above three times the grid of 32 whole pixels are averaged before the smooth reduction."""
    for seed in range(5):
        image = scene(seed)
        for factor in (2, 5, 11):
            large = image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)
            assert distance(image, large) <= 4


def test_other_scenes_are_far():
    hashes = np.array([perceptual_hash(scene(seed)) for seed in range(20)], np.int64)
    distances = hamming_distance(hashes[:, None], hashes[None, :])
    assert distances[~np.eye(20, dtype=bool)].min() > 10


def test_a_hash_fits_a_signed_integer_of_64_bits_and_a_flat_image_has_a_plain_one():
    hashes = [perceptual_hash(scene(seed)) for seed in range(20)]
    assert len(set(hashes)) == 20
    assert all(-(2**63) <= value < 2**63 for value in hashes)
    assert perceptual_hash(Image.new("RGB", (64, 64), "grey")) == perceptual_hash(Image.new("RGB", (64, 64), "white"))
