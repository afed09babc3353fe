"""BASELINES: every baseline by name, its class, and what it reads besides photographs. Torch-free.

A new baseline is one file beside this, one line here, its options in `config` and its entry in `methods`. A baseline
whose idea is switched off never sees a class map.
"""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geo_pipeline.baselines.baseline import Baseline
    from geo_pipeline.baselines.config import BaselineConfig

_ROOM = "geo_pipeline.baselines"


class UnknownBaselineError(ValueError):
    """A name that no baseline has."""


@dataclass(frozen=True)
class BaselineEntry:
    """One baseline.

    - `implementation`: `module:Class`.
    - `cells`: whether it is built on the geocells.
    - `class_maps`: whether its idea reads the class map of an image, so that queries need one.
    """

    implementation: str
    cells: bool = True
    class_maps: bool = False


BASELINES: dict[str, BaselineEntry] = {
    "lknn": BaselineEntry(f"{_ROOM}.lknn:Lknn", cells=False),
    "planet_net": BaselineEntry(f"{_ROOM}.planet_net:PlaNet"),
    "cplanet": BaselineEntry(f"{_ROOM}.cplanet:CPlaNet"),
    "isns": BaselineEntry(f"{_ROOM}.isns:Isns", class_maps=True),
    "translocator": BaselineEntry(f"{_ROOM}.translocator:TransLocator", class_maps=True),
    "geodecoder": BaselineEntry(f"{_ROOM}.geodecoder:GeoDecoder"),
    "geoclip": BaselineEntry(f"{_ROOM}.geoclip:GeoClip", cells=False),
    "pigeon": BaselineEntry(f"{_ROOM}.pigeon:Pigeon"),
}


def entry(name: str) -> BaselineEntry:
    """The entry of a baseline. Raises UnknownBaselineError."""
    if name not in BASELINES:
        raise UnknownBaselineError(f"Found the baseline {name!r}; expected one of {', '.join(BASELINES)}.")
    return BASELINES[name]


def needs_class_maps(config: "BaselineConfig") -> bool:
    """Whether this baseline reads class maps when it answers."""
    return config.idea and entry(config.name).class_maps


def baseline_class(name: str) -> "type[Baseline]":
    """The class of a baseline; imports its module, and torch with it."""
    module, _, attribute = entry(name).implementation.partition(":")
    found: type[Baseline] = getattr(importlib.import_module(module), attribute)
    return found
