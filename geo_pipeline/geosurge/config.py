"""Configuration of GeoSURGE: network, training, inference. Torch-free, so that it can stand in a fingerprint.

Defaults are the paper's values (sections III and IV); what the paper leaves open is named at the field and, with its
reason, in docs/protocol.md. `sample()` gives the sizes of the embedded sample. Loading of weights belongs to `vision`,
the mathematics to `fusion`, `geography` and `loss`.
"""

from dataclasses import dataclass, field
from typing import Literal

Uncovered = Literal["mask", "drop"]
LossKind = Literal["unique_cells", "naive"]
Score = Literal["log_softmax", "cosine_product", "shifted"]
Crops = Literal["ten", "centre"]
Precision = Literal["fp32", "bf16"]
Geography = Literal["embeddings", "classifier"]
DepthKept = Literal["finest", "spread", "coarsest"]


class ConfigError(ValueError):
    """A configuration value that cannot be used; the message says what was found, what is expected and what to do."""


def _demand(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(f"found that {message}")


CLIP_FILE = "open_clip_model.safetensors"
PINNED_CLIP = {("ViT-L-14-336-quickgelu", "openai"): "81e38efc4637de5023b10e75a7f9bd1c6fa6b010"}
"""The commit of the hub's repository of an open_clip name and tag, where it is pinned."""


@dataclass(frozen=True)
class VisionConfig:
    """The CLIP vision tower (section III-B).

    `model` is an open_clip name, `local-dir:<folder>` (open_clip_config.json and open_clip_model.safetensors) or
    `sample:clip` (weights in the package). `pretrained` is an open_clip tag or a .safetensors file and only counts
    for an open_clip name. `quick_gelu` must be given for a file: OpenAI's weights need QuickGELU, and nothing in a file
    of tensors says so. `width` narrows an open_clip model for a rehearsal; None: as it is published.
    """

    model: str = "ViT-L-14-336-quickgelu"
    pretrained: str | None = "openai"
    quick_gelu: bool | None = None
    input_px: int = 336
    resize_px: int = 384
    trainable_blocks: int = 1
    width: int | None = None

    def __post_init__(self) -> None:
        _demand(self.input_px > 0, f"vision.input_px is {self.input_px}; expected a positive number of pixels.")
        _demand(
            self.resize_px >= self.input_px,
            f"vision.resize_px is {self.resize_px}, smaller than input_px {self.input_px}: a crop would not fit; raise "
            "resize_px.",
        )
        _demand(self.trainable_blocks >= 0, f"vision.trainable_blocks is {self.trainable_blocks}; expected 0 or more.")

    @classmethod
    def sample(cls) -> "VisionConfig":
        """The CLIP tower shipped with the sample world: 56 px, 16 tokens and CLS."""
        return cls(model="sample:clip", pretrained=None, input_px=56, resize_px=64)


@dataclass(frozen=True)
class FusionConfig:
    """The semantic fusion module (section III-B, Figure 2).

    3 blocks, 128-wide queries, 64-wide latent. Heads and MLP ratio are our decision.
    """

    blocks: int = 3
    semantic_dim: int = 128
    latent_dim: int = 64
    heads: int = 16
    mlp_ratio: float = 4.0
    classes: int = 150

    def __post_init__(self) -> None:
        _demand(self.blocks >= 0, f"fusion.blocks is {self.blocks}; expected 0 or more.")
        _demand(
            1 <= self.classes <= 256, f"fusion.classes is {self.classes}; class maps have 8 bits: expected 1 to 256."
        )
        for name in ("semantic_dim", "latent_dim", "heads"):
            _demand(getattr(self, name) > 0, f"fusion.{name} is {getattr(self, name)}; expected a positive number.")
        _demand(self.mlp_ratio > 0, f"fusion.mlp_ratio is {self.mlp_ratio}; expected above 0.")

    @classmethod
    def sample(cls) -> "FusionConfig":
        """The paper's three blocks; queries and latent half as wide."""
        return cls(blocks=3, semantic_dim=64, latent_dim=32, heads=4, mlp_ratio=2.0)


@dataclass(frozen=True)
class TrainingConfig:
    """Training (sections III-C and IV).

    AdamW, x gamma per epoch, early stopping after `patience` epochs without a better held-out loss.

    `batch` is the effective batch over all workers; `micro_batch` (None: the whole share of a worker) bounds memory and
    changes no gradient, because the negatives are cells, known before any image is encoded. `uncovered`: the loss of an
    image is masked in a partition that does not cover it, or the image is left out (`drop`, as ISNs do). `random_crop`
    (of `input_px` anywhere in the image, instead of its centre) and `horizontal_flip` (of half of the images) treat the
    class map as the image and are drawn anew each epoch.

    Order of reading (`order`): `lanes` divide the files among workers, whose number must divide theirs; every such
    number sees the same batches. `shuffle_rows` images of a lane are shuffled together. Of memory: `loader_budget_mib`
    for compressed bytes of each kind, `decoded_budget_mib` for decoded images (all or none), `prefetch` batches made
    ahead. A state to resume from is written after every epoch and every `checkpoint_steps` steps.
    """

    lr: float = 1e-4
    weight_decay: float = 1e-4
    batch: int = 1024
    micro_batch: int | None = None
    gamma: float = 0.5
    patience: int = 4
    max_epochs: int = 30
    loss: LossKind = "unique_cells"
    symmetric: bool = False
    random_crop: bool = False
    horizontal_flip: bool = False
    precision: Precision = "fp32"
    uncovered: Uncovered = "mask"
    lanes: int = 1
    shuffle_rows: int = 16_384
    loader_budget_mib: int = 4096
    decoded_budget_mib: int = 2048
    loader_threads: int = 2
    prefetch: int = 2
    checkpoint_steps: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        _demand(self.lr > 0, f"training.lr is {self.lr}; expected above 0.")
        for name in ("batch", "patience"):
            _demand(getattr(self, name) >= 1, f"training.{name} is {getattr(self, name)}; expected 1 or more.")
        _demand(self.max_epochs >= 1, f"training.max_epochs is {self.max_epochs}; expected 1 or more.")
        _demand(0 < self.gamma <= 1, f"training.gamma is {self.gamma}; expected a factor above 0, at most 1.")
        _demand(
            self.loss in ("unique_cells", "naive"),
            f"training.loss is {self.loss!r}; expected 'unique_cells' or 'naive'.",
        )
        _demand(
            self.precision in ("fp32", "bf16"), f"training.precision is {self.precision!r}; expected 'fp32' or 'bf16'."
        )
        _demand(
            self.uncovered in ("mask", "drop"), f"training.uncovered is {self.uncovered!r}; expected 'mask' or 'drop'."
        )
        _demand(
            self.lanes >= 1 and self.batch % self.lanes == 0,
            f"training.lanes is {self.lanes} with batch {self.batch}; expected a divisor of the batch.",
        )
        for name in ("shuffle_rows", "loader_threads", "checkpoint_steps"):
            _demand(getattr(self, name) >= 1, f"training.{name} is {getattr(self, name)}; expected 1 or more.")
        for name in ("prefetch", "weight_decay", "loader_budget_mib", "decoded_budget_mib"):
            _demand(getattr(self, name) >= 0, f"training.{name} is {getattr(self, name)}; expected 0 or more.")
        if self.micro_batch is not None:
            _demand(self.micro_batch >= 1, f"training.micro_batch is {self.micro_batch}; expected 1 or more, or none.")
            _demand(
                not self.symmetric,
                "training.symmetric needs all images of a batch at once; found micro_batch set as well: leave "
                "micro_batch unset.",
            )

    @classmethod
    def sample(cls) -> "TrainingConfig":
        """A dozen short epochs on two CPU cores; random crops, or two thousand pictures are soon learnt by heart.

        Nothing is made ahead: where the network computes on the same cores, that only takes them away.
        """
        return cls(lr=1e-3, batch=128, gamma=0.85, max_epochs=12, random_crop=True, prefetch=0)


@dataclass(frozen=True)
class GeoSurgeConfig:
    """The whole model and its training.

    `depth` keeps so many partitions (Table VII), None all of them. The paper does not say which: `depth_kept` takes the
    `finest`, some evenly `spread` with the finest always among them, or the `coarsest`.

    `geography` `classifier` is the "No" of Table VI: a linear classifier over the cells of each partition, trained by
    cross-entropy, in the place of the geographic embeddings and their contrastive objective. It has no temperature, so
    `initial_temperature` and `max_logit_scale` do not count for it.

    `compile` hands the network to torch.compile, in training and in inference: on one H200 1.45 and 1.57 times the rate
    (docs/measurements/networks.md), with other rounding, and about a minute of compilation in each process.
    """

    vision: VisionConfig = field(default_factory=VisionConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    embedding_dim: int = 768
    initial_temperature: float = 0.07
    max_logit_scale: float = 100.0
    depth: int | None = None
    depth_kept: DepthKept = "finest"
    geography: Geography = "embeddings"
    compile: bool = False

    def __post_init__(self) -> None:
        _demand(
            self.geography in ("embeddings", "classifier"),
            f"geography is {self.geography!r}; expected 'embeddings' or 'classifier'.",
        )
        if self.geography == "classifier":
            _demand(
                not self.training.symmetric and self.training.loss == "unique_cells",
                f"geography is 'classifier' with training.loss {self.training.loss!r} and training.symmetric "
                f"{self.training.symmetric}; expected neither to be set: both shape the contrastive objective, and a "
                "classifier is trained by cross-entropy. Leave them at their defaults.",
            )
        _demand(self.embedding_dim > 0, f"embedding_dim is {self.embedding_dim}; expected a positive width.")
        _demand(self.max_logit_scale > 0, f"max_logit_scale is {self.max_logit_scale}; expected above 0.")
        _demand(self.initial_temperature > 0, f"initial_temperature is {self.initial_temperature}; expected above 0.")
        _demand(
            self.depth is None or self.depth >= 1,
            f"depth is {self.depth}; expected 1 or more, or none for every partition.",
        )
        _demand(
            self.depth_kept in ("finest", "spread", "coarsest"),
            f"depth_kept is {self.depth_kept!r}; expected 'finest', 'spread' or 'coarsest'.",
        )

    @classmethod
    def sample(cls) -> "GeoSurgeConfig":
        """The same classes at the sample's size."""
        return cls(
            vision=VisionConfig.sample(),
            fusion=FusionConfig.sample(),
            training=TrainingConfig.sample(),
            embedding_dim=128,
        )


@dataclass(frozen=True)
class InferenceConfig:
    """Inference (section III-D) and retrieval.

    `score` combines the partitions: `log_softmax` sums log probabilities, `cosine_product` multiplies raw cosines,
    `shifted` multiplies (1 + cos) / 2. A reference's retrieval score is cell_weight * log p(its cells) + similarity /
    similarity_temperature (both parts are the papers', their balance is ours). Exclusions keep a query from
    finding itself: same id, same bytes, a perceptual hash within `phash_bits`, or the same author within `author_km`.
    """

    score: Score = "log_softmax"
    crops: Crops = "ten"
    top_k: int = 10
    candidates: int = 10
    batch: int = 256
    cell_weight: float = 1.0
    similarity_temperature: float = 0.07
    phash_bits: int = 6
    author_km: float = 1.0

    def __post_init__(self) -> None:
        _demand(
            self.score in ("log_softmax", "cosine_product", "shifted"),
            f"inference.score is {self.score!r}; expected 'log_softmax', 'cosine_product' or 'shifted'.",
        )
        _demand(self.crops in ("ten", "centre"), f"inference.crops is {self.crops!r}; expected 'ten' or 'centre'.")
        for name in ("top_k", "candidates", "batch"):
            _demand(getattr(self, name) >= 1, f"inference.{name} is {getattr(self, name)}; expected 1 or more.")
        _demand(
            0 <= self.phash_bits <= 64, f"inference.phash_bits is {self.phash_bits}; hashes have 64: expected 0 to 64."
        )
        _demand(self.author_km >= 0, f"inference.author_km is {self.author_km}; expected 0 or more.")
        _demand(
            self.similarity_temperature > 0,
            f"inference.similarity_temperature is {self.similarity_temperature}; expected above 0.",
        )

    @classmethod
    def sample(cls) -> "InferenceConfig":
        """One centre crop, for speed: one forward instead of ten. The drawn world has no side cue that flips would turn
        round; the comparison's variant `other_crops` asks with ten.
        """
        return cls(crops="centre")
