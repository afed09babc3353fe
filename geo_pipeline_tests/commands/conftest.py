"""Fixtures of the commands' tests."""

from geo_pipeline_tests.orchestration.conftest import small

__all__ = ["small"]
