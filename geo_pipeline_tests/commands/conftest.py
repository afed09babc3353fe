"""Fixtures of the commands' tests, which run without Dagster but for those that ask for it."""

import pytest


@pytest.fixture
def small(tmp_path):
    """A small lineage in a home of its own, with a Dagster instance of its own."""
    from geo_pipeline_tests.orchestration.small_lineage import small_run

    with small_run(tmp_path) as run:
        yield run
