"""The trained router at work: choices, failures, order, batches; and checkpoints that are refused."""

import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from peft import PeftModel
from safetensors.torch import load_file

from geo_pipeline.contracts.contract import load as load_contract
from geo_pipeline.georouter.gathered import GATHERED
from geo_pipeline.georouter.training import train
from geo_pipeline.georouter.worker import RouterPredictor, method_name
from geo_pipeline.lvlm.model import load
from geo_pipeline.lvlm.small import build_small_qwen2vl
from geo_pipeline.training.checkpoint import CheckpointError
from geo_pipeline_tests.small_lvlm import plain_jpeg


@pytest.fixture(scope="module")
def checkpoint(georouting, router_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("router")
    config = replace(router_config, epochs=6, lr=2e-2, variant="full")
    train(georouting / "georouting.parquet", georouting / GATHERED, config, folder, lambda row: None)
    return folder


@pytest.fixture(scope="module")
def queries(georouting):
    table = pq.read_table(georouting / "georouting.parquet").to_pylist()
    images = {row["image_id"]: row["jpeg"] for row in pq.read_table(georouting / "images.parquet").to_pylist()}
    rows = []
    for row in table:
        top1 = images[row["candidate_ids"][0]] if row["candidate_ids"] else None
        kept = {name: value for name, value in row.items() if "_deg" in name or name == "image_id"}
        rows.append({**kept, "jpeg": images[row["image_id"]], "top1_jpeg": top1})
    return pa.Table.from_pylist(rows)


def test_the_choice_follows_the_score_and_its_coordinate_the_choice(checkpoint, queries):
    rows = RouterPredictor(checkpoint)(queries)
    assert load_contract("predictions").problems(rows) == []
    assert rows["image_id"] == queries["image_id"]
    for asked, row in zip(queries.to_pylist(), rows.to_pylist(), strict=True):
        if row["score"] is None:
            continue
        assert row["chosen"] == ("generation" if row["score"] > 0 else "retrieval")
        assert (row["lat_deg"], row["lon_deg"]) == (
            asked[f"{row['chosen']}_lat_deg"],
            asked[f"{row['chosen']}_lon_deg"],
        )
    assert {"generation", "retrieval"} <= set(rows["chosen"].to_pylist())


def test_a_paradigm_that_failed_is_never_chosen(checkpoint):
    def query(image_id, retrieval, generation):
        row = {"image_id": image_id, "jpeg": plain_jpeg(100), "top1_jpeg": plain_jpeg(50)}
        row |= dict(zip(("retrieval_lat_deg", "retrieval_lon_deg"), retrieval, strict=True))
        row |= dict(zip(("generation_lat_deg", "generation_lon_deg"), generation, strict=True))
        lost = None if generation[0] is not None else "placeholder_zero"
        return row | {"candidate_lats_deg": [1.0], "candidate_lons_deg": [2.0], "generation_failure": lost}

    nowhere = (None, None)
    table = pa.Table.from_pylist(
        [query("a", (1.0, 2.0), nowhere), query("b", nowhere, (3.0, 4.0)), query("c", nowhere, nowhere)]
    )
    rows = RouterPredictor(checkpoint)(table)
    assert rows["chosen"].to_pylist() == ["retrieval", "generation", None]
    assert rows["lat_deg"].to_pylist() == [1.0, 3.0, None]
    assert rows["raw_answer"].to_pylist()[0] == "generation failed: placeholder_zero"
    assert rows["failure"].to_pylist() == [None, None, "both_paradigms_failed: placeholder_zero"]
    assert rows["score"].to_pylist() == [None, None, None]
    assert load_contract("predictions").problems(rows) == []


def test_scores_do_not_depend_on_the_batch(checkpoint, queries):
    predictor = RouterPredictor(checkpoint)
    together = predictor(queries)["score"].to_pylist()
    predictor.config = replace(predictor.config, lvlm=replace(predictor.config.lvlm, batch=1))
    alone = predictor(queries)["score"].to_pylist()
    assert together[:-1] == pytest.approx(alone[:-1], abs=1e-4)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # peft reads transformers' old name
def test_pefts_own_loader_reads_the_adapter(checkpoint, small_config):
    model = PeftModel.from_pretrained(load(small_config).model, str(checkpoint))
    stored = load_file(checkpoint / "adapter_model.safetensors")
    found = {name.replace(".default", ""): value for name, value in model.named_parameters() if "lora_" in name}
    assert found.keys() == stored.keys()
    assert all(found[name].equal(stored[name]) for name in stored)


def test_a_variant_is_another_method():
    assert [method_name(variant) for variant in ("full", "image_only")] == ["router", "router_image_only"]


def test_an_unfinished_or_damaged_checkpoint_is_refused(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match=r"no card\.json"):
        RouterPredictor(tmp_path)
    shutil.copytree(checkpoint, tmp_path / "cut")
    adapter = tmp_path / "cut" / "adapter_model.safetensors"
    adapter.write_bytes(adapter.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="damaged"):
        RouterPredictor(tmp_path / "cut")


def test_another_backbone_is_refused(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "router")
    other = build_small_qwen2vl(
        tmp_path / "other",
        seed=9,
        hidden=32,
        layers=2,
        heads=2,
        kv_heads=1,
        intermediate=48,
        vision_hidden=32,
        vision_layers=1,
    )
    card = json.loads((tmp_path / "router" / "card.json").read_text())
    card["config"]["lvlm"]["model"] = str(other)
    (tmp_path / "router" / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="train the router again"):
        RouterPredictor(tmp_path / "router")
