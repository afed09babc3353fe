import socket
import subprocess
import sys
import threading
import time

import pytest

from geo_pipeline.commands.run import run_lineage
from geo_pipeline.compute.compute import ComputeError
from geo_pipeline.compute.ray import RayCompute
from geo_pipeline.compute.ray_address import require_cluster
from geo_pipeline.home.artifact import table
from geo_pipeline.home.home import Home
from geo_pipeline.profiles.resources import ComputeConfig
from geo_pipeline.profiles.sample import sample
from geo_pipeline_tests.compute.workers import Plain


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def refused(monkeypatch, address):
    """The message of a first use of Ray at an address, and the seconds it took."""
    monkeypatch.setenv("RAY_ADDRESS", address)
    began = time.monotonic()
    with RayCompute(ComputeConfig()) as compute, pytest.raises(ComputeError) as raised:
        list(compute.map_shards(Plain(None), ["a"]))
    assert "\n" not in str(raised.value)
    return str(raised.value), time.monotonic() - began


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "localhost:{}"])
def test_an_address_where_nobody_listens_is_told_at_once(monkeypatch, form):
    address = form.format(free_port())
    words, seconds = refused(monkeypatch, address)
    assert words.startswith(f"found no Ray cluster at RAY_ADDRESS={address} (")
    assert words.endswith("; start one, correct the address, or unset it for a local one")
    assert seconds < 10


def test_a_host_that_is_no_name_is_told(monkeypatch):
    for host in ("x" * 300, "a..b"):
        words, seconds = refused(monkeypatch, f"{host}:6379")
        assert words.startswith(f"found no Ray cluster at RAY_ADDRESS={host}:6379 (")
        assert seconds < 10


@pytest.mark.parametrize("address", ["127.0.0.1", "somewhere", "127.0.0.1:port", ":6379", "local host"])
def test_an_address_of_another_form_is_told_with_what_is_expected(monkeypatch, address):
    words, seconds = refused(monkeypatch, address)
    assert words.startswith(f"found RAY_ADDRESS={address}, expected host:port")
    assert seconds < 10


def test_a_port_where_something_listens_in_silence_is_told_within_half_a_minute(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        words, seconds = refused(monkeypatch, address)
    assert words.startswith(f"found no Ray cluster at RAY_ADDRESS={address} (")
    assert seconds < 30


def test_a_port_for_clients_that_answers_is_taken():
    serve = (
        "from concurrent import futures; import grpc; server = grpc.server(futures.ThreadPoolExecutor(1)); "
        "print(server.add_insecure_port('127.0.0.1:0'), flush=True); server.start(); server.wait_for_termination()"
    )
    with subprocess.Popen([sys.executable, "-c", serve], stdout=subprocess.PIPE, text=True) as server:
        try:
            require_cluster(f"ray://127.0.0.1:{int(server.stdout.readline())}")
        finally:
            server.kill()


def test_a_run_asks_for_its_cluster_before_it_makes_anything(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    with pytest.raises(ComputeError, match="found no Ray cluster at RAY_ADDRESS"):
        run_lineage(sample(), tmp_path / "home", None, in_process=False)
    assert not Home(tmp_path / "home").stored(table("catalogue"))


def test_a_port_where_something_else_listens_is_told_within_half_a_minute(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def accept():
            server.settimeout(0.2)
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.close()

        listening = threading.Thread(target=accept)
        listening.start()
        words, seconds = refused(monkeypatch, f"127.0.0.1:{server.getsockname()[1]}")
        stop.set()
        listening.join()
    assert words.startswith("found no Ray cluster at RAY_ADDRESS=127.0.0.1:")
    assert seconds < 30
