"""Settings that a network cannot be built with are told at the start, each with its path; the profiles build."""

import json
from dataclasses import replace

import pytest

from geo_pipeline.baselines.config import GeoDecoderOptions, PlaNetOptions, TranslocatorOptions
from geo_pipeline.geosurge.config import VisionConfig
from geo_pipeline.profiles.buildable import TowerSize, tower_size
from geo_pipeline.profiles.choices import Choices
from geo_pipeline.profiles.named import named_profile
from geo_pipeline.profiles.paper import paper
from geo_pipeline.profiles.photos import photos
from geo_pipeline.profiles.sample import sample

VIT = "ViT-L-14-336-quickgelu"


def changed(**settings):
    """The sample with settings by their paths, `__` for a point."""
    written = {path.replace("__", "."): json.dumps(value) for path, value in settings.items()}
    return named_profile(Choices(profile="sample", settings=written))


def with_options(name, options):
    profile = sample(0)
    mine = tuple(
        replace(each, options=options, tau_max=(500, 300)) if each.name == name else each for each in profile.baselines
    )
    return replace(profile, baselines=mine, everyday_baselines=(name,))


@pytest.mark.parametrize("profile", [sample(0), photos(None, 0, 4), paper(None, 0)], ids=lambda each: each.name)
def test_the_profiles_can_be_built(profile):
    assert profile.wrong() == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"geosurge__fusion__heads": 7}, "found geosurge.fusion.heads 7, expected a divisor of the width 128"),
        ({"geosurge__vision__trainable_blocks": 5}, "trainable_blocks 5, expected at most the tower's 4"),
        ({"geosurge__vision__input_px": 57}, "the tower's patch of 14 px, such as 56"),
        ({"geosurge__vision__model": "ViT-X-99"}, "found ViT-X-99, which open_clip does not know"),
        ({"geosurge__vision__model": "convnext_base"}, "found that convnext_base has no ViT for a vision tower"),
        ({"geosurge__vision__model": VIT[:12], "geosurge__vision__pretrained": "openai"}, f"expected {VIT}"),
        ({"geosurge__vision__model": VIT, "geosurge__vision__pretrained": "weights.pt"}, "pretrained weights.pt"),
        ({"geosurge__training__seed": -1}, "found geosurge.training.seed -1, expected 0 or more"),
        ({"lvlm__device": "gpu"}, "found lvlm.device gpu, expected auto, cpu, cuda or cuda:NUMBER"),
        ({"router__lvlm__device": "cuda:"}, "found router.lvlm.device cuda:"),
        ({"router__weight_decay": -0.5}, "found router.weight_decay -0.5, expected 0 or more"),
        ({"router__seed": -2}, "found router.seed -2, expected 0 or more"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_one_line_of_the_start(settings, said):
    profile = changed(**settings)
    assert len([line for line in profile.wrong() if said in line]) == 1
    with pytest.raises(ValueError, match="cannot start"):
        profile.check_start()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("planet_net", PlaNetOptions(partition=2), "planet_net.options.partition 2, expected below the 2"),
        ("geodecoder", GeoDecoderOptions(partitions=3), "geodecoder.options.partitions 3, expected 1 to 2"),
        ("geodecoder", GeoDecoderOptions(heads=3), "geodecoder.options.heads 3, expected a divisor of the width 128"),
        ("translocator", TranslocatorOptions(width=64, heads=5), "found baselines.translocator.options.heads 5"),
    ],
)  # fmt: skip
def test_options_of_a_baseline_are_told_where_it_is_trained(name, options, said):
    profile = with_options(name, options)
    assert any(said in line for line in profile.wrong())
    assert replace(profile, everyday_baselines=()).wrong() == [], "nobody asks for it"


def test_the_size_of_a_tower_is_that_of_the_built_one():
    from geo_pipeline.geosurge.vision import load_tower

    tower = load_tower(VisionConfig.sample())
    assert tower_size(VisionConfig.sample()) == TowerSize(tower.width, len(tower.blocks), tower.patch_px, True)
    assert tower_size(VisionConfig()) == TowerSize(1024, 24, 14, True)
    assert tower_size(VisionConfig(width=64)) == TowerSize(64, 24, 14, True)


def test_the_card_of_a_folder_is_read(tmp_path):
    config = VisionConfig(model=f"local-dir:{tmp_path}", pretrained=None)
    assert tower_size(config) is None, "a file that is not there is told with the weights"
    card = {"embed_dim": 8, "vision_cfg": {"width": 32, "layers": 2, "patch_size": 16}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": card}))
    assert tower_size(config) == TowerSize(32, 2, 16, False)
    for damaged in ("{", "{}", '{"model_cfg": 3}'):
        (tmp_path / "open_clip_config.json").write_text(damaged)
        with pytest.raises(ValueError, match=r"open_clip_config\.json"):
            tower_size(config)
