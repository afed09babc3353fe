"""Profiles by name, with what a user chose, from the command line, from a home, or from the environment.

In the environment a Dagster code location finds its profile, seed and home; what it does not say, the home remembers.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.profiles.choices import (
    REMEMBERED,
    BenchmarkFiles,
    Choices,
    choices_of_environment,
    refuse_lost_choices,
    remembered_choices,
)
from geo_pipeline.profiles.networks import with_folders
from geo_pipeline.profiles.paper import paper
from geo_pipeline.profiles.photos import photos, shards_for
from geo_pipeline.profiles.profile import Profile, ProfileError
from geo_pipeline.profiles.sample import sample
from geo_pipeline.profiles.settings import changed, read_assigned, read_config
from geo_pipeline.profiles.sources import CombinedSpec, FilesSpec, Part, files_spec

if TYPE_CHECKING:
    from geo_pipeline.imagery.opening import Kind

PROFILE_NAMES = ("sample", "photos", "paper")
VARIABLES = tuple(
    f"GEO_PIPELINE_{name}"
    for name in (
        "PROFILE",
        "SEED",
        "HOME",
        "IMAGES",
        "METADATA",
        "FORMAT",
        "BENCHMARKS",
        "SHARDS",
        "MAX_REJECTED",
        "BASELINES",
        "FOLLOW_LINKS",
        "CONFIG",
        "SET",
        "CLIP",
        "ONEFORMER",
        "QWEN2VL",
    )
)
DEFAULT_HOME = Path("workspace")
_NEED_METADATA = ("folder", "msgpack")
"""Formats that hold no coordinates."""


def named_profile(choices: Choices) -> Profile:
    """The profile of these choices; the sample where they name none.

    A setting of `settings` goes before one of `config`. Raises ProfileError for an unknown name, format, benchmark or
    setting, and when photographs or metadata are not given.
    """
    profile = _profile(choices)
    if choices.shards is not None:
        profile = replace(profile, reference_shards=choices.shards)
    if choices.max_rejected is not None:
        profile = replace(profile, max_rejected_share=choices.max_rejected)
    if choices.baselines is not None:
        profile = replace(profile, everyday_baselines=choices.baselines)
    profile = with_folders(profile, choices.clip, choices.oneformer, choices.qwen2vl)
    profile = changed(profile, read_config(choices.config or "") | read_assigned(choices.assigned))
    links = bool(choices.follow_links)
    return _with_benchmarks(profile, choices.benchmarks, links) if choices.benchmarks else profile


def settled(given: Choices, home: Path) -> Choices:
    """The given choices with what the home remembers, and with a number of shards that stays.

    Where the number of shards follows from the photographs, these are counted at the first run of the home; later
    runs keep the number, so that photographs that are added never move others to another shard. Raises ProfileError
    when no profile is given and the home has lost its own.
    """
    remembered = remembered_choices(home)
    if remembered is None and given.profile is None:
        refuse_lost_choices(home)
    choices = given if remembered is None else given.after(remembered)
    if choices.profile == "photos" and choices.shards is None and choices.images:
        spec = files_spec(
            choices.images, choices.metadata or None, _kind(choices), follow_links=bool(choices.follow_links)
        )
        if not spec.missing():
            choices = replace(choices, shards=shards_for(spec, home / "index"))
    return choices


def remembered_profile(home: Path) -> Profile:
    """The profile that the home was last run with.

    Raises ProfileError when nothing was run there yet.
    """
    known = remembered_choices(home)
    if known is None:
        refuse_lost_choices(home)
        raise ProfileError(
            f"found no {REMEMBERED} in {home}, expected a home that a run has filled: `geo-pipeline run`"
        )
    return named_profile(settled(known, home))


def profile_to_show(given: Choices, home: Path) -> Profile:
    """The profile of these choices and of what the home remembers, whether or not photographs are given."""
    remembered = remembered_choices(home)
    choices = given if remembered is None else given.after(remembered)
    if choices.profile not in (None, "sample") and not choices.images:
        choices = replace(choices, images="photographs", metadata="metadata.csv", shards=choices.shards or 1)
    return named_profile(choices)


def profile_of_environment(environment: Mapping[str, str] = os.environ) -> tuple[Profile, Path]:
    """The profile and the home that the GEO_PIPELINE_ variables name; the sample in ./workspace without them.

    What the variables do not say is taken from the home, so that the UI shows what the shell ran. A number of shards
    that had to be counted is written into the home, as a run would.
    """
    home = Path(environment.get("GEO_PIPELINE_HOME") or DEFAULT_HOME)
    given = choices_of_environment(environment)
    choices = settled(given, home)
    profile = named_profile(choices)
    known = remembered_choices(home)
    if choices.profile == "photos" and choices.shards is not None and (known is None or known.shards is None):
        choices.remember(home)
    return profile, home


def _profile(choices: Choices) -> Profile:
    name, seed, kind = choices.profile or "sample", choices.seed or 0, _kind(choices)
    if name not in PROFILE_NAMES:
        raise ProfileError(
            f"found the profile {name!r}, expected one of {', '.join(PROFILE_NAMES)}; choose one with --profile"
        )
    if name == "sample":
        _refuse_files(choices)
        return sample(seed)
    if not choices.images:
        raise ProfileError(_without_photographs(choices, name))
    if not choices.metadata and (kind in _NEED_METADATA or (name == "paper" and kind is None)):
        what = f"the format {kind}" if kind else "the profile paper"
        raise ProfileError(
            f"{what} needs the metadata of its photographs and found none; give it with --metadata "
            "(GEO_PIPELINE_METADATA), or a --format that holds coordinates itself: webdataset, parquet, exif"
        )
    spec = files_spec(choices.images, choices.metadata or None, kind, follow_links=bool(choices.follow_links))
    return photos(spec, seed, choices.shards) if name == "photos" else paper(spec, seed)


def _without_photographs(choices: Choices, name: str) -> str:
    """What to say where no photographs are given: that, and everything else that is missing."""
    plain = photos(FilesSpec(""), 0, 1) if name == "photos" else paper(FilesSpec(""), 0)
    needs = with_folders(plain, choices.clip, choices.oneformer, choices.qwen2vl).needs
    missing = [line for need in needs for line in need.missing()]
    if name == "paper" and not choices.metadata and not choices.format:
        missing.insert(
            0, "their metadata; give it with --metadata (GEO_PIPELINE_METADATA), or a --format that holds it"
        )
    lines = [
        f"found no photographs for the profile {name}; give a folder, a container or a URL with --images "
        "(GEO_PIPELINE_IMAGES)",
        *(f"  - {line}" for line in missing),
    ]
    return "\n".join([lines[0] + ("; missing as well:" if missing else ""), *lines[1:]])


def _kind(choices: Choices) -> "Kind | None":
    if not choices.format:
        return None
    from geo_pipeline.imagery.opening import Kind

    for kind in get_args(Kind):
        if kind == choices.format:
            found: Kind = kind
            return found
    raise ProfileError(
        f"found --format {choices.format!r}, expected one of {', '.join(get_args(Kind))}; without it the names of the "
        "files tell"
    )


def _refuse_files(choices: Choices) -> None:
    options = {"images": "--images", "metadata": "--metadata", "format": "--format", "benchmarks": "--benchmark"}
    options |= {"follow_links": "--follow-links"}
    given = [option for name, option in options.items() if getattr(choices, name)]
    if given:
        raise ProfileError(
            f"found {' and '.join(given)} with the profile sample, which draws its own photographs; choose "
            "--profile photos or paper"
        )


def _with_benchmarks(profile: Profile, given: tuple[BenchmarkFiles, ...], follow_links: bool) -> Profile:
    """The profile with benchmarks that have photographs of their own, beside the one that its split sets aside."""
    own = (profile.split.benchmark_name,) if profile.split.benchmark else ()
    known = [name for name in BENCHMARKS if name not in own]
    for each in given:
        if each.name not in known:
            raise ProfileError(
                f"found --benchmark {each.name}=..., expected one of {', '.join(known)} (a new one is one file in "
                "geo_pipeline/benchmarks and one line in its registry)"
            )
    parts = [
        Part(
            each.name,
            files_spec(each.images, each.metadata, None, layout, f"--benchmark {each.name}=...", follow_links),
        )
        for each in given
        for layout in (BENCHMARKS[each.name].metadata if each.metadata else None,)
    ]
    source = CombinedSpec((Part(None, profile.source), *parts))
    return replace(profile, source=source, benchmarks=(*own, *(each.name for each in given)))
