"""CPlaNet (Seo et al., 2018): several coarse partitions laid over each other."""

from geo_pipeline.methods.baseline_entry import baseline_methods

CPLANET, CPLANET_WITHOUT_IDEA = baseline_methods(
    "cplanet",
    "CPlaNet",
    "cells",
    "The place on which several coarse partitions of the Earth, each classified by itself, agree most.",
    "The most probable class of one coarse partition of the Earth, with no second one to refine it.",
)
