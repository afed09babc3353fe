import os
import pickle
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from geo_pipeline.compute.compute import ComputeError
from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.compute.ray import RayCompute
from geo_pipeline.contracts.contract import ContractError
from geo_pipeline.home.artifact import table
from geo_pipeline.home.home import Home
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline_tests.compute import workers
from geo_pipeline_tests.compute.workers import Plain, Watched, home_of_numbers, job_of, loads
from geo_pipeline_tests.geosurge import tiny_geosurge

CONFIG = ComputeConfig(actors=2, cpus=4, stall_s=120)
SHARDS = {f"shard-{number}": list(range(10 * number, 10 * number + 10)) for number in range(6)} | {"empty": []}

pytestmark = pytest.mark.xdist_group("one_ray")


@pytest.fixture(scope="module")
def on_ray():
    """Ray, started once for the tests of this module."""
    with RayCompute(CONFIG) as compute:
        yield compute


@pytest.fixture
def configured(on_ray):
    """Sets parts of the configuration, for one test."""

    def configure(**settings):
        on_ray.config = replace(CONFIG, **settings)
        return on_ray

    yield configure
    on_ray.config = CONFIG


def gone(pid):
    """Whether a process has ended, within a few seconds."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def watched(tmp_path, name, **more):
    """A home of numbers and its job, whose worker notes what it does in a folder beside."""
    notes = tmp_path / f"notes of {name}"
    notes.mkdir()
    home = home_of_numbers(tmp_path / name, SHARDS)
    return home, job_of(home, SHARDS, workers.PidWorker, Watched(notes, **more)), notes


def files(home):
    root = home.root / "tables" / "training_curves"
    return {path.name: path.read_bytes() for path in root.rglob("*.parquet")}


def test_shards_are_read_and_written_where_the_worker_runs_and_only_numbers_come_back(tmp_path):
    home, job, notes = watched(tmp_path, "here")
    found = list(InProcessCompute(CONFIG).map_shards(job, list(SHARDS)))
    assert found == [(key, {"rows": len(values)}) for key, values in SHARDS.items()]
    assert home.read_table("training_curves", "shard-1")["loss"].to_pylist() == [value**2 for value in range(10, 20)]
    assert home.stored(table("training_curves", "empty")).rows == 0
    assert (notes / f"done-{os.getpid()}").read_text().split() == ["3", "3", "3", "1"] * 6, "batches of three"
    assert loads(notes) == {os.getpid(): 1}


def test_no_shards_need_no_worker_and_no_ray():
    job = Plain(None)
    assert list(InProcessCompute(CONFIG).map_shards(job, [])) == []
    assert list(RayCompute(CONFIG).map_shards(job, [])) == []


def test_a_worker_that_prepares_gives_the_same_as_one_that_is_called(tmp_path):
    seen = []

    class Halves:
        def prepare(self, rows):
            seen.append((threading.current_thread().name, rows.num_rows))
            return workers.values_of(rows)

        def compute(self, prepared):
            return workers.curves([value**2 for value in prepared])

    home, job, _ = watched(tmp_path, "plain")
    list(InProcessCompute(CONFIG).map_shards(job, list(SHARDS)))
    ahead = home_of_numbers(tmp_path / "ahead", SHARDS)
    list(InProcessCompute(CONFIG).map_shards(job_of(ahead, SHARDS, Halves), list(SHARDS)))
    assert files(ahead) == files(home)
    assert all(name.startswith("ahead") for name, _ in seen)
    assert sum(rows for _, rows in seen) == 60


def test_a_failure_in_preparing_is_the_failure_of_the_shard(tmp_path):
    class Failing:
        def prepare(self, rows):
            raise OSError("the photographs are gone")

        def compute(self, prepared):
            return prepared

    home = home_of_numbers(tmp_path / "home", SHARDS)
    with pytest.raises(OSError, match="the photographs are gone"):
        list(InProcessCompute(CONFIG).map_shards(job_of(home, SHARDS, Failing), list(SHARDS)))
    assert files(home) == {}


def test_ray_writes_the_same_bytes_each_worker_loads_once_and_one_that_is_killed_is_replaced(on_ray, tmp_path):
    here, job, _ = watched(tmp_path, "here")
    list(InProcessCompute(CONFIG).map_shards(job, list(SHARDS)))
    there, job, notes = watched(tmp_path, "there", deadly=15, pause_s=0.05)
    assert dict(on_ray.map_shards(job, list(SHARDS))) == {key: {"rows": len(SHARDS[key])} for key in SHARDS}
    assert files(there) == files(here)
    assert set(loads(notes).values()) == {1}
    assert len(list(notes.glob("killed-*"))) == 1
    assert 2 <= len(loads(notes)) <= 3, "two processes, and one in the place of the killed one if it came in time"
    assert os.getpid() not in loads(notes)
    assert all(gone(pid) for pid in loads(notes)), "the processes end with the call"
    assert not list(there.root.rglob("*.part"))


def test_a_worker_keeps_the_memory_that_it_frees(on_ray, tmp_path):
    home = home_of_numbers(tmp_path / "home", {"one": [1]})
    list(on_ray.map_shards(job_of(home, ["one"], workers.Faults), ["one"]))
    (faults,) = home.read_table("training_curves", "one")["loss"].to_pylist()
    assert faults < 1000, "of 147,456 pages"


def test_torch_that_a_worker_imports_has_its_threads_before_the_worker_is_made(on_ray, tmp_path):
    """In a process that has not imported torch: there an import sets as many threads as the environment says."""
    home = home_of_numbers(tmp_path / "home", {"one": [1], "two": [2]})
    job = job_of(home, ["one", "two"], workers.Threads, network=True, torch_threads=3)
    list(on_ray.map_shards(job, ["one", "two"]))
    assert [home.read_table("training_curves", key)["loss"].to_pylist() for key in ("one", "two")] == [[3, 3]] * 2


def test_a_shard_at_which_every_worker_dies_is_named_and_the_others_are_kept(on_ray, tmp_path):
    home, job, notes = watched(tmp_path, "home", deadly=35, deaths=99)
    with pytest.raises(ComputeError, match=r"PidWorker died 3 times at shard shard-3, .*run again") as raised:
        list(on_ray.map_shards(job, list(SHARDS)))
    assert "\n" not in str(raised.value)
    assert len(list(notes.glob("killed-*"))) == 3
    assert {"shard-0.parquet", "shard-1.parquet", "shard-2.parquet"} <= set(files(home))
    assert "shard-3.parquet" not in files(home)


@pytest.mark.parametrize(
    ("worker", "words"),
    [
        (workers.Refusing, "Refusing failed at shard shard-0: ValueError: seven is not allowed; finished shards"),
        (workers.Untravelled, "Untravelled failed at shard shard-.: .*UntravelledError: seven and eight; finished"),
        (workers.Unmade, "Unmade failed at shard shard-.: FileNotFoundError: no weights here; finished shards"),
    ],
)
def test_an_error_of_the_worker_is_told_with_shard_and_cause_and_without_rays_traceback(
    on_ray, tmp_path, worker, words
):
    job = job_of(home_of_numbers(tmp_path / "home", SHARDS), SHARDS, worker)
    with pytest.raises(ComputeError, match=words) as raised:
        list(on_ray.map_shards(job, list(SHARDS)))
    assert "ray" not in str(raised.value)


def no_steps(rows, parts):
    """Curves that break their contract."""
    whole = pa.concat_tables(parts)
    return {"training_curves": whole.set_column(0, "step", pa.array([-1] * whole.num_rows, pa.int64()))}


def test_what_breaks_a_contract_is_the_cause_of_the_error(on_ray, tmp_path):
    job = job_of(home_of_numbers(tmp_path / "home", SHARDS), SHARDS, workers.PidWorker, Watched(tmp_path))
    job = replace(job, finish=no_steps)
    with pytest.raises(ContractError):
        list(InProcessCompute(CONFIG).map_shards(job, ["shard-1"]))
    with pytest.raises(ComputeError, match="shard-1: ContractError") as raised:
        list(on_ray.map_shards(job, ["shard-1"]))
    assert isinstance(raised.value.__cause__, ContractError)


def test_silence_becomes_an_error(configured, tmp_path):
    job = job_of(home_of_numbers(tmp_path / "home", SHARDS), SHARDS, workers.Silent)
    with pytest.raises(ComputeError, match=r"no result of Silent for 4 s.*2 of 2 workers answer.*the work hangs"):
        list(configured(stall_s=4.0).map_shards(job, list(SHARDS)))


def test_a_long_shard_whose_batches_come_is_no_silence(configured, tmp_path):
    _, job, _ = watched(tmp_path, "home", pause_s=5.0)
    found = dict(configured(stall_s=12.0).map_shards(job, ["shard-0", "shard-1"]))
    assert found == {"shard-0": {"rows": 10}, "shard-1": {"rows": 10}}


def test_a_ray_of_one_machine_refuses_at_once_what_it_will_never_have(configured, tmp_path):
    _, job, _ = watched(tmp_path, "home")
    gpus = configured(stall_s=600.0, gpus_per_worker=1.0, train_workers=2)
    with pytest.raises(
        ComputeError, match=r"found too little for the 2 workers of PidWorker: GPU 2 asked, 0 there; ask"
    ):
        list(gpus.map_shards(job, list(SHARDS)))
    with pytest.raises(
        ComputeError, match=r"2 workers of the training: GPU 2 asked, 0 there; .*--gpus 0 \(CPUs alone\)"
    ):
        gpus.train(workers.loop, {"start": 4.0, "out_dir": tmp_path / "net"}, lambda row: None)
    with pytest.raises(ComputeError, match=r"8 workers of the training: CPU 8 asked, 4 there; .*--workers 4, or raise"):
        configured(train_workers=8).train(workers.loop, {"start": 4.0, "out_dir": tmp_path / "net"}, lambda row: None)
    assert not (tmp_path / "net").exists()


def test_more_workers_than_there_is_room_for_are_fewer_and_said(configured, tmp_path, caplog):
    _, job, notes = watched(tmp_path, "home", pause_s=0.02)
    assert len(list(configured(cpu_actors=6).map_shards(job, list(SHARDS), on_cpu=True))) == len(SHARDS)
    assert "PidWorker lacks CPU 6 asked, 4 there, and goes on with 4 workers" in caplog.text
    assert len(loads(notes)) <= 4


def test_a_cluster_may_grow_so_the_work_waits_and_says_what_is_missing(configured, tmp_path, monkeypatch, caplog):
    _, job, _ = watched(tmp_path, "home")
    monkeypatch.setenv("RAY_ADDRESS", "somewhere:6379")
    with pytest.raises(ComputeError, match=r"no worker answers; each asks CPU 0.25, GPU 1, .*GPU 0 free of 0"):
        list(configured(stall_s=3.0, gpus_per_worker=1.0).map_shards(job, list(SHARDS)))
    assert "PidWorker lacks GPU 2 asked, 0 there, and waits; ask for what is there with --gpus 0" in caplog.text


def test_who_stops_reading_ends_the_work(on_ray, tmp_path):
    home, job, notes = watched(tmp_path, "home", pause_s=0.2)
    results = on_ray.map_shards(job, list(SHARDS))
    next(results)
    results.close()
    assert all(gone(pid) for pid in loads(notes))
    assert len(files(home)) < len(SHARDS)


def test_a_home_that_travels_leaves_behind_what_its_process_knows_of_the_files(tmp_path):
    home = home_of_numbers(tmp_path / "home", SHARDS)
    small = len(pickle.dumps(Home(tmp_path / "home")))
    assert all(home.version(table("features", key)) for key in SHARDS)
    assert len(pickle.dumps(home)) == small
    assert pickle.loads(pickle.dumps(home)).read_table("features", "shard-0").num_rows == 10


def test_training_gives_the_same_on_ray_as_here_and_an_epoch_is_heard_of_while_it_goes_on(on_ray, tmp_path):
    trained, reports = {}, {}
    for name, compute in (("ray", on_ray), ("twin", InProcessCompute(CONFIG))):
        rows, heard = reports.setdefault(name, []), tmp_path / f"heard {name}"

        def hear(row, rows=rows, heard=heard):
            assert threading.current_thread() is threading.main_thread()
            rows.append(row)
            heard.touch()

        kwargs = {"start": 4.0, "out_dir": tmp_path / name / "net", "heard": heard}
        trained[name] = compute.train(workers.loop, kwargs, hear)
    assert reports["ray"] == reports["twin"] == [{"epoch": 0, "loss": 4.0}, {"epoch": 1, "loss": 2.0}]
    assert trained["ray"] == trained["twin"]
    assert trained["ray"].metrics == {"best": 2.0}
    assert (tmp_path / "ray" / "net" / "weights").read_bytes() == (tmp_path / "twin" / "net" / "weights").read_bytes()
    assert [path.name for path in (tmp_path / "ray").iterdir()] == ["net"], "nothing of Ray Train's is left"


def test_what_a_training_refuses_is_told_at_once_and_not_tried_again(on_ray, tmp_path):
    with pytest.raises(ComputeError, match=r"^The loss is nan: lower the rate\.$"):
        on_ray.train(workers.refusing_loop, {"out_dir": tmp_path / "net"}, lambda row: None)
    assert (tmp_path / "tries").read_text() == "1"


@pytest.mark.slow
def test_a_training_that_fails_every_time_is_given_up_with_its_cause(on_ray, tmp_path):
    with pytest.raises(ComputeError, match=r"the training ended with .*the disk is gone.*within 3 restarts"):
        on_ray.train(workers.failing_loop, {"out_dir": tmp_path / "net"}, lambda row: None)
    assert (tmp_path / "tries").read_text() == "1111"


def epochs_trained(notes, rank):
    """The epochs of the batches that a rank trained on, one list per process, in the order in which they came."""
    found = sorted(notes.glob(f"rank-{rank}-*"), key=lambda path: path.stat().st_ctime)
    return [[int(epoch) for epoch in path.read_text().split()] for path in found]


def test_a_training_whose_worker_is_killed_goes_on_where_it_was_and_ends_with_the_same_weights(configured, tmp_path):
    """Nine batches in three epochs, a state after each; the second worker is killed ahead of the fifth batch."""
    clip = tiny_geosurge.write_clip(tmp_path / "clip")
    ended = {}
    for name, deadly in (("undisturbed", None), ("killed", 4)):
        notes = tmp_path / f"notes of {name}"
        notes.mkdir()
        kwargs = workers.tiny_training(tmp_path, clip, notes, deadly=deadly, out_dir=tmp_path / name)
        reports = []
        trained = configured(train_workers=2).train(workers.train_watched, kwargs, reports.append)
        ended[name] = trained, reports, load_file(tmp_path / name / "model.safetensors")
    assert (tmp_path / "notes of killed" / "killed").exists()
    assert epochs_trained(tmp_path / "notes of undisturbed", 1) == [[0, 0, 0, 1, 1, 1, 2, 2, 2]]
    for rank in range(2):
        first, second = epochs_trained(tmp_path / "notes of killed", rank)
        assert first[:4] == [0, 0, 0, 1]
        assert second == [1, 1, 2, 2, 2], "nothing that was finished is done again"
    (undisturbed, _, expected), (killed, reports, found) = ended["undisturbed"], ended["killed"]
    assert [row["epoch"] for row in reports][-2:] == [1, 2]
    assert len(reports) <= 3, "the first epoch is heard of once, or not where Ray Train had not fetched it at the kill"
    assert expected.keys() == found.keys()
    for tensor in expected:
        torch.testing.assert_close(found[tensor], expected[tensor], rtol=1e-4, atol=1e-6)
    for column in ("step", "loss", "learning_rate"):
        np.testing.assert_allclose(killed.curves[column].to_numpy(), undisturbed.curves[column].to_numpy(), rtol=1e-5)


def test_an_interrupt_is_heard_while_a_long_shard_is_at_work(on_ray):
    """Ray's own wait, of two minutes here, is deaf to signals."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background work ignores it
    began, pressed = time.monotonic(), threading.Timer(5.0, os.kill, (os.getpid(), signal.SIGINT))
    pressed.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(on_ray.map_shards(Plain(time.sleep), [60]))
    finally:
        pressed.cancel()
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 15
