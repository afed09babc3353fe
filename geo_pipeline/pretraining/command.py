"""`geo-pipeline sample pretrain`: makes the sample's small networks again, one after the other."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from geo_pipeline.sample_world.weights import WEIGHTS

MINUTES: dict[str, float] = {"oneformer": 20.0, "clip": 20.0, "qwen2vl": 60.0}
"""About what each of the shipped networks took on one core."""


class UnknownNetworkError(ValueError):
    """A network that is not among those of the sample."""


def main(
    only: Sequence[str] = (),
    minutes: float | None = None,
    out: Path = WEIGHTS,
    threads: int = 2,
    say: Callable[[str], None] = print,
) -> None:
    """Pretrain the networks named in `only` (all when empty) and write each to `out`/<name>.

    `minutes` is the time for each network, its default when None. Raises UnknownNetworkError.
    """
    from geo_pipeline.pretraining import clip, oneformer, qwen2vl

    def report(marks: Mapping[str, object]) -> None:
        say(json.dumps(marks))

    pretrain: dict[str, Callable[[Path, float], object]] = {
        "oneformer": lambda folder, budget: oneformer.pretrain(folder, budget, 0, threads, report),
        "clip": lambda folder, budget: clip.pretrain(folder, budget, 0, threads, report),
        "qwen2vl": lambda folder, budget: qwen2vl.pretrain(folder, budget, 0, threads, report),
    }
    unknown = [name for name in only if name not in pretrain]
    if unknown:
        raise UnknownNetworkError(
            f"found {', '.join(unknown)}; expected networks of the sample: {', '.join(pretrain)}; name one of those"
        )
    for name, function in pretrain.items():
        if only and name not in only:
            continue
        budget = MINUTES[name] if minutes is None else minutes
        say(f"{name}: {budget:g} minutes of pretraining on drawn planets, into {out / name}")
        function(out / name, budget)
