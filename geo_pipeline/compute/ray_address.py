"""Whether a Ray cluster answers at an address, found out in seconds: Ray itself tries for a quarter of an hour.

Starting Ray belongs to ray.py.
"""

import os
import socket
import subprocess
import sys

from geo_pipeline.compute.compute import ComputeError

CONNECT_S = 5.0
HEALTH_S = 20.0
_CLIENT = "ray://"
_GREETS = "import sys, grpc; grpc.channel_ready_future(grpc.insecure_channel(sys.argv[1])).result()"
"""Ends when a server of gRPC answers (Ray's client itself needs that package)."""


def require_cluster(address: str) -> None:
    """Raise ComputeError within half a minute unless a cluster answers at `host:port`, `ray://host:port` or `auto`."""
    bare = address.removeprefix(_CLIENT)
    if address != "auto":
        host, _, port = bare.rpartition(":")
        if not host or not port.isdigit():
            raise ComputeError(
                f"found RAY_ADDRESS={address}, expected host:port, ray://host:port or auto; correct it, or unset it "
                "for a local Ray"
            )
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
        except (OSError, OverflowError, UnicodeError) as error:
            raise _nobody(address, str(error)) from None
    _require_health(address)


def _require_health(address: str) -> None:
    """Ask the cluster's head in a process that can be ended: something else may listen there, or want a token."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    if address.startswith(_CLIENT):  # a health check asks the head's own port; that of clients speaks gRPC as well
        command = [sys.executable, "-c", _GREETS, address.removeprefix(_CLIENT)]
    environment = {**os.environ, "RAY_ADDRESS": address if address != "auto" else ""}
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=HEALTH_S, check=False, env=environment)
    except subprocess.TimeoutExpired:
        raise _nobody(address, f"no answer within {HEALTH_S:.0f} s") from None
    if asked.returncode != 0:
        lines = [line.strip() for line in (asked.stderr + asked.stdout).splitlines() if line.strip()]
        raise _nobody(address, lines[-1][:200] if lines else f"health check ended with {asked.returncode}")


def _nobody(address: str, detail: str) -> ComputeError:
    return ComputeError(
        f"found no Ray cluster at RAY_ADDRESS={address} ({detail}); start one, correct the address, or unset it for a "
        "local one"
    )
