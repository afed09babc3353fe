"""METHODS: every way from an image to coordinates, in the order in which they can be computed and stand in the report.

A new method is one file beside this and one line here: assets, checks, schedule and report columns follow.
"""

from geo_pipeline.methods.cplanet import CPLANET, CPLANET_WITHOUT_IDEA
from geo_pipeline.methods.densest_cell import DENSEST_CELL
from geo_pipeline.methods.generation import GENERATION
from geo_pipeline.methods.geoclip import GEOCLIP, GEOCLIP_WITHOUT_IDEA
from geo_pipeline.methods.geodecoder import GEODECODER, GEODECODER_WITHOUT_IDEA
from geo_pipeline.methods.geosurge import GEOSURGE
from geo_pipeline.methods.isns import ISNS, ISNS_WITHOUT_IDEA
from geo_pipeline.methods.lknn import LKNN, LKNN_WITHOUT_IDEA
from geo_pipeline.methods.method import Method
from geo_pipeline.methods.pigeon import PIGEON, PIGEON_WITHOUT_IDEA
from geo_pipeline.methods.planet_net import PLANET_NET, PLANET_NET_WITHOUT_IDEA
from geo_pipeline.methods.retrieval import RETRIEVAL
from geo_pipeline.methods.router import ROUTER, ROUTER_COORDINATES_ONLY, ROUTER_IMAGE_ONLY
from geo_pipeline.methods.translocator import TRANSLOCATOR, TRANSLOCATOR_WITHOUT_IDEA

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        DENSEST_CELL,
        *(LKNN, LKNN_WITHOUT_IDEA),
        *(PLANET_NET, PLANET_NET_WITHOUT_IDEA),
        *(CPLANET, CPLANET_WITHOUT_IDEA),
        *(ISNS, ISNS_WITHOUT_IDEA),
        *(TRANSLOCATOR, TRANSLOCATOR_WITHOUT_IDEA),
        *(GEODECODER, GEODECODER_WITHOUT_IDEA),
        *(GEOCLIP, GEOCLIP_WITHOUT_IDEA),
        *(PIGEON, PIGEON_WITHOUT_IDEA),
        GEOSURGE,
        RETRIEVAL,
        GENERATION,
        *(ROUTER, ROUTER_COORDINATES_ONLY, ROUTER_IMAGE_ONLY),
    )
}


def everyday_methods(methods: dict[str, Method], baselines: tuple[str, ...]) -> dict[str, Method]:
    """The methods that a plain run computes: all but the baselines, and those of the named baselines."""
    return {name: method for name, method in methods.items() if method.baseline is None or method.baseline in baselines}
