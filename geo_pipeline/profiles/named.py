"""Profiles by name, and the environment variables in which a Dagster code location finds its profile, seed and home."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from geo_pipeline.profiles.paper import paper
from geo_pipeline.profiles.photos import photos
from geo_pipeline.profiles.profile import Profile, ProfileError
from geo_pipeline.profiles.sample import sample

PROFILE_NAMES = ("sample", "photos", "paper")
VARIABLES = (
    "GEO_PIPELINE_PROFILE",
    "GEO_PIPELINE_SEED",
    "GEO_PIPELINE_HOME",
    "GEO_PIPELINE_IMAGES",
    "GEO_PIPELINE_METADATA",
)
DEFAULT_HOME = Path("workspace")
REMEMBERED = "profile.json"


def named_profile(name: str, seed: int = 0, images: Path | None = None, metadata: Path | None = None) -> Profile:
    """The profile of this name.

    Raises ProfileError for an unknown name, or when the folder of photographs is not given.
    """
    if seed < 0:
        raise ProfileError(f"found the seed {seed}, expected 0 or more; choose another with --seed (GEO_PIPELINE_SEED)")
    if name == "sample":
        return sample(seed)
    if name not in PROFILE_NAMES:
        raise ProfileError(
            f"found the profile {name!r}, expected one of {', '.join(PROFILE_NAMES)}; choose one with --profile"
        )
    if images is None:
        raise ProfileError(
            f"the profile {name} needs a folder of photographs and found none; give it with --images "
            "(GEO_PIPELINE_IMAGES)"
        )
    if name == "photos":
        return photos(images, metadata, seed)
    if metadata is None:
        raise ProfileError(
            "the profile paper needs the metadata of its photographs and found none; give it with "
            "--metadata (GEO_PIPELINE_METADATA)"
        )
    return paper(images, metadata, seed)


def remember(home: Path, name: str, seed: int, images: Path | None, metadata: Path | None) -> None:
    """Write into the home what it was run with, so that commands on a finished home need not be told again."""
    home.mkdir(parents=True, exist_ok=True)
    folders = {"images": images, "metadata": metadata}
    places = {key: str(place.expanduser().absolute()) for key, place in folders.items() if place is not None}
    (home / REMEMBERED).write_text(json.dumps({"profile": name, "seed": seed, **places}, indent=1) + "\n")


def remembered_profile(home: Path) -> Profile:
    """The profile that the home was last run with.

    Raises ProfileError when nothing was run there yet.
    """
    place = home / REMEMBERED
    if not place.is_file():
        raise ProfileError(
            f"found no {REMEMBERED} in {home}, expected a home that a run has filled: `geo-pipeline run`"
        )
    known = json.loads(place.read_text())
    images, metadata = (Path(known[key]) if key in known else None for key in ("images", "metadata"))
    return named_profile(known["profile"], known["seed"], images, metadata)


def profile_of_environment(environment: Mapping[str, str] = os.environ) -> tuple[Profile, Path]:
    """The profile and the home that the GEO_PIPELINE_ variables name; the sample in ./workspace without them."""
    written = environment.get("GEO_PIPELINE_SEED") or "0"
    if not written.lstrip("-").isdigit():
        raise ProfileError(f"found GEO_PIPELINE_SEED={written!r}, expected a whole number")
    images, metadata = (environment.get(f"GEO_PIPELINE_{name}") for name in ("IMAGES", "METADATA"))
    profile = named_profile(
        environment.get("GEO_PIPELINE_PROFILE") or "sample",
        int(written),
        Path(images) if images else None,
        Path(metadata) if metadata else None,
    )
    return profile, Path(environment.get("GEO_PIPELINE_HOME") or DEFAULT_HOME)
