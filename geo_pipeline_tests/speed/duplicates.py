"""Near-equal images among hashes like those of photographs: `python -m geo_pipeline_tests.speed.duplicates [--quick]`.

Hashes are drawn as real ones lie: the frequencies of a photograph are a Gaussian with the correlations that real
photographs show (strong where the frequencies are low), the bits are those above their median. One in ten images is a
copy of another one with a few bits turned, one in a hundred is byte-equal, and a few pictures come thousands of times.
Recall and ratio are measured against brute force, numpy's and a compiled one, in the same run.
"""

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geo_pipeline.earth.cell_kernels import compiled
from geo_pipeline.earth.parallel import thread_count
from geo_pipeline.imagery.duplicates.find import NEAR_BITS, find_duplicates
from geo_pipeline.imagery.duplicates.near_hashes import near_pairs, neighbours
from geo_pipeline_tests.speed.measuring import fresh_process, peak_mib, save, seconds

FULL, SETS = 4_700_000, 4
SHARED_TRAITS, TRAIT_WEIGHT = 8, 0.9
LEANING = {8: 1.0, 2: -0.7}
"""Traits that photographs share (sky above, dark below ...) and their weight, and frequencies that lean one way. Two
hashes then differ in 31 +- 4.2 bits; in 423 photographs of 20 places it is 31 +- 4.1, with two leaning frequencies."""


def photograph_hashes(count: int, seed: int = 0) -> NDArray[np.uint64]:
    """Hashes of `count` different photographs: 32 of 64 bits set, the constant one always."""
    rng = np.random.default_rng(seed)
    slopes = np.random.default_rng(99).normal(size=(SHARED_TRAITS, 63)) * np.linspace(1.0, 0.1, 63)
    slopes *= TRAIT_WEIGHT / np.sqrt(SHARED_TRAITS)
    out = np.empty(count, np.uint64)
    for start in range(0, count, 200_000):
        size = min(200_000, count - start)
        traits = rng.standard_normal((size, SHARED_TRAITS), np.float32)
        frequencies = rng.standard_normal((size, 63), np.float32) + traits @ slopes.astype(np.float32)
        for frequency, mean in LEANING.items():
            frequencies[:, frequency - 1] += mean
        bits = np.ones((size, 64), bool)
        bits[:, 1:] = frequencies > np.median(frequencies, axis=1, keepdims=True)
        out[start : start + size] = np.packbits(bits, axis=1).view(">u8").ravel()
    return out


