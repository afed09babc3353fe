import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline_tests.compute import nodes, workers
from geo_pipeline_tests.geosurge import tiny_geosurge

SHARDS = {f"shard-{number}": list(range(12)) for number in range(8)}

pytestmark = pytest.mark.xdist_group("one_ray")


def test_a_node_that_is_lost_in_the_middle_of_a_job_changes_no_byte(tmp_path):
    here = workers.home_of_numbers(tmp_path / "here", SHARDS)
    (tmp_path / "notes").mkdir()
    watched = workers.Watched(tmp_path / "notes", pause_s=0.3)
    list(InProcessCompute(nodes.CONFIG).map_shards(workers.job_of(here, SHARDS, workers.PidWorker, watched), [*SHARDS]))
    there = workers.home_of_numbers(tmp_path / "there", SHARDS)
    with nodes.two_nodes() as (cluster, working, compute):
        results = compute.map_shards(workers.job_of(there, SHARDS, workers.PidWorker, watched), [*SHARDS])
        found = dict([next(results)])
        found |= dict([next(results)])
        assert nodes.noted_nodes(tmp_path / "notes") == {node.node_id for node in working}, "both nodes work"
        cluster.remove_node(working[0], allow_graceful=False)
        found |= dict(results)
    assert found == {key: {"rows": 12} for key in SHARDS}
    assert nodes.file_bytes(there, "training_curves") == nodes.file_bytes(here, "training_curves")


@pytest.mark.slow
def test_a_node_that_is_lost_in_the_middle_of_a_training_of_two_workers_changes_the_weights_within_tolerance(tmp_path):
    clip = tiny_geosurge.write_clip(tmp_path / "clip")
    weights, losses = {}, {}
    for name in ("undisturbed", "disturbed"):
        notes = tmp_path / f"notes of {name}"
        notes.mkdir()
        kwargs = workers.tiny_training(tmp_path, clip, notes, out_dir=tmp_path / name, pause_s=1.0)
        with nodes.two_nodes() as (cluster, working, compute):
            epochs = []

            def report(row, name=name, epochs=epochs, cluster=cluster, working=working):
                epochs.append(row["epoch"])
                if name == "disturbed" and len(epochs) == 1:
                    cluster.remove_node(working[0], allow_graceful=False)

            trained = compute.train(workers.train_watched, kwargs, report)
        weights[name], losses[name] = load_file(tmp_path / name / "model.safetensors"), trained.curves["loss"]
        assert epochs[-1] == 2
        assert len(list(notes.glob("rank-*"))) == (2 if name == "undisturbed" else 4), "started once, or once more"
    for tensor, expected in weights["undisturbed"].items():
        torch.testing.assert_close(weights["disturbed"][tensor], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(losses["disturbed"].to_numpy(), losses["undisturbed"].to_numpy(), rtol=1e-5)
