"""A cluster whose nodes have the dependencies and not the package: the package travels with the job."""

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pyarrow as pa
import pytest

from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.compute.ray import RayCompute, packages
from geo_pipeline.compute.shard_job import TableJob
from geo_pipeline.home.artifact import table
from geo_pipeline.home.home import Home
from geo_pipeline.methods.densest_cell import DENSEST_CELL, DensestCell
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline.profiles.sample import sample
from geo_pipeline_tests.compute.nodes import file_bytes, home_of_photographs

pytestmark = pytest.mark.xdist_group("one_ray")

SHARDS = ("one", "two")


@pytest.fixture
def bare_python(tmp_path):
    """An interpreter with the dependencies of this one, without geo_pipeline."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    site = next((tmp_path / "bare" / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return tmp_path / "bare" / "bin" / "python"


@pytest.fixture
def bare_cluster(bare_python, tmp_path, monkeypatch):
    """The address of a cluster of one node that such an interpreter runs."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(
        [bare_python, "-c", "import geo_pipeline"], env=environment, cwd=tmp_path, capture_output=True, check=False
    )
    assert b"No module named 'geo_pipeline'" in found.stderr
    command = [bare_python, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port", str(port)]
    command += ["--num-cpus", "2", "--include-dashboard", "false", "--disable-usage-stats"]
    with (tmp_path / "node.log").open("w") as log:
        node = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(600):
            if "Ray runtime started" in (tmp_path / "node.log").read_text() or node.poll() is not None:
                break
            time.sleep(0.1)
        assert node.poll() is None, (tmp_path / "node.log").read_text()
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(node.pid, signal.SIGTERM)
        node.wait(60)


def test_the_package_and_its_contracts_travel_to_nodes_that_lack_them(bare_cluster, tmp_path, monkeypatch):
    here, there = (home_of_photographs(tmp_path / name, SHARDS, rows=3) for name in ("here", "there"))
    cells = {"partition": [0], "cell": [1], "count": [9], "lat_deg": [48.0], "lon_deg": [16.0]}

    def job(home: Home) -> TableJob:
        outputs = {key: (table("predictions", f"densest_cell/{key}"),) for key in SHARDS}
        return TableJob(
            home, sample(0), DensestCell, DENSEST_CELL.queries, lambda reads: {"geocells": pa.table(cells)}, outputs,
            dict.fromkeys(SHARDS, "g"), batch_rows=2,
        )  # fmt: skip

    list(InProcessCompute(ComputeConfig()).map_shards(job(here), SHARDS))
    monkeypatch.setenv("RAY_ADDRESS", bare_cluster)
    (tmp_path / "data_contracts").mkdir()
    monkeypatch.chdir(tmp_path)  # Ray puts the driver's working folder on its workers' path: not the checkout
    with RayCompute(ComputeConfig(actors=2, stall_s=120)) as compute:
        assert dict(compute.map_shards(job(there), SHARDS)) == {key: {"rows": 3} for key in SHARDS}
    assert file_bytes(there, "predictions") == file_bytes(here, "predictions")


def test_what_travels_is_the_package_and_the_contracts_and_small():
    (package,) = map(Path, packages())
    assert package.name == "geo_pipeline"
    assert len(list((package / "data_contracts").glob("*.yaml"))) > 10
    files = [file for file in package.rglob("*") if "__pycache__" not in file.parts]
    assert sum(file.stat().st_size for file in files if file.is_file()) < 100 * 2**20, "Ray takes at most 500 MiB"
