"""Fixtures of the orchestration tests."""

import pytest

from geo_pipeline.orchestration.dagster_home import sync_less
from geo_pipeline_tests.orchestration.small_lineage import small_run

sync_less()


@pytest.fixture
def small(tmp_path):
    """A small lineage in a home of its own, with a Dagster instance of its own."""
    with small_run(tmp_path) as run:
        yield run
