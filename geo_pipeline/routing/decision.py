"""The routing rule of the GeoRouter paper, section 3.4: r > 0 chooses generation, otherwise retrieval."""

from typing import Literal

Paradigm = Literal["retrieval", "generation"]


def decide(score: float) -> Paradigm:
    """Paradigm for a routing score r (a logit); exactly 0 is retrieval. Raises `ValueError` for NaN."""
    if score != score:
        raise ValueError(
            "found a routing score that is NaN; expected a finite logit; the router's checkpoint is damaged"
        )
    return "generation" if score > 0 else "retrieval"
