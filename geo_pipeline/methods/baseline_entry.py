"""How a baseline becomes a method: one entry with its idea, one without, each with a checkpoint of its own.

The entries stand one file per baseline beside this one; what they compute belongs to `baselines`.
"""

from collections.abc import Callable, Mapping

import pyarrow as pa

from geo_pipeline.baselines.registry import entry
from geo_pipeline.home.joining import with_column
from geo_pipeline.methods.method import Method, Paradigm, Reads
from geo_pipeline.scoring.twins import WITHOUT_IDEA


def baseline_methods(name: str, title: str, paradigm: Paradigm, idea: str, without: str) -> tuple[Method, Method]:
    """The method and its twin without the idea; `idea` and `without` say in one sentence how each answers."""
    return _method(name, name, title, paradigm, idea), _method(
        name, f"{name}{WITHOUT_IDEA}", f"{title}, without its idea", paradigm, without, class_maps=False
    )


def _method(
    baseline: str, name: str, title: str, paradigm: Paradigm, description: str, class_maps: bool = True
) -> Method:
    with_maps = class_maps and entry(baseline).class_maps
    checkpoint = f"{name}_checkpoint"
    return Method(
        name=name,
        title=title,
        paradigm=paradigm,
        description=description,
        asset=f"{name}_predictions",
        upstream=(checkpoint, "images", "segmentations") if with_maps else (checkpoint, "images"),
        implementation="geo_pipeline.baselines.worker:BaselinePredictor",
        queries=_photographs_and_maps if with_maps else _photographs,
        arguments=_arguments_of(name, checkpoint),
        rooms=("baselines", "geosurge", "earth", "imagery.crops", "imagery.decode", "sample_world.ade20k"),
        settings=lambda profile: profile.inference,
        remote=True,
        query_sets="benchmarks",
        baseline=baseline,
    )


def _arguments_of(name: str, checkpoint: str) -> Callable[[Reads], Mapping[str, object]]:
    return lambda reads: {
        "checkpoint_dir": reads.checkpoint(checkpoint),
        "method": name,
        "inference": reads.profile.inference,
    }


def _photographs(reads: Reads, query_set: str) -> pa.Table:
    return reads.table("images", query_set, ["image_id", "jpeg"])


def _photographs_and_maps(reads: Reads, query_set: str) -> pa.Table:
    maps = reads.table("segmentations", query_set, ["image_id", "class_map_png"])
    return with_column(_photographs(reads, query_set), maps, "class_map_png")
