"""The size and the mixture of a drawn planet; values only."""

from dataclasses import dataclass, field
from typing import Literal

View = Literal["both", "place", "region", "neither"]
VIEWS: tuple[View, ...] = ("both", "place", "region", "neither")


@dataclass(frozen=True)
class Outing:
    """How one set of photographs is taken.

    Attributes:
        photographs: number of photographs in the set.
        views: share of each view: landmark and region, landmark only, region only, neither (sums to 1).
        new_places: share of the landmark photographs taken at places that no pool author ever visited.
        wilderness: share of the region views taken anywhere on land instead of around a place.
        burst: mean number of near-duplicate frames an author takes of one scene.
    """

    photographs: int
    views: tuple[float, float, float, float]
    new_places: float
    wilderness: float
    burst: float

    def __post_init__(self) -> None:
        if abs(sum(self.views) - 1.0) > 1e-9:
            raise ValueError(f"found that the shares of the views {VIEWS} are {self.views}; expected a sum of 1")


@dataclass(frozen=True)
class PlanetConfig:
    """A whole planet: its places, its pool (the counterpart of MP-16) and its benchmark sets.

    Of the places, `places` are visited by many authors, `lone_places` by one author of the pool each (so that the
    router's training queries show places that no reference shows), `new_places` by authors of the benchmarks only.
    """

    pixels: int = 64
    urban_regions: int = 28
    places: int = 110
    lone_places: int = 110
    new_places: int = 110
    place_spread_km: float = 0.45
    pool: Outing = field(default_factory=lambda: Outing(3400, (0.38, 0.16, 0.34, 0.12), 0.0, 0.6, 1.8))
    benchmarks: tuple[tuple[str, Outing], ...] = (
        ("planet_mixed", Outing(500, (0.36, 0.16, 0.36, 0.12), 0.25, 0.6, 1.0)),
        ("planet_remote", Outing(400, (0.22, 0.08, 0.60, 0.10), 0.50, 0.8, 1.0)),
        ("planet_cities", Outing(300, (0.50, 0.22, 0.18, 0.10), 0.15, 0.3, 1.0)),
    )
