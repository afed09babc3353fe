"""Weights are compared before something is made with them, and only then."""

import pytest

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.orchestration.weights import reads
from geo_pipeline.profiles.paper import paper
from geo_pipeline.profiles.profile import ProfileError
from geo_pipeline.profiles.sources import files_spec
from geo_pipeline_tests.orchestration.small_lineage import SHARDS
from geo_pipeline_tests.profiles.fake_hub import fetched, flipped, rewritten

NET = LvlmConfig("owner/net", revision=None)


@pytest.fixture
def blob(small, tmp_path, monkeypatch):
    """Weights that `doubles` reads; everything is made."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    small.world.network = small.world.editions["doubles"] = NET
    found = fetched(tmp_path / "cache", NET.model, "net.safetensors", b"weights")
    small.bring_up()
    return found


def test_each_asset_that_loads_weights_names_them_in_its_configuration():
    lineage = bind(ASSETS, paper(files_spec("images", "metadata.csv")), METHODS, BENCHMARKS)
    readers = {
        need.purpose.partition(" ")[0]: {name for name, asset in lineage.assets.items() if reads(asset, need)}
        for need in lineage.profile.needs
    }
    routers = {"router", "router_coordinates_only", "router_image_only"}
    assert readers == {
        "Qwen2-VL": {"generation_predictions", "routed_predictions"}
        | {f"{name}_checkpoint" for name in routers}
        | {f"{name}_predictions" for name in routers - {"router"}},
        "OneFormer": {"segmentations"},
        "class": {"segmentations"},
        "CLIP": {"geosurge_checkpoint", "baseline_checkpoints", "geosurge_ablations"},
    }


def test_damaged_weights_stop_a_run_at_its_start_before_anything_is_made(small, blob):
    rewritten(blob, flipped(b"weights"))
    assert small.bring_up() == {}, "nothing is made with them, so nothing is said"
    small.world.numbers["b"] = [40.0]
    small.world.made.clear()
    with pytest.raises(ProfileError, match=r"^found net\.safetensors of owner/net damaged: 7 bytes .* `hf download"):
        small.bring_up()
    assert small.world.made == []
    assert list(small.bring_up("features")) == ["features"]
    rewritten(blob, b"weights")
    assert list(small.bring_up()) == ["doubles", "features_manifest", "total"]


def test_a_run_of_the_user_interface_is_stopped_too(small, blob):
    rewritten(blob, flipped(b"weights"))
    with pytest.raises(ProfileError, match="damaged"):
        small.launch("doubles", SHARDS, again=True)
    assert small.launch("doubles", SHARDS)


def test_a_change_names_what_the_home_has_made_with_them(small, blob, tmp_path):
    fetched(tmp_path / "cache", NET.model, "net.safetensors", b"others")
    with pytest.raises(ProfileError, match=r"changed: 6 bytes .*`geo-pipeline run --again 'doubles'`$"):
        small.bring_up(again="doubles")
    (small.home.root / "weights.json").unlink()
    assert small.bring_up(again="doubles") == {"doubles": list(SHARDS)}
    assert small.bring_up() == {}
