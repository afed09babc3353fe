"""Configuration of the baselines. Torch-free, so that it can stand in a fingerprint.

One class for all (`BaselineConfig`: tower, training, the switch of the naming idea) and one class of options per
baseline. What each paper did, and what is simplified here, stands in the module of the baseline.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from geo_pipeline.earth.partition import PartitionConfig
from geo_pipeline.geosurge.config import ConfigError, TrainingConfig, VisionConfig
from geo_pipeline.scoring.twins import WITHOUT_IDEA

Chosen = TypeVar("Chosen", bound="Options")


class UnknownBaselineError(ValueError):
    """A name that no baseline has."""


def demand(condition: bool, message: str) -> None:
    """Raise ConfigError, which says that `message` was found, unless the condition holds."""
    if not condition:
        raise ConfigError(f"found that {message}")


def _demand_positive(options: object, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        demand(value > 0, f"{type(options).__name__}.{name} is {value}; expected above 0.")


def _demand_tau_max(options: "IsnsOptions | TranslocatorOptions") -> None:
    object.__setattr__(options, "tau_max", tuple(options.tau_max))
    demand(
        bool(options.tau_max) and all(value > 0 for value in options.tau_max),
        f"{type(options).__name__}.tau_max is {options.tau_max}; expected one positive number per partition.",
    )


@dataclass(frozen=True)
class Options:
    """What only one baseline has. `sample()` gives the values of the embedded sample."""

    @classmethod
    def sample(cls: type[Chosen]) -> Chosen:
        """The defaults, unless the baseline says otherwise."""
        return cls()


@dataclass(frozen=True)
class LknnOptions(Options):
    """Neighbours, kernel width and the power of the similarity as a neighbour's weight."""

    neighbours: int = 100
    sigma_km: float = 4.0
    power: float = 32.0
    gallery_dtype: str = "float16"

    def __post_init__(self) -> None:
        _demand_positive(self, "neighbours", "sigma_km")
        demand(self.power >= 0, f"LknnOptions.power is {self.power}; expected 0 or more.")
        demand(
            self.gallery_dtype in ("float16", "float32"),
            f"LknnOptions.gallery_dtype is {self.gallery_dtype!r}; expected 'float16' or 'float32'.",
        )

    @classmethod
    def sample(cls) -> "LknnOptions":
        """Two thousand photographs of a whole planet: a wider kernel over fewer neighbours."""
        return cls(neighbours=20, sigma_km=30.0, power=16.0)


@dataclass(frozen=True)
class PlaNetOptions(Options):
    """Which partition is classified, counted from the coarsest; None takes the finest."""

    partition: int | None = None

    def __post_init__(self) -> None:
        demand(
            self.partition is None or self.partition >= 0,
            f"PlaNetOptions.partition is {self.partition}; expected 0 or more, or none for the finest.",
        )


@dataclass(frozen=True)
class CPlanetOptions(Options):
    """Number of geoclass sets (the paper's 5) and about how many fine cells make one geoclass."""

    sets: int = 5
    cells_per_class: float = 4.0
    neighbours: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        _demand_positive(self, "sets", "neighbours")
        demand(
            self.cells_per_class > 1,
            f"CPlanetOptions.cells_per_class is {self.cells_per_class}; expected above 1, or nothing is merged.",
        )

    @classmethod
    def sample(cls) -> "CPlanetOptions":
        """Two hundred cells are few to merge."""
        return cls(cells_per_class=2.0)


@dataclass(frozen=True)
class IsnsOptions(Options):
    """The coarse, middle and fine partition by their tau_max, as in the paper (nearest ones: `cell_scores`)."""

    tau_max: tuple[int, ...] = (5000, 2000, 1000)

    def __post_init__(self) -> None:
        _demand_tau_max(self)


@dataclass(frozen=True)
class TranslocatorOptions(Options):
    """Sizes of the branches, the partitions by their tau_max (those of ISNs), and the weight of the scene task."""

    width: int = 256
    blocks: int = 4
    heads: int = 8
    tau_max: tuple[int, ...] = (5000, 2000, 1000)
    classes: int = 150
    scene_weight: float = 1.0

    def __post_init__(self) -> None:
        _demand_tau_max(self)
        _demand_positive(self, "width", "blocks", "heads", "classes")

    @classmethod
    def sample(cls) -> "TranslocatorOptions":
        """Two narrow blocks."""
        return cls(width=64, blocks=2, heads=4)


@dataclass(frozen=True)
class GeoDecoderOptions(Options):
    """Blocks in which all queries see one another, blocks in which each level's do, and the weight of the scene task.

    `partitions` None takes the whole hierarchy.
    """

    blocks: int = 4
    level_blocks: int = 4
    heads: int = 8
    partitions: int | None = None
    scene_weight: float = 1.0

    def __post_init__(self) -> None:
        _demand_positive(self, "blocks", "level_blocks", "heads")

    @classmethod
    def sample(cls) -> "GeoDecoderOptions":
        """One block of each kind, three of the partitions."""
        return cls(blocks=1, level_blocks=1, heads=4, partitions=3)


