"""ISNs (Mueller-Budack et al., 2018): a network for each kind of scene, over a hierarchy of cells."""

from geo_pipeline.methods.baseline_entry import baseline_methods

ISNS, ISNS_WITHOUT_IDEA = baseline_methods(
    "isns",
    "ISNs",
    "cells",
    "The best cell over three partitions, by the network for indoor, natural or urban scenes, whichever the query is.",
    "The best cell over three partitions, by one network for all scenes.",
)
