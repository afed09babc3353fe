"""Which vision-language model answers, and how it is asked. Torch-free; generation and the router read it."""

from dataclasses import dataclass
from typing import Literal, Self

SAMPLE_WEIGHTS_PREFIX = "sample:"
"""A model named `sample:<folder>` is read from the weights that the sample world ships, wherever it is installed."""

Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class LvlmConfig:
    """One Qwen2-VL, by Hugging Face id, by local folder, or by `sample:<folder>`; defaults are GeoRouter's model.

    - `model`, `revision`: id and pinned commit; the revision is ignored for folders.
    - `image_px`: an image is resized so that its area stays under `image_px` squared (multiples of patch times merge).
    - `square_crop`: cut the central square first (for networks that only ever saw squares).
    - `decimals`: decimals of a coordinate in prompts and in answers.
    - `max_new_tokens`, `batch`: of generation; `batch` is also the router's batch at inference.
    - `attention`: implementation in transformers; `sdpa` is the fastest that runs on both CPU and GPU.
    - `device`: `auto` takes the first GPU where there is one.
    """

    model: str = "Qwen/Qwen2-VL-7B-Instruct"
    revision: str | None = "eed13092ef92e448dd6875b2a00151bd3f7db0ac"
    dtype: Dtype = "bfloat16"
    image_px: int = 448
    square_crop: bool = False
    max_new_tokens: int = 64
    batch: int = 16
    decimals: int = 4
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("image_px", "max_new_tokens", "batch"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"found LvlmConfig.{name} = {value}; expected at least 1; raise it")
        if not 0 <= self.decimals <= 8:
            raise ValueError(f"found LvlmConfig.decimals = {self.decimals}; expected 0 to 8; a metre needs 5")

    @classmethod
    def sample(cls, model: str = f"{SAMPLE_WEIGHTS_PREFIX}qwen2vl") -> Self:
        """The small Qwen2-VL that the sample world ships (or one in the folder `model`)."""
        return cls(
            model=model,
            revision=None,
            dtype="float32",
            image_px=56,
            square_crop=True,
            max_new_tokens=16,
            batch=64,
            decimals=0,
        )
