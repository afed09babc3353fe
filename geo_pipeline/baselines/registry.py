"""BASELINES: every baseline by name, its class, and what it reads besides photographs. Torch-free.

A new baseline is one file beside this, one line here, its options in `config` and its entry in `methods`. A baseline
whose idea is switched off answers without class maps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geo_pipeline.baselines.config import BaselineConfig, UnknownBaselineError

if TYPE_CHECKING:
    from geo_pipeline.baselines.baseline import Baseline


@dataclass(frozen=True)
class BaselineEntry:
    """One baseline.

    - `network`: its class; calling it imports the module, and torch with it.
    - `cells`: whether it is built on the geocells.
    - `class_maps`: whether its idea reads the class map of an image, so that queries need one.
    """

    network: "Callable[[], type[Baseline]]"
    cells: bool = True
    class_maps: bool = False


def _lknn() -> "type[Baseline]":
    from geo_pipeline.baselines.lknn import Lknn

    return Lknn


def _planet_net() -> "type[Baseline]":
    from geo_pipeline.baselines.planet_net import PlaNet

    return PlaNet


def _cplanet() -> "type[Baseline]":
    from geo_pipeline.baselines.cplanet import CPlaNet

    return CPlaNet


def _isns() -> "type[Baseline]":
    from geo_pipeline.baselines.isns import Isns

    return Isns


def _translocator() -> "type[Baseline]":
    from geo_pipeline.baselines.translocator import TransLocator

    return TransLocator


def _geodecoder() -> "type[Baseline]":
    from geo_pipeline.baselines.geodecoder import GeoDecoder

    return GeoDecoder


def _geoclip() -> "type[Baseline]":
    from geo_pipeline.baselines.geoclip import GeoClip

    return GeoClip


def _pigeon() -> "type[Baseline]":
    from geo_pipeline.baselines.pigeon import Pigeon

    return Pigeon


BASELINES: dict[str, BaselineEntry] = {
    "lknn": BaselineEntry(_lknn),
    "planet_net": BaselineEntry(_planet_net),
    "cplanet": BaselineEntry(_cplanet),
    "isns": BaselineEntry(_isns, class_maps=True),
    "translocator": BaselineEntry(_translocator, class_maps=True),
    "geodecoder": BaselineEntry(_geodecoder),
    "geoclip": BaselineEntry(_geoclip, cells=False),
    "pigeon": BaselineEntry(_pigeon),
}


def entry(name: str) -> BaselineEntry:
    """The entry of a baseline. Raises UnknownBaselineError."""
    if name not in BASELINES:
        raise UnknownBaselineError(f"found the baseline {name!r}; expected one of {', '.join(BASELINES)}.")
    return BASELINES[name]


def needs_class_maps(config: BaselineConfig) -> bool:
    """Whether this baseline reads class maps when it answers."""
    return config.idea and entry(config.name).class_maps


def baseline_class(name: str) -> "type[Baseline]":
    """The class of a baseline; imports its module, and torch with it."""
    return entry(name).network()
