"""How a baseline becomes a method: one entry with its idea, one without, each with a checkpoint of its own.

The entries stand one file per baseline beside this one; what they compute belongs to `baselines`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from geo_pipeline.baselines.registry import entry
from geo_pipeline.methods.method import Kind, Method, Reads
from geo_pipeline.methods.photographs import photographs, photographs_and_maps
from geo_pipeline.scoring.twins import WITHOUT_IDEA

if TYPE_CHECKING:
    from geo_pipeline.baselines.worker import BaselinePredictor


def baseline_methods(name: str, title: str, kind: Kind, idea: str, without: str) -> tuple[Method, Method]:
    """The method and its twin without the idea; `idea` and `without` say in one sentence how each answers."""
    return _method(name, name, title, kind, idea), _method(
        name, f"{name}{WITHOUT_IDEA}", f"{title}, without its idea", kind, without, class_maps=False
    )


def _method(baseline: str, name: str, title: str, kind: Kind, description: str, class_maps: bool = True) -> Method:
    with_maps = class_maps and entry(baseline).class_maps
    checkpoint = f"{name}_checkpoint"
    return Method(
        name=name,
        title=title,
        kind=kind,
        description=description,
        asset="baseline_predictions",
        upstream=("baseline_checkpoints", "images", "segmentations")[: 3 if with_maps else 2],
        worker=_worker,
        queries=photographs_and_maps if with_maps else photographs,
        arguments=_arguments_of(name, checkpoint),
        settings=lambda profile: profile.inference,
        remote=True,
        query_sets="benchmarks",
        baseline=baseline,
    )


def _worker() -> "type[BaselinePredictor]":
    from geo_pipeline.baselines.worker import BaselinePredictor

    return BaselinePredictor


def _arguments_of(name: str, checkpoint: str) -> Callable[[Reads], Mapping[str, object]]:
    return lambda reads: {
        "checkpoint_dir": reads.checkpoint(checkpoint),
        "method": name,
        "inference": reads.profile.inference,
    }