@dataclass(frozen=True)
class GeoClipOptions(Options):
    """The location encoder (one MLP per sigma of its random Fourier features), the queue of coordinates that a batch is
    compared with, and the gallery that answers. Noise moves coordinates in training, those of the queue more.
    """

    sigmas: tuple[float, ...] = (1.0, 16.0, 256.0)
    fourier_dim: int = 256
    width: int = 1024
    embedding_dim: int = 512
    initial_temperature: float = 0.07
    queue: int = 4096
    noise_km: float = 0.15
    queue_noise_km: float = 1.0
    gallery: int = 100_000
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigmas", tuple(self.sigmas))
        demand(bool(self.sigmas), "GeoClipOptions.sigmas is empty; expected at least one.")
        _demand_positive(self, "fourier_dim", "width", "embedding_dim", "initial_temperature", "gallery")
        for name in ("queue", "noise_km", "queue_noise_km"):
            value = getattr(self, name)
            demand(value >= 0, f"GeoClipOptions.{name} is {value}; expected 0 or more.")

    @classmethod
    def sample(cls) -> "GeoClipOptions":
        """An eighth of the width."""
        return cls(fourier_dim=64, width=128, embedding_dim=96, queue=512)


@dataclass(frozen=True)
class PigeonOptions(Options):
    """Cells: S2 cells whose means lie within `place_km` are merged, at most `merged_cells` into one.

    With the idea, labels fade by e over `tau_km` (the paper's 75). The refinement looks at `prototypes` clusters in
    each of the `top_cells` best cells; `temperature` turns distances of unit vectors into weights (ours).
    """

    place_km: float = 25.0
    merged_cells: int = 4
    tau_km: float = 75.0
    top_cells: int = 5
    prototypes: int = 12
    temperature: float = 0.5

    def __post_init__(self) -> None:
        _demand_positive(self, "place_km", "merged_cells", "tau_km", "top_cells", "prototypes", "temperature")


OPTIONS: dict[str, type[Options]] = {
    "lknn": LknnOptions,
    "planet_net": PlaNetOptions,
    "cplanet": CPlanetOptions,
    "isns": IsnsOptions,
    "translocator": TranslocatorOptions,
    "geodecoder": GeoDecoderOptions,
    "geoclip": GeoClipOptions,
    "pigeon": PigeonOptions,
}
"""The options of every baseline by its name."""


def options_class(name: str) -> type[Options]:
    """The options of a baseline. Raises UnknownBaselineError."""
    if name not in OPTIONS:
        raise UnknownBaselineError(f"found the baseline {name!r}; expected one of {', '.join(OPTIONS)}.")
    return OPTIONS[name]


@dataclass(frozen=True)
class BaselineConfig:
    """A baseline: name, tower, training, its own options (None: the defaults), and whether its naming idea is on.

    `tau_max`: of the geocells that it is given, from the coarsest to the finest partition.

    Of `training` everything counts but what belongs to GeoSURGE's objective (loss, symmetric, uncovered). Here too
    `micro_batch` bounds the memory of a step and changes no gradient.
    """

    name: str
    vision: VisionConfig = field(default_factory=VisionConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    idea: bool = True
    options: Options | None = None
    tau_max: tuple[int, ...] = PartitionConfig().tau_max

    def __post_init__(self) -> None:
        wanted = options_class(self.name)
        if self.options is None:
            object.__setattr__(self, "options", wanted())
        object.__setattr__(self, "tau_max", tuple(self.tau_max))
        demand(
            isinstance(self.options, wanted),
            f"the baseline {self.name} has options {type(self.options).__name__}; expected {wanted.__name__}.",
        )
        plain = TrainingConfig()
        for name in ("loss", "symmetric", "uncovered"):
            found = getattr(self.training, name)
            demand(
                found == getattr(plain, name),
                f"training.{name} is {found!r}, which belongs to GeoSURGE's objective; a baseline has its own: leave "
                f"it at {getattr(plain, name)!r}.",
            )

    def chosen(self, kind: type[Chosen]) -> Chosen:
        """The options as the type that the baseline knows."""
        if not isinstance(self.options, kind):
            raise ConfigError(
                f"found that the baseline {self.name} has options {type(self.options).__name__}; expected "
                f"{kind.__name__}."
            )
        return self.options

    @property
    def method(self) -> str:
        """The name of the method that answers with this baseline."""
        return self.name if self.idea else f"{self.name}{WITHOUT_IDEA}"

    @classmethod
    def sample(cls, name: str, idea: bool = True, seed: int = 0) -> "BaselineConfig":
        """A baseline at the size of the embedded sample: a few seconds on two CPU cores."""
        options = options_class(name).sample()
        training = TrainingConfig(lr=2e-3, batch=128, gamma=0.7, patience=2, max_epochs=4, random_crop=True, seed=seed)
        return cls(name, VisionConfig.sample(), training, idea, options)


def every_baseline(make: Callable[[str, bool], BaselineConfig]) -> tuple[BaselineConfig, ...]:
    """`make(name, idea)` of every baseline, with its idea and without."""
    return tuple(make(name, idea) for name in OPTIONS for idea in (True, False))


def config_from_json(value: Mapping[str, Any]) -> BaselineConfig:
    """The configuration in a checkpoint's card."""
    return BaselineConfig(
        name=value["name"],
        vision=VisionConfig(**value["vision"]),
        training=TrainingConfig(**value["training"]),
        idea=value["idea"],
        options=OPTIONS[value["name"]](**value["options"]),
        tau_max=value["tau_max"],
    )
