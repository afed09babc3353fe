import subprocess
import sys

import pytest

from geo_pipeline.geosurge.config import (
    ConfigError,
    FusionConfig,
    GeoSurgeConfig,
    InferenceConfig,
    TrainingConfig,
    VisionConfig,
)


def test_the_papers_constants():
    config = GeoSurgeConfig()
    assert (config.vision.model, config.vision.pretrained, config.vision.input_px) == (
        "ViT-L-14-336-quickgelu",
        "openai",
        336,
    )
    assert config.vision.trainable_blocks == 1
    assert (config.fusion.blocks, config.fusion.semantic_dim, config.fusion.latent_dim, config.fusion.classes) == (
        3,
        128,
        64,
        150,
    )
    assert (config.embedding_dim, config.initial_temperature, config.max_logit_scale) == (768, 0.07, 100.0)
    training = config.training
    assert (training.lr, training.weight_decay, training.batch, training.gamma, training.patience) == (
        1e-4,
        1e-4,
        1024,
        0.5,
        4,
    )
    assert (training.loss, training.random_crop, training.horizontal_flip) == ("unique_cells", False, False)
    inference = InferenceConfig()
    assert (inference.score, inference.crops, inference.candidates, inference.phash_bits) == (
        "log_softmax",
        "ten",
        10,
        6,
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: VisionConfig(input_px=400, resize_px=384),
        lambda: FusionConfig(blocks=-1),
        lambda: FusionConfig(classes=300),
        lambda: FusionConfig(mlp_ratio=-1.0),
        lambda: GeoSurgeConfig(max_logit_scale=0.0),
        lambda: TrainingConfig(loss="triplet"),
        lambda: TrainingConfig(symmetric=True, micro_batch=8),
        lambda: InferenceConfig(score="product"),
        lambda: GeoSurgeConfig(depth=0),
        lambda: GeoSurgeConfig(depth_kept="all"),
        lambda: GeoSurgeConfig(geography="grid"),
        lambda: GeoSurgeConfig(geography="classifier", training=TrainingConfig(loss="naive")),
        lambda: GeoSurgeConfig(geography="classifier", training=TrainingConfig(symmetric=True)),
    ],
)
def test_impossible_values_are_refused(make):
    with pytest.raises(ConfigError, match=r"expected|would not fit|needs"):
        make()


def test_what_shapes_the_contrastive_objective_is_refused_for_a_classifier_by_name():
    with pytest.raises(ConfigError, match=r"'classifier' with training.loss 'naive'.*cross-entropy.*defaults"):
        GeoSurgeConfig(geography="classifier", training=TrainingConfig(loss="naive"))


def test_configurations_load_without_torch():
    code = (
        "import sys, geo_pipeline.geosurge.config, geo_pipeline.segmentation.config; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
