"""PlaNet (Weyand et al., 2016): one flat set of cells that follow the photographs, each cell a class."""

from geo_pipeline.methods.baseline_entry import baseline_methods

PLANET_NET, PLANET_NET_WITHOUT_IDEA = baseline_methods(
    "planet_net",
    "PlaNet",
    "cells",
    "The most probable cell of one flat partition that is fine where many photographs were taken.",
    "The most probable cell of a regular grid of latitude and longitude, blind to where photographs were taken.",
)
