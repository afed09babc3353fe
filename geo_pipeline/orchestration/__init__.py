"""The Dagster code: assets, staleness, automation, and what the UI shows. Networks and rules live below."""
