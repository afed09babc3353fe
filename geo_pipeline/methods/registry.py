"""METHODS: every way from an image to coordinates, in the order in which they can be computed and stand in the report.

A new method is one file beside this and one line here: assets, checks, schedule and report columns follow.
"""

from geo_pipeline.methods.densest_cell import DENSEST_CELL
from geo_pipeline.methods.generation import GENERATION
from geo_pipeline.methods.geosurge import GEOSURGE
from geo_pipeline.methods.method import Method
from geo_pipeline.methods.retrieval import RETRIEVAL
from geo_pipeline.methods.router import ROUTER, ROUTER_COORDINATES_ONLY, ROUTER_IMAGE_ONLY

METHODS: dict[str, Method] = {
    method.name: method
    for method in (DENSEST_CELL, GEOSURGE, RETRIEVAL, GENERATION, ROUTER, ROUTER_COORDINATES_ONLY, ROUTER_IMAGE_ONLY)
}
