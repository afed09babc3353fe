"""Configuration of GeoRouter: backbone, LoRA, training. Torch-free, so that it can stand in a fingerprint.

Defaults are the paper's values (section 4.1, implementation details; batch of Table 4). DisPO's alpha and epsilon
belong to the table's labels: `geo_pipeline.routing.preference`.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.routing.prompt import PROMPT_VARIANTS, PromptVariant

LORA_TARGETS = r".*language_model.*\.(q|k|v)_proj"
"""The language model's projections only: the vision tower has a fused qkv and stays frozen."""


@dataclass(frozen=True)
class RouterConfig:
    """GeoRouter: a frozen Qwen2-VL, LoRA on its q, k and v, a linear head without bias, trained on soft labels.

    - `lr`, `batch`, `epochs`, `weight_decay`: AdamW; `batch` is over all workers; the rate is constant unless
      `warmup_share` (linear) or `cosine` (to zero) say otherwise.
    - `micro_batch`: samples per forward (gradients are summed to the batch); None is the worker's whole share.
    - `hard_labels`: the ablation "w/o DisPO", the binary label instead of the preference.
    - `holdout`: share of the authors (or places) kept out of training, for the curve.
    - `keep`: which weights are the result: the `last`, or the `best` epoch by the held-out loss.
    - `checkpoint_steps`: a resumable state is written every so many steps, and at each epoch's end.
    """

    lvlm: LvlmConfig = field(default_factory=LvlmConfig)
    variant: PromptVariant = "full"
    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.05
    lr: float = 1e-4
    weight_decay: float = 0.01
    batch: int = 24
    micro_batch: int | None = 3
    epochs: int = 3
    warmup_share: float = 0.0
    cosine: bool = False
    hard_labels: bool = False
    holdout: float = 0.01
    keep: Literal["last", "best"] = "last"
    checkpoint_steps: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        problems = []
        if self.variant not in PROMPT_VARIANTS:
            problems.append(f"variant is {self.variant!r}; expected one of {', '.join(PROMPT_VARIANTS)}")
        for name in ("lora_r", "lora_alpha", "batch", "epochs", "checkpoint_steps"):
            if getattr(self, name) < 1:
                problems.append(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.micro_batch is not None and self.micro_batch < 1:
            problems.append(f"micro_batch is {self.micro_batch}; expected at least 1, or None for the whole share")
        if not 0 <= self.holdout < 1 or not 0 <= self.lora_dropout < 1 or not 0 <= self.warmup_share <= 1:
            problems.append("holdout, lora_dropout and warmup_share are shares; expected 0 to below 1")
        if self.lr <= 0:
            problems.append(f"lr is {self.lr}; expected above 0")
        if self.keep not in ("last", "best"):
            problems.append(f"keep is {self.keep!r}; expected last or best")
        if problems:
            raise ValueError(f"found a RouterConfig that cannot be used: {'; '.join(problems)}. Mend the profile.")

    @classmethod
    def sample(cls, variant: PromptVariant = "full", model: str | None = None, seed: int = 0) -> Self:
        """For about a thousand queries and the sample's small Qwen2-VL, on one or two CPU cores."""
        return cls(
            lvlm=LvlmConfig.sample() if model is None else LvlmConfig.sample(model),
            variant=variant,
            lr=1.5e-3,
            micro_batch=None,
            epochs=3,
            warmup_share=0.1,
            cosine=True,
            holdout=0.05,
            checkpoint_steps=50,
            seed=seed,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a card and a fingerprint."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The configuration that `to_json` wrote."""
        return cls(**{**value, "lvlm": LvlmConfig(**value["lvlm"])})
