"""The processes that share a training: one, or those of an initialised torch.distributed. Who starts them is `compute`.

A task and the loop are written for one device; what several workers need of each other is exchanged here.
"""

from dataclasses import dataclass

from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Workers:
    """This process is number `rank` of `world`; rank 0 writes."""

    rank: int = 0
    world: int = 1

    @classmethod
    def present(cls) -> "Workers":
        """Those of torch.distributed where it is initialised, else this process alone."""
        if distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls()

    def wrapped(self, network: nn.Module) -> nn.Module:
        """The network, so that its gradients become the mean over the workers'."""
        return DistributedDataParallel(network, broadcast_buffers=False) if self.world > 1 else network

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all workers, in place."""
        if self.world > 1:
            distributed.all_reduce(value)
        return value

    def wait(self) -> None:
        """Until all workers are here."""
        if self.world > 1:
            distributed.barrier()
