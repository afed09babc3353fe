"""The scene of a photograph (indoor, natural or urban), from the shares of ADE20K classes in its class map.

ISNs, TransLocator and GeoDecoder took scene labels from a classifier trained on Places2. Simplified here: a scene is
told by what covers the most pixels. What stands in any scene (sky, people, animals, light) does not count; a picture of
nothing else is natural. Which classes there are belongs to `sample_world.ade20k`.

Shapes: B images, M of a micro-batch, H x W pixels, S scenes, C classes.
"""

import torch
from torch import Tensor
from torch.nn import functional

from geo_pipeline.sample_world.ade20k import ADE20K_CLASSES

SCENES = ("indoor", "natural", "urban")
INDOOR, NATURAL, URBAN = range(3)
NEUTRAL = {"sky", "person", "animal", "light", "flag", "bag", "apparel", "plant", "box", "food"}


def _names(text: str) -> set[str]:
    """Names between commas, whatever the line breaks."""
    return {" ".join(name.split()) for name in text.split(",")}


NATURE = _names(
    """tree, grass, earth, mountain, water, sea, field, rock, sand, river, flower, hill, palm, land, waterfall, lake,
    dirt track"""
)
STREET = _names(
    """building, road, sidewalk, car, house, fence, signboard, skyscraper, grandstand, path, runway, bridge, hovel, bus,
    truck, tower, awning, streetlight, booth, airplane, pole, van, ship, boat, fountain, canopy, minibike, tank,
    bicycle, traffic light, pier, stairs, stairway, railing, column, bench, ashcan, trade name, sculpture, stage,
    swimming pool, tent, bannister, arcade machine, step"""
)


def scene_of_class(name: str) -> int | None:
    """The scene that a class speaks for; None for a class that stands in any scene."""
    if name in NEUTRAL:
        return None
    if name in NATURE:
        return NATURAL
    return URBAN if name in STREET else INDOOR


def scene_shares(class_map_BHW: Tensor) -> Tensor:
    """Shares (B, S) float32 of the pixels that speak for each scene; they add up to at most 1."""
    votes_CS = torch.zeros(256, len(SCENES), device=class_map_BHW.device)
    for row, name in enumerate(ADE20K_CLASSES):
        scene = scene_of_class(name)
        if scene is not None:
            votes_CS[row, scene] = 1.0
    flat_BN = class_map_BHW.flatten(1).long()
    counts_BC = torch.zeros(len(flat_BN), 256, device=flat_BN.device)
    counts_BC.scatter_add_(1, flat_BN, torch.ones_like(flat_BN, dtype=torch.float32))
    return functional.normalize(counts_BC, p=1, dim=1) @ votes_CS


def scene_sum(logits_MS: Tensor, scenes_M: Tensor) -> Tensor:
    """Cross entropy over the scenes, summed over the images: one term (1,) of a baseline's loss."""
    return functional.cross_entropy(logits_MS.float(), scenes_M, reduction="sum")[None]


def scene_labels(class_map_BHW: Tensor) -> Tensor:
    """The scene (B,) int64 of each class map: a row of SCENES. Equal shares are natural before urban before indoor."""
    order = torch.tensor([NATURAL, URBAN, INDOOR], device=class_map_BHW.device)
    return order[scene_shares(class_map_BHW)[:, order].argmax(dim=1)]
