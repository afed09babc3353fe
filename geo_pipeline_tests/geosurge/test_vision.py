import json
import shutil
import subprocess
import sys

import open_clip
import pytest
import torch

from geo_pipeline.geosurge.activation import check_activation
from geo_pipeline.geosurge.config import VisionConfig
from geo_pipeline.geosurge.vision import TowerArchitecture, VisionWeightsError, build_tower, load_tower
from geo_pipeline_tests.geosurge.tiny_geosurge import write_clip


def vision(folder, **changes):
    return VisionConfig(
        **{"model": f"local-dir:{folder}", "pretrained": None, "input_px": 28, "resize_px": 32, **changes}
    )


def pixels(batch=2, side=28):
    return torch.randint(0, 256, (batch, 3, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_tokens_are_open_clips_before_output_norm_and_projection(clip_dir):
    tower = load_tower(vision(clip_dir))
    model = open_clip.create_model(f"local-dir:{clip_dir}")
    mean, std = (torch.tensor(model.visual.preprocess_cfg[key])[:, None, None] for key in ("mean", "std"))
    found = model.visual.forward_intermediates(
        (pixels() / 255 - mean) / std, indices=1, output_fmt="NLC", output_extra_tokens=True
    )
    expected_BTD = torch.cat([found["image_intermediates_prefix"][-1], found["image_intermediates"][-1]], dim=1)
    tokens_BTD = tower(pixels())
    assert tokens_BTD.shape == (2, 5, 32)
    assert tokens_BTD.dtype == torch.float32
    torch.testing.assert_close(tokens_BTD, expected_BTD, rtol=1e-4, atol=1e-5)


def graph_size(tokens_BTD):
    seen, stack = set(), [tokens_BTD.grad_fn]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += [parent for parent, _ in node.next_functions if parent is not None]
    return len(seen)


def test_all_but_the_last_block_are_frozen_and_outside_the_graph(clip_dir):
    tower = load_tower(vision(clip_dir))
    assert {name.split(".")[1] for name, parameter in tower.named_parameters() if parameter.requires_grad} == {"2"}
    deeper = load_tower(vision(clip_dir, trainable_blocks=3))
    assert 2 * graph_size(tower(pixels())) < graph_size(deeper(pixels()))
    assert not load_tower(vision(clip_dir, trainable_blocks=0))(pixels()).requires_grad


def test_an_architecture_rebuilds_the_tower(clip_dir):
    tower = load_tower(vision(clip_dir))
    again = build_tower(TowerArchitecture.from_json(tower.architecture.to_json()), 1)
    again.load_state_dict(tower.state_dict())
    assert torch.equal(again(pixels()), tower(pixels()))
    assert again.architecture.quick_gelu


def test_gelu_and_quickgelu_give_other_tokens_from_the_same_weights(clip_dir, tmp_path):
    plain = write_clip(tmp_path / "plain", quick_gelu=False)
    shutil.copy(clip_dir / "open_clip_model.safetensors", plain / "open_clip_model.safetensors")
    difference = load_tower(vision(clip_dir))(pixels()) - load_tower(vision(plain))(pixels())
    assert difference.abs().max() > 1e-3


def without_a_word(folder):
    """The same CLIP in a folder whose card does not say which activation its weights want."""
    config = folder / "open_clip_config.json"
    content = json.loads(config.read_text())
    del content["model_cfg"]["quick_gelu"]
    config.write_text(json.dumps(content))
    return folder


def test_a_folder_that_does_not_say_its_activation_is_refused_unless_the_settings_do(clip_dir, tmp_path):
    """Its weights were taken for GELU without a word, and features were wrong."""
    silent = without_a_word(shutil.copytree(clip_dir, tmp_path / "silent"))
    with pytest.raises(VisionWeightsError, match=r"no quick_gelu .*--set geosurge\.vision\.quick_gelu=true"):
        load_tower(vision(silent))
    said = load_tower(vision(silent, quick_gelu=True))
    assert said.architecture.quick_gelu
    assert torch.equal(said(pixels()), load_tower(vision(clip_dir))(pixels()))
    with pytest.raises(VisionWeightsError, match="expected the same"):
        load_tower(vision(clip_dir, quick_gelu=False))


def test_a_training_is_imported_without_open_clip():
    code = (
        "import sys, geo_pipeline.geosurge.training, geo_pipeline.baselines.training; print('open_clip' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("model", "pretrained", "quick_gelu", "refused"),
    [
        ("ViT-L-14-336-quickgelu", "openai", None, None),
        ("ViT-L-14-336", "openai", None, "silently wrong"),
        ("ViT-L-14-336", "weights.safetensors", None, "does not say which activation"),
        ("ViT-L-14-336", "weights.safetensors", True, "silently wrong"),
        ("ViT-L-14-336-quickgelu", "weights.safetensors", True, None),
        ("ViT-L-14", "laion2b_s32b_b82k", None, None),
        ("ViT-L-14-336-quickgelu", "weights.pt", True, "Pickled weights are not loaded"),
    ],
)
def test_activation_must_be_the_weights_own(model, pretrained, quick_gelu, refused):
    config = VisionConfig(model=model, pretrained=pretrained, quick_gelu=quick_gelu)
    card = open_clip.get_model_config(model)
    if refused is None:
        check_activation(config, bool(card.get("quick_gelu", False)))
    else:
        with pytest.raises(VisionWeightsError, match=refused):
            check_activation(config, bool(card.get("quick_gelu", False)))


def test_another_input_size_resizes_the_positions(clip_dir):
    tower = load_tower(vision(clip_dir, input_px=42, resize_px=48))
    assert tower(pixels(side=42)).shape == (2, 10, 32)


def test_what_is_wrong_with_a_source_is_said(clip_dir, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(VisionWeightsError, match=r"open_clip_model\.safetensors not found"):
        load_tower(vision(tmp_path / "empty"))
    torn = shutil.copytree(clip_dir, tmp_path / "torn")
    card = (torn / "open_clip_config.json").read_text()
    (torn / "open_clip_config.json").write_text(card.replace('"width": 32', '"width": 64'))
    with pytest.raises(VisionWeightsError, match="Save both from one model"):
        load_tower(vision(torn))
    with pytest.raises(VisionWeightsError, match="which open_clip does not know"):
        load_tower(VisionConfig(model="ViT-XXL", pretrained=None))
    with pytest.raises(VisionWeightsError, match="has 3 blocks"):
        load_tower(vision(clip_dir, trainable_blocks=4))
    with pytest.raises(ValueError, match="expected uint8"):
        load_tower(vision(clip_dir))(pixels().float())
