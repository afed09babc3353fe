"""Where the shipped small networks lie."""

from pathlib import Path
from typing import Literal

WEIGHTS = Path(__file__).parent / "weights"


def weights_dir(name: Literal["oneformer", "clip", "qwen2vl"]) -> Path:
    """The folder of one shipped network; `geo-pipeline sample pretrain` makes it."""
    return WEIGHTS / name
