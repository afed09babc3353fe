"""The ablations of GeoSURGE (Tables VI to VIII): each is the whole configuration with one thing changed. Torch-free.

The full model stands in every table as the method `geosurge`: embeddings in Table VI, the whole hierarchy in Table VII,
all fusion blocks in Table VIII. One more variant, of no table, is the full model asked with the other number of crops
(section III-D). How the tables are presented belongs to `scoring`.
"""

from collections.abc import Callable
from dataclasses import replace

from geo_pipeline.geosurge.config import ConfigError, GeoSurgeConfig, InferenceConfig

Change = Callable[[GeoSurgeConfig], GeoSurgeConfig]
OTHER_CROPS = "other_crops"
"""Ten crops where the run takes the centre one, and the centre crop where it takes ten. Nothing is trained again."""


def _depth(partitions: int) -> Change:
    return lambda config: replace(config, depth=partitions)


def _fusion(blocks: int) -> Change:
    return lambda config: replace(config, fusion=replace(config.fusion, blocks=blocks))


def _the_full_model(config: GeoSurgeConfig) -> GeoSurgeConfig:
    return config


def _classifier(config: GeoSurgeConfig) -> GeoSurgeConfig:
    """A classification objective; the options of the contrastive one have no meaning for it."""
    training = replace(config.training, loss="unique_cells", symmetric=False)
    return replace(config, geography="classifier", training=training)


ABLATIONS: dict[str, Change] = {
    "classifier": _classifier,
    "depth_5": _depth(5),
    "depth_3": _depth(3),
    "depth_1": _depth(1),
    "fusion_2": _fusion(2),
    "fusion_1": _fusion(1),
    "fusion_0": _fusion(0),
    OTHER_CROPS: _the_full_model,
}
"""Variant by name, in the order of the paper's tables; a new one is one line here."""


def ablated(config: GeoSurgeConfig, variant: str) -> GeoSurgeConfig:
    """The configuration of a variant. Raises ConfigError for a name that is none."""
    if variant not in ABLATIONS:
        raise ConfigError(f"found the ablation {variant!r}; expected one of {', '.join(ABLATIONS)}.")
    return ABLATIONS[variant](config)


def takes_away(config: GeoSurgeConfig, variant: str, partitions: int) -> bool:
    """Whether a variant is trained: it has less than the full model of this configuration over so many partitions.

    It has not where the full model is as shallow, has as few fusion blocks, or is a classifier itself.
    """
    changed = ablated(config, variant)
    depths = (changed.depth or partitions, config.depth or partitions)
    fewer = depths[0] < depths[1] or changed.fusion.blocks < config.fusion.blocks
    return fewer or changed.geography != config.geography


def inference_of(variant: str, config: GeoSurgeConfig, inference: InferenceConfig) -> InferenceConfig:
    """How a variant of this full model answers: as that one does, but for the other crops; and a classifier has no
    cosines, so it takes log probabilities.
    """
    if variant == OTHER_CROPS:
        return replace(inference, crops="centre" if inference.crops == "ten" else "ten")
    return replace(inference, score="log_softmax") if ablated(config, variant).geography == "classifier" else inference
