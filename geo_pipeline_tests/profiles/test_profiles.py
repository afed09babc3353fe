from pathlib import Path

import pytest

from geo_pipeline.orchestration.artifacts import digest
from geo_pipeline.profiles.named import named_profile, profile_of_environment
from geo_pipeline.profiles.paper import paper
from geo_pipeline.profiles.photos import photos
from geo_pipeline.profiles.profile import ProfileError
from geo_pipeline.profiles.requirements import NeededFiles
from geo_pipeline.profiles.sample import sample
from geo_pipeline.profiles.sources import FolderSpec


def test_the_papers_constants():
    profile = paper(Path("images"), Path("metadata.csv"))
    assert (profile.partition.tau_min, profile.partition.tau_max) == (50, (25000, 10000, 5000, 2000, 1000, 750, 500))
    assert (profile.geosurge.vision.model, profile.geosurge.vision.pretrained) == ("ViT-L-14-336-quickgelu", "openai")
    assert (profile.geosurge.training.batch, profile.geosurge.training.lr) == (1024, 1e-4)
    assert (profile.router.lora_r, profile.router.lora_alpha, profile.router.batch, profile.router.epochs) == (
        16,
        32,
        24,
        3,
    )
    assert profile.lvlm.model == "Qwen/Qwen2-VL-7B-Instruct"
    assert len(profile.lvlm.revision) == 40
    assert profile.segmentation.model == "shi-labs/oneformer_ade20k_swin_large"


def test_paper_says_everything_that_is_missing_in_one_message(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    profile = paper(tmp_path / "images", tmp_path / "metadata.csv")
    with pytest.raises(ProfileError) as refused:
        profile.check_start()
    message = str(refused.value)
    for part in ("images", "metadata.csv", "Qwen2-VL", "OneFormer", "class list", "CLIP", "hf download"):
        assert part in message


def test_a_local_folder_serves_in_the_place_of_an_id(tmp_path):
    need = NeededFiles("Qwen2-VL", str(tmp_path), ("config.json", "*.safetensors"))
    assert "*.safetensors" in need.missing()[0]
    (tmp_path / "config.json").touch()
    (tmp_path / "model-00001.safetensors").touch()
    assert need.missing() == []


def test_a_fetched_revision_is_found_in_the_hub_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    need = NeededFiles("a class list", "owner/lists", ("classes.json",), revision="abc", kind="dataset")
    assert "owner/lists" in need.missing()[0]
    snapshot = tmp_path / "datasets--owner--lists" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "classes.json").touch()
    assert need.missing() == []


def test_the_sample_and_photos_differ_in_values_only(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    ours, real = sample(3), photos(tmp_path, seed=3)
    assert type(ours) is type(real)
    assert ours.geosurge == real.geosurge
    assert ours.split != real.split
    assert sample(3) == sample(3)
    assert digest(sample(3).router) != digest(sample(4).router)


def test_a_changed_file_changes_the_stamp_of_its_shard_only(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"x")
    spec = FolderSpec(tmp_path)
    before = spec.stamp(["a.jpg"]), spec.stamp(["b.jpg"])
    (tmp_path / "b.jpg").write_bytes(b"longer")
    assert spec.stamp(["a.jpg"]) == before[0]
    assert spec.stamp(["b.jpg"]) != before[1]
    (tmp_path / "b.jpg").unlink()
    assert spec.stamp(["b.jpg"]) != before[1]


def test_the_environment_names_profile_seed_and_home(tmp_path):
    profile, home = profile_of_environment({})
    assert (profile.name, profile.seed, home) == ("sample", 0, Path("workspace"))
    named = {"GEO_PIPELINE_PROFILE": "photos", "GEO_PIPELINE_SEED": "7", "GEO_PIPELINE_IMAGES": str(tmp_path)}
    profile, _ = profile_of_environment(named)
    assert (profile.name, profile.seed, profile.source.images) == ("photos", 7, tmp_path)
    with pytest.raises(ProfileError, match="GEO_PIPELINE_SEED"):
        profile_of_environment({"GEO_PIPELINE_SEED": "seven"})


@pytest.mark.parametrize(
    ("name", "images", "metadata", "word"),
    [("huge", None, None, "'huge'"), ("photos", None, None, "--images"), ("paper", Path("x"), None, "--metadata")],
)
def test_a_profile_that_cannot_be_made_says_why(name, images, metadata, word):
    with pytest.raises(ProfileError, match=word):
        named_profile(name, 0, images, metadata)
