"""What a user chose for a run: on the command line, in the environment, or earlier, as the home remembers it.

Turning choices into a profile belongs to `named`.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from geo_pipeline.baselines.registry import BASELINES
from geo_pipeline.home.writing import write_whole
from geo_pipeline.profiles.profile import ProfileError
from geo_pipeline.profiles.sources import absolute_place

REMEMBERED = "profile.json"
MOST_SHARDS = 100_000
"""Four times those of a hundred MP-16 (docs/scale.md); Dagster holds every one in memory."""
_DIGEST = "digest"
_RESULTS = ("tables", "checkpoints", "manifests")
BENCHMARK_SYNTAX = "NAME=IMAGES or NAME=IMAGES,METADATA"
SETTING_SYNTAX = "PATH=VALUE"
_SOURCE = ("images", "metadata", "format", "benchmarks", "follow_links")


@dataclass(frozen=True)
class BenchmarkFiles:
    """The photographs of one benchmark: a folder, container or pattern, and its metadata file; paths or URLs."""

    name: str
    images: str
    metadata: str | None = None


@dataclass(frozen=True)
class Choices:
    """The options of a run; None: not given. An empty `metadata` or `format`, or no benchmarks, says "without".

    - `images`, `metadata`, `format`: the photographs, their metadata file, how they are to be read; paths are absolute.
    - `benchmarks`: query sets with photographs of their own.
    - `shards`: number of reference shards; `max_rejected`: share of photographs that may be rejected.
    - `baselines`: names of the baselines that a plain run trains; empty: none.
    - `follow_links`: whether links of loose photographs may lead out of their folder.
    - `config`: the text of a configuration file; empty: without one.
    - `settings`: settings by their paths, as YAML; empty: the setting is taken away, and with an empty path all are.
    - `clip`, `oneformer`, `qwen2vl`: local folders of networks; empty: those that the profile names.
    """

    profile: str | None = None
    seed: int | None = None
    images: str | None = None
    metadata: str | None = None
    format: str | None = None
    benchmarks: tuple[BenchmarkFiles, ...] | None = None
    shards: int | None = None
    max_rejected: float | None = None
    baselines: tuple[str, ...] | None = None
    follow_links: bool | None = None
    config: str | None = None
    settings: Mapping[str, str] | None = None
    clip: str | None = None
    oneformer: str | None = None
    qwen2vl: str | None = None

    def __post_init__(self) -> None:
        for name in ("clip", "oneformer", "qwen2vl"):
            folder = getattr(self, name)
            object.__setattr__(self, name, str(Path(folder).expanduser().absolute()) if folder else folder)
        for name in ("images", "metadata"):
            place = getattr(self, name)
            object.__setattr__(self, name, absolute_place(place) if place else place)
        if self.seed is not None and self.seed < 0:
            raise ProfileError(
                f"found the seed {self.seed}, expected 0 or more; choose another with --seed (GEO_PIPELINE_SEED)"
            )
        if self.shards is not None and not 1 <= self.shards <= MOST_SHARDS:
            raise ProfileError(
                f"found {self.shards} shards, expected 1 to {MOST_SHARDS:,}; choose another number with --shards"
            )
        if self.max_rejected is not None and not 0 <= self.max_rejected <= 1:
            raise ProfileError(
                f"found the rejected share {self.max_rejected}, expected 0 to 1, such as 0.2; choose another with "
                "--max-rejected"
            )

    def after(self, remembered: "Choices") -> "Choices":
        """These choices, and where none is given, the remembered ones, so far as they still fit.

        Another profile than the remembered one begins anew. Other images bring their own metadata, format, benchmarks
        and number of shards.
        """
        if self.profile not in (None, remembered.profile):
            return self
        kept = {} if "" in (self.settings or {}) else remembered.assigned
        fits = self.images in (None, remembered.images)
        names = [each.name for each in fields(self) if fits or each.name not in (*_SOURCE, "shards")]
        found = replace(self, **{name: getattr(remembered, name) for name in names if getattr(self, name) is None})
        return replace(found, settings={**kept, **(self.settings or {})} or None)

    @property
    def assigned(self) -> dict[str, str]:
        """The settings that are given and not taken away."""
        return {path: text for path, text in (self.settings or {}).items() if text}

    def remember(self, home: Path) -> None:
        """Write the choices into the home, so that later commands on it need none of them."""
        home.mkdir(parents=True, exist_ok=True)
        apart = ("benchmarks", "settings")
        said = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in apart}
        known = {name: value for name, value in said.items() if value not in (None, "")}
        known |= {"settings": self.assigned} if self.assigned else {}
        known |= {"benchmarks": [vars(each) for each in self.benchmarks]} if self.benchmarks else {}
        known[_DIGEST] = _digest(known)
        write_whole(home / REMEMBERED, json.dumps(known, indent=1) + "\n")


def remembered_choices(home: Path) -> Choices | None:
    """What the home was last run with, None when nothing was run there yet; ProfileError for a damaged note."""
    place = home / REMEMBERED
    if not place.is_file():
        return None
    try:
        known: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        if known.pop(_DIGEST, None) not in (None, _digest(known)):
            raise ValueError("found other content than was written")
        benchmarks = tuple(BenchmarkFiles(**each) for each in known.pop("benchmarks", ())) or None
        baselines = known.pop("baselines", None)
        named = None if baselines is None else tuple(str(name) for name in baselines)
        settings = {str(path): str(text) for path, text in known.pop("settings", {}).items()} or None
        return Choices(**known, benchmarks=benchmarks, baselines=named, settings=settings)
    except (ValueError, TypeError, AttributeError) as error:
        raise ProfileError(
            f"found {place} damaged ({error}), expected what `geo-pipeline run` wrote; delete it and run again with "
            "all options"
        ) from error


def _digest(known: Mapping[str, Any]) -> str:
    """A hash of what stands in the note; the folders that it names are not looked into."""
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]


def refuse_lost_choices(home: Path) -> None:
    """Raise ProfileError for a home that holds results and has lost the note of what they were made with."""
    if not (home / REMEMBERED).is_file() and any((home / name).is_dir() for name in _RESULTS):
        raise ProfileError(
            f"found {home} with tables and without {REMEMBERED}, which says what they were made with; run again with "
            "all options of its first run, --profile included (another profile would overwrite them), or choose "
            "another --home"
        )


def choices_of_environment(environment: Mapping[str, str]) -> Choices:
    """What the GEO_PIPELINE_ variables say; several benchmarks or settings are separated by `;`."""

    def said(name: str) -> str | None:
        return environment.get(f"GEO_PIPELINE_{name}") or None

    seed, shards, share = (said(name) for name in ("SEED", "SHARDS", "MAX_REJECTED"))
    benchmarks, baselines, config, settings = (said(name) for name in ("BENCHMARKS", "BASELINES", "CONFIG", "SET"))
    return Choices(
        profile=said("PROFILE"),
        seed=_whole("GEO_PIPELINE_SEED", seed),
        images=said("IMAGES"),
        metadata=said("METADATA"),
        format=said("FORMAT"),
        benchmarks=benchmarks_of(benchmarks.split(";")) if benchmarks else None,
        shards=_whole("GEO_PIPELINE_SHARDS", shards),
        max_rejected=_share("GEO_PIPELINE_MAX_REJECTED", share),
        baselines=baselines_of(baselines) if baselines else None,
        follow_links=_yes("GEO_PIPELINE_FOLLOW_LINKS", said("FOLLOW_LINKS")),
        config=config_of(config) if config else None,
        settings=settings_of(settings.split(";")) if settings else None,
        clip=said("CLIP"),
        oneformer=said("ONEFORMER"),
        qwen2vl=said("QWEN2VL"),
    )


def config_of(path: str) -> str:
    """The text of a configuration file; empty for an empty path. Raises ProfileError where it cannot be read."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"found --config {path} not to be readable ({error}), expected a YAML file") from error


