"""GeoDecoder (Clark et al., 2023): a learned query per level of the hierarchy and scene."""

from geo_pipeline.methods.baseline_entry import baseline_methods

GEODECODER, GEODECODER_WITHOUT_IDEA = baseline_methods(
    "geodecoder",
    "GeoDecoder",
    "cells",
    "The best cell over the hierarchy, as queries of each level and kind of scene find it in the photograph.",
    "The best cell over the hierarchy, as one query of each level finds it, whatever the kind of scene.",
)
