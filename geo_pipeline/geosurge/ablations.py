"""The ablations of GeoSURGE (Tables VI to VIII): each is the whole configuration with one value changed. Torch-free.

The full model stands in every table as the method `geosurge`: embeddings in Table VI, the whole hierarchy in Table VII,
all fusion blocks in Table VIII. How the tables are told belongs to `scoring`.
"""

from collections.abc import Callable
from dataclasses import replace

from geo_pipeline.geosurge.config import ConfigError, GeoSurgeConfig

Change = Callable[[GeoSurgeConfig], GeoSurgeConfig]


def _depth(partitions: int) -> Change:
    return lambda config: replace(config, depth=partitions)


def _fusion(blocks: int) -> Change:
    return lambda config: replace(config, fusion=replace(config.fusion, blocks=blocks))


ABLATIONS: dict[str, Change] = {
    "classifier": lambda config: replace(config, geography="classifier"),
    "depth_5": _depth(5),
    "depth_3": _depth(3),
    "depth_1": _depth(1),
    "fusion_2": _fusion(2),
    "fusion_1": _fusion(1),
    "fusion_0": _fusion(0),
}
"""Variant by name, in the order of the paper's tables; a new one is one line here."""


def ablated(config: GeoSurgeConfig, variant: str) -> GeoSurgeConfig:
    """The configuration of a variant. Raises ConfigError for a name that is none."""
    if variant not in ABLATIONS:
        raise ConfigError(f"Found the ablation {variant!r}; expected one of {', '.join(ABLATIONS)}.")
    return ABLATIONS[variant](config)