def drawn(count: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]:
    """Sets, SHA-256 and perceptual hashes of `count` images with copies among them."""
    rng = np.random.default_rng(seed)
    hashes = photograph_hashes(count, seed)
    content = np.arange(count)
    copies = rng.choice(count, count // 10, replace=False)
    originals = rng.integers(0, count, len(copies))
    originals[: len(copies) // 20] = rng.integers(0, 5, len(copies) // 20)  # five pictures that come again and again
    turned = hashes[originals]
    for _ in range(5):
        bit = np.uint64(1) << rng.integers(0, 64, len(copies)).astype(np.uint64)
        turned ^= np.where(rng.random(len(copies)) < 0.5, bit, np.uint64(0))
    hashes[copies] = turned
    exact = copies[::10]
    hashes[exact], content[exact] = hashes[originals[::10]], content[originals[::10]]
    digests = np.zeros((count, 4), np.uint64)
    digests[:, 0] = np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)[content]
    sets = rng.choice(SETS, count, p=(0.97, 0.01, 0.01, 0.01))
    return sets, digests, hashes.view(np.int64)


@compiled
def brute_force(hashes: np.ndarray, radius: int, pairs: np.ndarray) -> int:
    """Every hash against every later one, compiled; the pairs are counted, and written where there is room."""
    found = 0
    for left in range(len(hashes)):
        for right in range(left + 1, len(hashes)):
            rest = hashes[left] ^ hashes[right]
            rest -= (rest >> np.uint64(1)) & np.uint64(0x5555555555555555)
            rest = (rest & np.uint64(0x3333333333333333)) + ((rest >> np.uint64(2)) & np.uint64(0x3333333333333333))
            rest = (rest + (rest >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
            if np.int64((rest * np.uint64(0x0101010101010101)) >> np.uint64(56)) <= radius:
                if found < len(pairs):
                    pairs[found, 0], pairs[found, 1] = left, right
                found += 1
    return found


def numpy_brute_force(hashes: NDArray[np.uint64]) -> int:
    """The same in numpy, row by row."""
    return sum(
        int(np.count_nonzero(np.bitwise_count(hashes[row] ^ hashes[row + 1 :]) <= NEAR_BITS))
        for row in range(len(hashes))
    )


def against_brute_force(count: int) -> dict[str, Any]:
    """Recall over all pairs of `count` distinct hashes, and the seconds of each way."""
    hashes = np.unique(drawn(count)[2].view(np.uint64))
    carried = np.zeros(len(hashes), np.uint64)
    neighbours(hashes[:100], carried[:100])
    room = np.empty((20_000_000, 2), np.int32)
    brute_force(hashes[:10], NEAR_BITS, room)
    started = time.perf_counter()
    expected = brute_force(hashes, NEAR_BITS, room)
    compiled_seconds = time.perf_counter() - started
    right = {tuple(pair) for pair in room[:expected].tolist()}
    found = {tuple(pair) for pair in near_pairs(hashes, NEAR_BITS).tolist()}
    ours = seconds(lambda: neighbours(hashes, carried))
    one = seconds(lambda: neighbours(hashes, carried, threads=1))
    part = hashes[:: max(1, len(hashes) // 20_000)]
    in_numpy = seconds(lambda: numpy_brute_force(part), 1) * (len(hashes) / len(part)) ** 2
    return {
        "hashes": len(hashes),
        "pairs": expected,
        "recall": len(right & found) / max(1, len(right)),
        "precision": len(right & found) / max(1, len(found)),
        "seconds": ours,
        "seconds_one_thread": one,
        "compiled_brute_force_seconds": compiled_seconds,
        "numpy_brute_force_seconds": in_numpy,
    }


def one_size(count: int) -> dict[str, Any]:
    """Seconds and memory of the whole search over `count` images, in this process."""
    sets, sha256, phash = drawn(count)
    find_duplicates(sets[:100], sha256[:100], phash[:100])
    started = time.perf_counter()
    found = find_duplicates(sets, sha256, phash)
    took = time.perf_counter() - started
    return {
        "images": count,
        "seconds": took,
        "peak_mib": peak_mib(),
        "duplicates": int(np.count_nonzero(found.group >= 0)),
        "groups": int(found.group.max(initial=-1)) + 1,
        "largest_group": int(np.bincount(found.group[found.group >= 0]).max(initial=0)),
        "exact": found.exact,
    }


def hostile(count: int) -> list[dict[str, Any]]:
    """Seconds for hashes that no photographs have: all near one another, all in one bucket, all numbers in a row."""
    rng = np.random.default_rng(1)
    ball = np.full(3 * count, 0x123456789ABCDEF0, np.uint64)
    for _ in range(4):
        ball ^= np.uint64(1) << rng.integers(0, 64, len(ball)).astype(np.uint64)
    kinds = {
        "within 4 bits of one hash": rng.permutation(np.unique(ball))[:count],
        "16 bits the same for all": np.unique(rng.integers(0, 2**48, count, dtype=np.uint64) << np.uint64(16)),
        "numbers in a row": np.arange(count, dtype=np.uint64),
    }
    return [
        {"hashes": name, "count": len(each), "seconds": seconds(lambda: neighbours(each, np.zeros_like(each)), 1)}  # noqa: B023
        for name, each in kinds.items()
    ]


def report(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    against = figures["against_brute_force"]
    ratio = against["compiled_brute_force_seconds"] / against["seconds_one_thread"]
    slow = against["numpy_brute_force_seconds"] / against["seconds_one_thread"]
    lines = [
        "# Duplicates\n",
        f"All pairs within {NEAR_BITS} of 64 bits, on {figures['threads']} threads unless said; hashes drawn like "
        "those of photographs, one in ten a changed copy of another.\n",
        "| against brute force | |",
        "|---|---:|",
        f"| distinct hashes | {against['hashes']:,} |",
        f"| near pairs | {against['pairs']:,} |",
        f"| recall, precision | {against['recall']:.4f}, {against['precision']:.4f} |",
        f"| here | {against['seconds']:.2f} s, one thread {against['seconds_one_thread']:.2f} s |",
        f"| brute force, compiled, one thread | {against['compiled_brute_force_seconds']:.1f} s, {ratio:.0f}x |",
        f"| brute force, numpy (from 20,000) | {against['numpy_brute_force_seconds']:.0f} s, {slow:.0f}x |",
        "\n| images | seconds | µs each | peak MiB | duplicates | groups | largest |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['images']:,} | {row['seconds']:.1f} | {1e6 * row['seconds'] / row['images']:.1f} | "
        f"{row['peak_mib']:.0f} | {row['duplicates']:,} | "
        f"{row['groups']:,} | {row['largest_group']:,} |"
        for row in figures["sizes"]
    ]
    lines += ["\n| hashes that no photographs have | count | seconds |", "|---|---:|---:|"]
    lines += [f"| {row['hashes']} | {row['count']:,} | {row['seconds']:.1f} |" for row in figures["hostile"]]
    return "\n".join(lines)


def main() -> None:
    """Measure and print; `--save` keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes")
    parser.add_argument("--save", action="store_true", help="write docs/measurements/duplicates.json and .md")
    parser.add_argument("--size", type=int, help="only one size, as a line of JSON")
    chosen = parser.parse_args()
    if chosen.size:
        sys.stdout.write(json.dumps(one_size(chosen.size)) + "\n")
        return
    counts = (10_000, 100_000, 470_000) if chosen.quick else (10_000, 100_000, 1_000_000, FULL, 10_000_000)
    figures = {
        "threads": thread_count(),
        "near_bits": NEAR_BITS,
        "against_brute_force": against_brute_force(10_000 if chosen.quick else 100_000),
        "sizes": [fresh_process(__spec__.name, "--size", str(count)) for count in counts],
        "hostile": hostile(10_000 if chosen.quick else 100_000),
    }
    text = report(figures)
    sys.stdout.write(text + "\n")
    if chosen.save:
        save("duplicates", figures, text)


if __name__ == "__main__":
    main()
