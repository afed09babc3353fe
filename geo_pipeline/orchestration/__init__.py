"""The only Dagster code: assets, storage, staleness, where work runs, and what the UI shows.

Networks and rules live below.
"""
