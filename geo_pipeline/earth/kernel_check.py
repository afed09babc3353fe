"""Compares the compiled S2 kernels with s2sphere, once per installation, before their first result is used.

Compiled arithmetic can go wrong on one machine while it is right on all that were tested: by its processor, its C
library, or a version of numba, llvmlite or numpy. An empty file in numba's cache folder, named after all these, notes
that the comparison was passed, so that later processes skip it. The kernels belong to `cell_kernels`, the reference to
`reference_cells`.
"""

import functools
import hashlib
import importlib.metadata
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geo_pipeline.earth.cell_numbers import parent_ids, tokens
from geo_pipeline.earth.reference_cells import reference_cell

_Angles = Callable[[np.ndarray, np.ndarray, int, int], None]

_SEED, _RANDOM_POINTS = 0, 150
_CORNER_LAT = float(np.degrees(np.arcsin(np.sqrt(1 / 3))))  # where three faces of the cube meet
_EDGE_LATS = (-90.0, -45.0, -_CORNER_LAT, 0.0, _CORNER_LAT, 45.0, 90.0)
_EDGE_LONS = (-180.0, -135.0, -45.0, 0.0, 45.0, 90.0, 180.0)
_MOST_DEGREES_OFF = 1e-12
"""Ids must be equal; centres, corners and bounds may differ in the last bit, which is below a nanometre."""


class KernelMismatch(RuntimeError):  # noqa: N818 - what it is called where it is caught
    """The compiled kernels do not compute what s2sphere does; no result of theirs can be trusted."""


@dataclass(frozen=True)
class Kernels:
    """The loops of `cell_kernels` that are called from outside."""

    leaf_ids: Callable[[np.ndarray, np.ndarray, np.ndarray, int, int], None]
    centres_deg: _Angles
    corners_deg: _Angles
    bounds_deg: _Angles


def check_once(found: Kernels, folder: Path | None) -> bool:
    """Compare unless a note in the folder says that it was done here; whether it was done now.

    Raises KernelMismatch, and then leaves no note. A folder that cannot be written costs the comparison every time.
    """
    note = None if folder is None else folder / f"s2-kernels-equal-s2sphere-{_installation()}"
    if note is not None and note.exists():
        return False
    problems = differences(found)
    if problems:
        raise KernelMismatch(
            f"found compiled S2 arithmetic that differs from s2sphere in {len(problems)} of {len(_points()[0])} "
            f"coordinates (first: {problems[0]}); expected equal ids on {_words()}; delete the compiled code "
            f"(*.nbc, *.nbi in {folder}) and run again; if that does not help, set NUMBA_CPU_NAME=generic or install "
            "the versions of constraints.txt, and report these words"
        )
    if note is not None:
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()
        except OSError:
            pass  # read-only: compared again in the next process
    return True


def differences(found: Kernels) -> list[str]:
    """Every coordinate at which the kernels differ from s2sphere, with what they give and should give."""
    lat_deg, lon_deg = _points()
    count = len(lat_deg)
    leaves = np.empty(count, np.uint64)
    found.leaf_ids(lat_deg, lon_deg, leaves, 0, count)
    references = [
        reference_cell(lat, lon, row % 31) for row, (lat, lon) in enumerate(zip(lat_deg, lon_deg, strict=True))
    ]
    expected = np.array([each.cell for each in references], np.uint64)
    centres_N2, corners_N42, bounds_N4 = np.empty((count, 2)), np.empty((count, 4, 2)), np.empty((count, 4))
    found.centres_deg(expected, centres_N2, 0, count)
    found.corners_deg(expected, corners_N42, 0, count)
    found.bounds_deg(expected, bounds_N4, 0, count)
    angles_N14 = np.concatenate([centres_N2, corners_N42.reshape(count, 8), bounds_N4], axis=1)
    off_N14 = np.abs(angles_N14 - np.array([each.angles_deg for each in references]))
    off_N14 = np.minimum(off_N14, np.abs(360.0 - off_N14))  # 180 and -180 are one meridian
    wrong_angles = ~(off_N14 <= _MOST_DEGREES_OFF).all(axis=1)
    texts = tokens(expected)
    problems = []
    for row, each in enumerate(references):
        where = f"latitude {float(lat_deg[row])!r}, longitude {float(lon_deg[row])!r}"
        if int(leaves[row]) != each.leaf:
            problems.append(f"{where}: leaf {int(leaves[row])}, expected {each.leaf}")
        elif int(parent_ids(leaves[row : row + 1], row % 31)[0]) != each.cell or texts[row] != each.token:
            problems.append(f"{where}: level {row % 31} token {texts[row]!r}, expected {each.token!r}")
        elif wrong_angles[row]:
            problems.append(
                f"{where}: centre, corners or bounds of {each.token} off by {float(off_N14[row].max()):g} degrees"
            )
    return problems


@functools.cache
def _points() -> tuple[np.ndarray, np.ndarray]:
    """(lat_deg, lon_deg): poles, date line, edges and corners of the faces with their nearest numbers, and others."""
    lats, lons = (np.array(values) for values in (_EDGE_LATS, _EDGE_LONS))
    lats = np.unique(np.clip(np.concatenate([lats, np.nextafter(lats, 91), np.nextafter(lats, -91)]), -90, 90))
    grid = np.array([(lat, lon) for lat in lats for lon in lons])
    generator = np.random.default_rng(_SEED)
    lat = np.degrees(np.arcsin(generator.uniform(-1, 1, _RANDOM_POINTS)))
    return np.concatenate([grid[:, 0], lat]), np.concatenate([grid[:, 1], generator.uniform(-180, 180, _RANDOM_POINTS)])


def _words() -> str:
    """The versions and the processor that decide what the compiled code computes."""
    import llvmlite.binding
    from numba import config

    names = ("numba", "llvmlite", "numpy", "s2sphere")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    processor = config.CPU_NAME or llvmlite.binding.get_host_cpu_name()
    return f"{versions}, Python {platform.python_version()}, {'-'.join(platform.libc_ver())}, processor {processor}"


def _installation() -> str:
    """32 hexadecimal digits: the words, the processor's features, and the text of the kernels and of this module."""
    import llvmlite.binding
    from numba import config

    digest = hashlib.blake2b(_words().encode(), digest_size=16)
    features = config.CPU_FEATURES
    digest.update((llvmlite.binding.get_host_cpu_features().flatten() if features is None else features).encode())
    for name in ("cell_kernels.py", "cell_numbers.py", Path(__file__).name):
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()
