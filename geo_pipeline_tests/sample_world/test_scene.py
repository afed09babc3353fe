"""Pictures and class maps agree, and a picture shows what its view says."""

import numpy as np

from geo_pipeline.sample_world.ade20k import ADE20K_CLASSES, CLASS_IDS
from geo_pipeline.sample_world.config import Outing, PlanetConfig
from geo_pipeline.sample_world.planet import found
from geo_pipeline.sample_world.scene import draw

CONFIG = PlanetConfig(pool=Outing(120, (0.25, 0.25, 0.25, 0.25), 0.0, 0.5, 1.4), benchmarks=())
PLANET = found(11, CONFIG)


def test_the_class_list_is_ade20k() -> None:
    assert len(ADE20K_CLASSES) == len(set(ADE20K_CLASSES)) == 150
    assert (CLASS_IDS["wall"], CLASS_IDS["sky"], CLASS_IDS["person"], CLASS_IDS["flag"]) == (0, 2, 12, 149)


def test_drawing_is_deterministic() -> None:
    for photograph in PLANET.photographs[:5]:
        first, second = draw(PLANET, photograph), draw(PLANET, photograph)
        assert (first.image == second.image).all()
        assert (first.class_map == second.class_map).all()


def test_landmarks_stand_in_landmark_views_only() -> None:
    tower = CLASS_IDS["tower"]
    for photograph in PLANET.photographs:
        share = (draw(PLANET, photograph).class_map == tower).mean()
        assert (share > 0.01) == (photograph.view in ("both", "place"))


def test_the_sky_is_where_the_map_says() -> None:
    for photograph in [one for one in PLANET.photographs if one.view == "place"][:10]:
        scene = draw(PLANET, photograph)
        sky = scene.image[scene.class_map == CLASS_IDS["sky"]].astype(float)
        off = np.abs(sky - np.median(sky, axis=0)).max(axis=1)
        assert (off < 25.0).mean() > 0.93
