"""TransLocator (Pramanick et al., 2022): a photograph and its segmentation map in two branches that talk."""

from geo_pipeline.methods.baseline_entry import baseline_methods

TRANSLOCATOR, TRANSLOCATOR_WITHOUT_IDEA = baseline_methods(
    "translocator",
    "TransLocator",
    "cells",
    "The best cell over three partitions, seen by two branches: the photograph and the map of what is in it.",
    "The best cell over three partitions, seen by two branches as well, but both see the photograph.",
)
