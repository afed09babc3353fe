"""Ways to damage a file of a home, and the kinds of files that there are."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path, random.Random], None]


def _rewrite(path: Path, data: bytes, quietly: bool) -> None:
    """Write into the file as it lies there; `quietly` keeps its time, as a disk does that loses a bit."""
    status = path.stat()
    with path.open("r+b") as file:
        file.write(data)
        file.truncate(len(data))
    if quietly:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _flip(path: Path, chance: random.Random, quietly: bool, low: float = 0.0, high: float = 1.0) -> None:
    data = bytearray(path.read_bytes())
    position = min(int(len(data) * chance.uniform(low, high)), len(data) - 1)
    data[position] ^= 1 << chance.randrange(8)
    _rewrite(path, bytes(data), quietly)


def flip(path: Path, chance: random.Random) -> None:
    """One bit, anywhere."""
    _flip(path, chance, False)


def rot(path: Path, chance: random.Random) -> None:
    """One bit, anywhere, and the time of the file stays."""
    _flip(path, chance, True)


def flip_end(path: Path, chance: random.Random) -> None:
    """One bit near the end, where a Parquet file has its footer."""
    _flip(path, chance, False, 0.8)


def zeros(path: Path, chance: random.Random) -> None:
    """A hole of zeros."""
    data = bytearray(path.read_bytes())
    start = chance.randrange(max(1, len(data) - 512))
    data[start : start + 512] = bytes(min(512, len(data) - start))
    _rewrite(path, bytes(data), False)


def cut(path: Path, chance: random.Random) -> None:
    """Half of the file."""
    _rewrite(path, path.read_bytes()[: path.stat().st_size // 2], False)


def empty(path: Path, chance: random.Random) -> None:
    """Nothing."""
    _rewrite(path, b"", False)


def garbage(path: Path, chance: random.Random) -> None:
    """As many other bytes."""
    _rewrite(path, chance.randbytes(max(1, path.stat().st_size)), False)


def gone(path: Path, chance: random.Random) -> None:
    """The file is deleted."""
    path.unlink()


DAMAGES: tuple[Damage, ...] = (flip, rot, flip_end, zeros, cut, empty, garbage, gone)
KINDS = {
    "table": "tables/**/*.parquet",
    "manifest": "manifests/*.json",
    "checkpoint": "checkpoints/*/*.safetensors",
    "checkpoint settings": "checkpoints/*/*.json",
    "marker": "checkpoints/*/fingerprint.json",
    "report": "reports/*/*",
    "profile": "profile.json",
    "views": "geo_pipeline.duckdb",
    "dagster runs": "dagster/history/runs.db",
    "dagster events": "dagster/history/runs/index.db",
    "dagster schedules": "dagster/schedules/schedules.db",
    "dagster configuration": "dagster/dagster.yaml",
    "index": "index/**/*.parquet",
}


def files_of(home: Path, kind: str) -> list[Path]:
    """The files of a kind in a home."""
    return sorted(path for path in home.glob(KINDS[kind]) if path.is_file())


def damage(home: Path, kind: str, how: Damage, chance: random.Random) -> Path:
    """Damage one file of a kind; return which. What an index says is asked for again: the catalogue is deleted."""
    path = chance.choice(files_of(home, kind))
    if kind == "index":
        shutil.rmtree(home / "tables/catalogue")
    how(path, chance)
    return path
