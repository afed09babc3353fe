"""PIGEON (Haas et al., 2023): cells that follow places, labels that fade with distance, prototypes inside the cell."""

from geo_pipeline.methods.baseline_entry import baseline_methods

PIGEON, PIGEON_WITHOUT_IDEA = baseline_methods(
    "pigeon",
    "PIGEON",
    "cells",
    "The cluster of training photographs that looks most like the query, in the best of cells that follow places.",
    "The same cells, clusters and refinement, trained with labels of the own cell alone instead of fading ones.",
)
