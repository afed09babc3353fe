import json

import numpy as np
import open_clip
import pytest
import torch

from geo_pipeline.pretraining import clip
from geo_pipeline.pretraining.album import draw_album
from geo_pipeline.pretraining.captions import captions
from geo_pipeline.sample_world.weights import weights_dir


@pytest.fixture(scope="module")
def album():
    return draw_album(1, 400, first_seed=3_000_000, views=clip.VIEWS)


def test_captions_fit_the_context_and_end_with_the_highest_id(album):
    ids_BT = clip.tokens(captions(album))
    ends = ids_BT.argmax(1)
    assert ids_BT.shape == (400, clip.CONTEXT)
    assert torch.equal(ids_BT.max(1).values, torch.full((400,), len(clip.VOCABULARY) - 1))
    assert all(int(ids_BT[row, end + 1 :].sum()) == 0 for row, end in enumerate(ends.tolist()))


def test_random_crops_repeat_with_the_generator_and_differ_without(album):
    first, again = (clip.crops(album.images[:4], torch.Generator().manual_seed(1)) for _ in range(2))
    other = clip.crops(album.images[:4], torch.Generator().manual_seed(2))
    assert first.shape == (4, 3, 56, 56)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert abs(float(first.mean() - clip.crops(album.images[:4]).mean())) < 0.3


def test_equal_captions_share_the_truth():
    features_BD = torch.eye(3)[[0, 0, 1]]
    same, different = torch.tensor([[1, 2], [1, 2], [1, 3]]), torch.tensor([[1, 2], [1, 4], [1, 3]])
    shared = clip.clip_loss(features_BD, features_BD, torch.tensor(100.0), same)
    assert shared == pytest.approx(np.log(2) * 2 / 3, abs=1e-4)
    wrong_BD = torch.eye(3)[[1, 1, 0]]
    assert clip.clip_loss(features_BD, wrong_BD, torch.tensor(100.0), same) > 50
    assert clip.clip_loss(features_BD, torch.eye(3), torch.tensor(100.0), different) > clip.clip_loss(
        torch.eye(3), torch.eye(3), torch.tensor(100.0), different
    )


def test_a_short_training_leaves_a_folder_that_open_clip_loads(tmp_path, album):
    training = clip.ClipTraining(planets=1, photographs=40, batch=8, exam_photographs=60)
    clip.pretrain(tmp_path / "clip", 0.02, 0, torch.get_num_threads(), lambda _: None, training)
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'clip'}", precision="fp32")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'clip'}")
    phrases = captions(album)[:5]
    assert torch.equal(tokenizer([" ".join(words) for words in phrases]), clip.tokens(phrases))
    assert clip.image_tokens(model, clip.crops(album.images[:2])).shape == (2, 128)


def test_shipped_weights_know_places_of_an_unseen_planet(album):
    folder = weights_dir("clip")
    card = json.loads((folder / "open_clip_config.json").read_text())
    assert card["model_cfg"] == json.loads(json.dumps(clip.MODEL_CONFIG))
    model = open_clip.create_model(f"local-dir:{folder}", precision="fp32")
    result = clip.examine(model, album)
    assert result["caption_top1"] > 0.3
    assert result["place_recall_tokens"] > 0.3
    assert sum(path.stat().st_size for path in folder.iterdir()) < 4_000_000
