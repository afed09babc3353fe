"""Configuration of the segmentation. Torch-free."""

from dataclasses import dataclass
from typing import Literal

CLASS_LIST = "ade20k_panoptic.json"
CLASS_LISTS = "shi-labs/oneformer_demo"
"""The hub's data set with the class lists of OneFormer."""


@dataclass(frozen=True)
class SegmentationConfig:
    """OneFormer for ADE20K (GeoSURGE section III-B).

    `model` is a Hugging Face id at `revision`, a local folder, or `sample:oneformer` (in the package). The revision is
    the pull request of the hub that adds safetensors: the main branch holds a pickle only.
    `class_info` is the JSON of class names: a file name inside the folder or, for an id, `<dataset repository>/<file>`.
    `input_px` is the shorter side that the network sees; None keeps the processor's own resize. `batch` bounds the
    images of one forward. `precision` bf16 runs the network under autocast; its class scores are summed in fp32.
    """

    model: str = "shi-labs/oneformer_ade20k_swin_large"
    revision: str | None = "refs/pr/1"
    class_info: str = f"{CLASS_LISTS}/{CLASS_LIST}"
    input_px: int | None = None
    batch: int = 8
    classes: int = 150
    precision: Literal["fp32", "bf16"] = "fp32"

    def __post_init__(self) -> None:
        for name in ("input_px", "batch", "classes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"found segmentation.{name} = {value}, expected at least 1; raise it")
        if self.precision not in ("fp32", "bf16"):
            raise ValueError(
                f"found segmentation.precision = {self.precision!r}, expected 'fp32' or 'bf16'; choose one of them"
            )

    @classmethod
    def sample(cls) -> "SegmentationConfig":
        """The small OneFormer shipped with the sample world."""
        return cls(model="sample:oneformer", revision=None, class_info=CLASS_LIST, input_px=64, batch=32)
