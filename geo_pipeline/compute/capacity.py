"""Whether Ray has what work asks for, said before anything waits.

What is asked is compared with all that Ray has, free or not. What a Ray of this machine will never have is refused; a
cluster may grow, so there the work waits, at most `stall_s` for shards.
"""

import logging
from collections.abc import Mapping

from geo_pipeline.compute.compute import ComputeError

LOG = logging.getLogger(__name__)


def workers_that_fit(
    name: str, workers: int, asks: Mapping[str, float], whole: Mapping[str, float], *, local: bool, together: bool
) -> int:
    """How many workers of `name` to start where each asks `asks` and Ray has `whole`; logs what others would lack.

    `together`: the work goes on only with all of them, as a training does. Raises ComputeError where a `local` Ray has
    too little for any of them, or for all where they work together.
    """
    there = {resource: whole.get(resource, 0.0) for resource in asks}
    fit = min(int(there[resource] / wanted + 1e-9) for resource, wanted in asks.items())
    if fit >= workers:
        return workers
    short = [resource for resource, wanted in asks.items() if there[resource] + 1e-9 < wanted * workers]
    lacking = ", ".join(f"{each} {asks[each] * workers:g} asked, {there[each]:g} there" for each in short)
    lower = " and ".join(_lower(resource, int(there[resource]), together) for resource in short)
    if local and (together or not fit):
        raise ComputeError(f"found too little for the {workers} workers of {name}: {lacking}; {lower}")
    goes_on = f"goes on with {fit} workers" if local else "waits for the rest" if fit and not together else "waits"
    LOG.warning("%s lacks %s, and %s; %s", name, lacking, goes_on, lower)
    return fit if local else workers


def _lower(resource: str, there: int, together: bool) -> str:
    if resource == "GPU":
        return f"ask for what is there with --gpus {there}" + ("" if there else " (CPUs alone)")
    fewer = f"--workers {max(1, there)}" if together else "compute.cpu_actors or compute.actors"
    return f"ask for fewer workers with {fewer}, or raise compute.cpus"
