"""Profiles by name, and the environment variables in which a Dagster code location finds its profile, seed and home."""

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


def named_profile(name: str, seed: int = 0, images: Path | None = None, metadata: Path | None = None) -> Profile:
    """The profile of this name.

    Raises ProfileError for an unknown name, or when the folder of photographs is not given.
    """
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
