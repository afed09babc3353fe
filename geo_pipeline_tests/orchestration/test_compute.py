import os
import threading

import pyarrow as pa
import pytest

from geo_pipeline.orchestration.compute import ComputeError, InProcessCompute, RayCompute, guarded
from geo_pipeline.orchestration.stage import in_batches
from geo_pipeline.profiles.resources import ComputeConfig

WORKER = "geo_pipeline_tests.orchestration.workers:PidWorker"
LOOP = "geo_pipeline_tests.orchestration.workers:loop"
CONFIG = ComputeConfig(batch_rows=3, actors=2, cpus=4, stall_s=120)


def numbers(count):
    return list(in_batches(pa.table({"x": list(range(count))}), CONFIG.batch_rows))


def test_in_process_gives_one_result_per_batch_in_order(tmp_path):
    results = list(InProcessCompute(CONFIG).map_batches(WORKER, {"folder": tmp_path}, numbers(8)))
    assert [part.num_rows for part in results] == [3, 3, 2]
    assert pa.concat_tables(results)["square"].to_pylist() == [value * value for value in range(8)]
    assert [path.name for path in tmp_path.iterdir()] == [f"pid-{os.getpid()}"]


def test_no_batches_need_no_worker(tmp_path):
    assert list(InProcessCompute(CONFIG).map_batches("nosuch.module:Worker", {}, [])) == []


def test_silence_becomes_an_error_and_an_error_is_handed_on():
    def silent(wait):
        yield "first"
        wait.wait(20)

    wait = threading.Event()
    results = guarded(silent(wait), 0.2, "some worker")
    assert next(results) == "first"
    with pytest.raises(ComputeError, match="no result of some worker"):
        next(results)
    wait.set()
    with pytest.raises(ZeroDivisionError):
        list(guarded((1 // number for number in (1, 0)), 5.0, "some worker"))


def test_on_ray_two_actors_work_one_is_killed_every_row_is_there_and_bytes_are_equal(tmp_path):
    """The one test that starts Ray: actor pool, replacement of a killed actor, and training."""
    for name in ("ray", "here", "train"):
        (tmp_path / name).mkdir()
    with RayCompute(CONFIG) as ray_compute:
        kwargs = {"folder": tmp_path / "ray", "deadly": 13, "pause_s": 0.3}
        on_ray = list(ray_compute.map_batches(WORKER, kwargs, numbers(40)))
        reports = []
        trained = ray_compute.train(LOOP, {"start": 4.0, "out_dir": tmp_path / "train" / "net"}, reports.append)
    pids = {int(path.name.removeprefix("pid-")) for path in (tmp_path / "ray").glob("pid-*")}
    killed = int((tmp_path / "ray" / "killed").read_text())
    assert killed in pids
    assert os.getpid() not in pids
    assert len(pids) >= 3, "two actors, and one in the place of the killed one"
    here = list(InProcessCompute(CONFIG).map_batches(WORKER, {"folder": tmp_path / "here"}, numbers(40)))
    assert [part.to_pydict() for part in on_ray] == [part.to_pydict() for part in here]
    assert [part.schema for part in on_ray] == [part.schema for part in here]
    assert (trained.metrics, reports) == ({"best": 2.0}, [{"epoch": 0, "loss": 4.0}, {"epoch": 1, "loss": 2.0}])
    twin = InProcessCompute(CONFIG).train(LOOP, {"start": 4.0, "out_dir": tmp_path / "twin"}, reports.append)
    assert twin.curves == trained.curves
    assert (tmp_path / "train" / "net" / "weights").read_bytes() == (tmp_path / "twin" / "weights").read_bytes()
