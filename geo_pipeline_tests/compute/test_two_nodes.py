import numpy as np
import pytest

from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline_tests.campaigns.two_nodes import trained_on_two_nodes
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
    undisturbed = trained_on_two_nodes(tmp_path, clip, "undisturbed", lose_one=False)
    disturbed = trained_on_two_nodes(tmp_path, clip, "disturbed", lose_one=True)
    assert undisturbed.epochs[-1] == disturbed.epochs[-1] == 2
    assert (undisturbed.processes, disturbed.processes) == (2, 4), "started once, or once more"
    assert undisturbed.weights.keys() == disturbed.weights.keys()
    for tensor, expected in undisturbed.weights.items():
        np.testing.assert_allclose(disturbed.weights[tensor], expected, rtol=1e-4, atol=1e-6)
    losses = [each.curves["loss"].to_numpy() for each in (disturbed, undisturbed)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
