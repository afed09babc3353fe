"""Fixtures of the orchestration tests."""

import dagster as dg
import pytest

from geo_pipeline.orchestration.dagster_home import sync_less
from geo_pipeline_tests.orchestration.small_lineage import SmallRun

NO_TELEMETRY = {"telemetry": {"enabled": False}}


sync_less()


@pytest.fixture
def small(tmp_path):
    """A small lineage in a home of its own, with a Dagster instance of its own."""
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=NO_TELEMETRY) as instance:
        yield SmallRun(tmp_path / "home", instance)