def settings_of(texts: Sequence[str], gpus: int | None = None, workers: int | None = None) -> dict[str, str] | None:
    """Settings as a user writes them, PATH=VALUE with a value in YAML; an empty text takes all earlier ones away.

    `gpus`: for so many there are as many workers with one each, for shards and for trainings; 0 for none. `workers`:
    those of a training alone. None where nothing is given.
    """
    machines: dict[str, str] = {}
    for name, count, least in (("--gpus", gpus, 0), ("--workers", workers, 1)):
        if count is not None and count < least:
            raise ProfileError(f"found {name} {count}, expected {least} or more")
    if gpus is not None:
        machines = {"compute.gpus_per_worker": str(float(gpus > 0))}
        machines |= {"compute.actors": str(gpus), "compute.train_workers": str(gpus)} if gpus else {}
    if workers is not None:
        machines["compute.train_workers"] = str(workers)
    found: dict[str, str] = {}
    for text in texts:
        path, equals, value = (part.strip() for part in text.partition("="))
        if not text.strip():
            found = {"": ""}
        elif equals and path:
            found[path] = value
        else:
            raise ProfileError(f"found --set {text!r}, expected {SETTING_SYNTAX}, such as geosurge.training.lr=3e-4")
    return machines | found or None


def baselines_of(text: str) -> tuple[str, ...]:
    """Baselines as a user writes them: names separated by commas, `all`, or `none`.

    Raises ProfileError for a name that no baseline has.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if names == ("none",):
        return ()
    if names == ("all",):
        return tuple(BASELINES)
    unknown = [name for name in names if name not in BASELINES]
    if unknown or not names:
        raise ProfileError(
            f"found --baselines {text!r}, expected all, none, or some of {', '.join(BASELINES)}, separated by commas"
        )
    return names


def benchmarks_of(texts: Sequence[str]) -> tuple[BenchmarkFiles, ...]:
    """Benchmarks as a user writes them, NAME=IMAGES[,METADATA]; empty texts are passed over."""
    found = tuple(_benchmark_of(text.strip()) for text in texts if text.strip())
    names = [each.name for each in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ProfileError(f"found the benchmark {twice[0]} more than once, expected each once; give --benchmark once")
    return found


def _benchmark_of(text: str) -> BenchmarkFiles:
    name, equals, places = text.partition("=")
    parts = [part.strip() for part in places.split(",")]
    if not (equals and name.strip() and parts[0]) or len(parts) > 2 or (len(parts) == 2 and not parts[1]):
        raise ProfileError(
            f"found --benchmark {text!r}, expected {BENCHMARK_SYNTAX}, such as im2gps3k=im2gps3k/images,im2gps3k.csv; "
            "paths with a comma cannot be given this way"
        )
    metadata = absolute_place(parts[1]) if len(parts) == 2 else None
    return BenchmarkFiles(name.strip(), absolute_place(parts[0]), metadata)


def _whole(name: str, written: str | None) -> int | None:
    if written is None:
        return None
    if not (written.isascii() and written.removeprefix("-").isdigit()):
        raise ProfileError(f"found {name}={written!r}, expected a whole number")
    return int(written)


def _yes(name: str, written: str | None) -> bool | None:
    if written is None:
        return None
    answers = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if written.lower() not in answers:
        raise ProfileError(f"found {name}={written!r}, expected one of {', '.join(answers)}")
    return answers[written.lower()]


def _share(name: str, written: str | None) -> float | None:
    if written is None:
        return None
    try:
        share = float(written) if written.isascii() and "_" not in written else math.nan
    except ValueError:
        share = math.nan
    if not math.isfinite(share):
        raise ProfileError(f"found {name}={written!r}, expected a share such as 0.2")
    return share
