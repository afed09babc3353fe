"""One training step as a module: images to loss in one forward, so that DDP sees every parameter used.

The loop around it belongs to `training`, the objective to `loss`.

Shapes: M images of a micro-batch, B images of the effective batch, P partitions, D width.
"""

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_gather

from geo_pipeline.geosurge.geography import ClassifierHeads
from geo_pipeline.geosurge.loss import classification_loss, hierarchical_loss
from geo_pipeline.geosurge.model import GeoSurge


class TrainingStep(nn.Module):
    """Images to loss in one forward."""

    def __init__(self, model: GeoSurge) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, pixels_MCHW: Tensor, class_map_MHW: Tensor, targets_MP: Tensor, batch_targets_BP: Tensor
    ) -> tuple[Tensor, Tensor]:
        """This micro-batch's part of the loss of the effective batch, and its features (M, D)."""
        training, geography = self.model.config.training, self.model.geography
        bf16 = training.precision == "bf16"  # as wide a range as fp32: gradients do not vanish, nothing to rescale
        with torch.autocast(pixels_MCHW.device.type, torch.bfloat16, enabled=bf16):
            features_MD = self.model.encoder(pixels_MCHW, class_map_MHW).float()
        if isinstance(geography, ClassifierHeads):
            return classification_loss(features_MD, targets_MP, geography, batch_targets_BP), features_MD
        compared_XD, targets_XP = features_MD, targets_MP
        if training.symmetric:  # each cell is compared with all images of the batch: the workers exchange features
            compared_XD, targets_XP = gathered(features_MD), batch_targets_BP
        loss = hierarchical_loss(
            compared_XD, targets_XP, geography, batch_targets_BP, training.loss, training.symmetric
        )
        return loss, features_MD


def gathered(features_MD: Tensor) -> Tensor:
    """The features of all workers (B, D), in the order of their ranks; gradients flow back to each."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return features_MD
    return torch.cat(all_gather(features_MD))
