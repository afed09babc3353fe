"""Keeps in the home what was last seen of the photographs, where Dagster keeps an observation in its database only.

A data version for each shard, for staleness in a home must not need that database. The Dagster side is the source asset
in assets/photographs.py.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from geo_pipeline.home.artifact import manifest
from geo_pipeline.home.home import Home, Stored
from geo_pipeline.imagery.catalogue import Catalogue, build_catalogue
from geo_pipeline.imagery.shard_plan import ShardPlan
from geo_pipeline.imagery.source import Source
from geo_pipeline.imagery.split import SplitConfig
from geo_pipeline.orchestration.partitions import Scope, shards_of
from geo_pipeline.orchestration.versions import code_version
from geo_pipeline.profiles.profile import Profile

PHOTOGRAPHS = "photographs"
Build = Callable[[Source, SplitConfig, ShardPlan], Catalogue]
INDEX = "index"
"""Folder of the home in which a source may note what it found in large files, so that they are read once."""


def observed(home: Home) -> dict[str, Stored]:
    """The data version of each shard as it was last seen; nothing where nobody has looked yet."""
    file = home.location(manifest(PHOTOGRAPHS))
    if home.stored(manifest(PHOTOGRAPHS)) is None:
        return {}
    versions: Mapping[str, str] = json.loads(file.read_text())["shards"]
    return {key: Stored(version, version, 0) for key, version in versions.items()}


def look(scope: Scope, home: Home) -> dict[str, str]:
    """The data version of each shard as it is now. Writes nothing.

    Names, sizes and times are compared with the last observation first; only where they differ is the list of
    photographs read again (their metadata, and the headers of new files that have none), and never a picture.
    """
    fingerprint = _identity(scope, scope.profile.source.open().fingerprint())
    known = home.stored(manifest(PHOTOGRAPHS))
    if known is not None and known.fingerprint == fingerprint:
        return {key: stored.content_hash for key, stored in observed(home).items()}
    catalogue = catalogue_of(build_catalogue, scope.profile, home, fingerprint)
    return {key: catalogue.version(key) for key in scope.shards.all}


def observe(scope: Scope, home: Home) -> dict[str, str]:
    """Look, and keep what was seen in the home; the data versions of the shards that differ from those kept before."""
    before = {key: stored.content_hash for key, stored in observed(home).items()}
    now = look(scope, home)
    fingerprint = _identity(scope, scope.profile.source.open().fingerprint())
    known = home.stored(manifest(PHOTOGRAPHS))
    if known is None or known.fingerprint != fingerprint or now != before:
        home.write_manifest(PHOTOGRAPHS, now, fingerprint)
    return {key: version for key, version in now.items() if before.get(key) != version}


_LAST: dict[tuple[str, Path], Catalogue] = {}
"""The list of photographs that was made last: it is observed and then catalogued."""


def catalogue_of(build: Build, profile: Profile, home: Home, identity: str) -> Catalogue:
    """The photographs with their sets and shards; the last one is kept."""
    if (identity, home.root) not in _LAST:
        _LAST.clear()
        plan = shards_of(profile).plan
        _LAST[identity, home.root] = build(profile.source.open(home.root / INDEX), profile.split, plan)
    return _LAST[identity, home.root]


def current_catalogue(scope: Scope, home: Home, build: Build) -> Catalogue:
    """The photographs as they are now, as `build` (imagery.catalogue.build_catalogue) lists and splits them."""
    return catalogue_of(build, scope.profile, home, _identity(scope, scope.profile.source.open().fingerprint()))


def _identity(scope: Scope, source_fingerprint: str) -> str:
    """What decides the versions: the photographs, the code that lists and splits them, and over which shards."""
    listed_by = code_version(
        (build_catalogue, *scope.profile.source.readers()), (scope.profile.split, scope.shards.all)
    )
    return f"{source_fingerprint}:{listed_by}"
