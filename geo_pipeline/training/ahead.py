"""Makes what a network needs next in threads, while it works: reading, decoding, what a processor does to images.

Importable without torch.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def made_ahead(make: Callable[[Item], Made], items: Iterable[Item], ahead: int) -> Iterator[Made]:
    """`make` of each item in order, made in threads, at most `ahead` of them before the caller asks.

    Raises what `make` raises, in its place. What it computes may not depend on the number of torch's threads.
    """
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(max_workers=max(1, ahead), thread_name_prefix="ahead") as threads:
        for item in items:
            waiting.append(threads.submit(make, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
