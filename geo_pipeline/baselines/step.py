"""One training step of a baseline as a module: images to the sums of its loss in one forward, so that DDP sees it.

The loop around it belongs to `training`, the objective to each baseline.

Shapes: M images of a micro-batch, K numbers of a target, T terms of a loss, X rows that a batch is compared with.
"""

from torch import Tensor, nn

from geo_pipeline.baselines.baseline import Baseline


class BaselineStep(nn.Module):
    """Images to the terms of the loss."""

    def __init__(self, model: Baseline) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels_MCHW: Tensor, class_map_MHW: Tensor, mine_MK: Tensor, compared_XK: Tensor) -> Tensor:
        """The terms (T,), float32, summed over these images, in the precision of the training."""
        with self.model.training_precision(pixels_MCHW.device):
            return self.model.loss_sums(pixels_MCHW, class_map_MHW, mine_MK, compared_XK).float()
