"""The time of one training: how much is left, the learning rate that follows from it, and when to save next."""

import math
import time
from collections.abc import Callable


class TrainingClock:
    """Runs from its making. `learn` is called when preparation is over: the learning rate falls from there to the end.

    Args:
        minutes: the whole budget, preparation included.
        save_minutes: time between two savings.
        now: seconds that only grow.
    """

    def __init__(self, minutes: float, save_minutes: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._start = now()
        self._end = self._start + 60 * minutes
        self._pause = 60 * save_minutes
        self._begun = self._saved = self._start

    def learn(self) -> None:
        """Preparation is over."""
        self._begun = self._saved = self._now()

    @property
    def minutes(self) -> float:
        """Minutes since the making."""
        return (self._now() - self._start) / 60

    @property
    def over(self) -> bool:
        """Whether the budget is spent."""
        return self._now() >= self._end

    def time_to_save(self) -> bool:
        """Whether `save_minutes` have passed since this was last true."""
        due = self._now() - self._saved >= self._pause
        if due:
            self._saved = self._now()
        return due

    def learning_rate(self, peak: float, step: int, warmup_steps: int) -> float:
        """Linear warm-up over steps, then a half cosine over the time that is left, down to a hundredth of `peak`."""
        share = min((self._now() - self._begun) / max(self._end - self._begun, 1e-9), 1.0)
        return peak * min(1.0, (step + 1) / warmup_steps) * (0.505 + 0.495 * math.cos(math.pi * share))
