"""The shortest run of each of several works, measured in turn: what else the machine does then disturbs all alike."""

import time
from collections.abc import Callable, Mapping


def shortest(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of the shortest of `rounds` runs of each work, after one run that does not count."""
    for work in works.values():
        work()
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - started)
    return best
