"""The folder of a run: tables, manifests, checkpoints and reports, each with how it was made. No Dagster here."""
