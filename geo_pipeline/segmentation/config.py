"""Configuration of the segmentation. Torch-free."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SegmentationConfig:
    """OneFormer for ADE20K (GeoSURGE section III-B).

    `model` is a Hugging Face id at the pinned `revision`, a local folder, or `sample:oneformer` (in the package).
    `class_info` is the JSON of class names: a file name inside the folder or, for an id, `<dataset repository>/<file>`.
    `input_px` is the shorter side that the network sees; None keeps the processor's own resize. `batch` bounds the
    images of one forward. `precision` bf16 runs the network under autocast; its class scores are summed in fp32.
    """

    model: str = "shi-labs/oneformer_ade20k_swin_large"
    revision: str | None = "4a5bac8e64f82681a12db2e151a4c2f4ce6092b2"
    class_info: str = "shi-labs/oneformer_demo/ade20k_panoptic.json"
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
        return cls(model="sample:oneformer", revision=None, class_info="ade20k_panoptic.json", input_px=64, batch=32)
