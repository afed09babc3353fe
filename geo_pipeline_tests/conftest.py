"""Fixtures of all tests: the folder of public files, and an environment in which nothing is fetched or left behind."""

from pathlib import Path

import pytest
from hypothesis import settings

from geo_pipeline.profiles.named import VARIABLES

settings.register_profile("unhurried", deadline=None)  # numba compiles at its first use on a machine
settings.load_profile("unhurried")
SHARED = Path(__file__).parents[2] / "shared"


def pytest_collection_modifyitems(items):
    """Tests of public files are skipped, by name, where the folder is absent."""
    if not SHARED.is_dir():
        absent = pytest.mark.skip(reason="the folder ../shared with the field's public files is absent")
        for item in items:
            if "shared_data" in item.keywords:
                item.add_marker(absent)


@pytest.fixture(scope="session")
def shared_dir():
    """The folder with the field's public files."""
    return SHARED


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch):
    """No network, no telemetry, and no variable of the user's that would change a run."""
    for name in ("DAGSTER_HOME", "RAY_ADDRESS", *VARIABLES):
        monkeypatch.delenv(name, raising=False)
    for name in ("HF_HUB_OFFLINE", "DAGSTER_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
