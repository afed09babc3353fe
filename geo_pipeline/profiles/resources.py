"""How much of a machine or a cluster a run uses.

What is computed there belongs to the packages of the networks; how it gets there to orchestration.
"""

from dataclasses import dataclass
from typing import Literal

DECIDE_BYTES = ("batch_rows", "torch_threads", "train_threads", "train_workers")
"""The values of ComputeConfig that bytes depend on, by the order of sums."""


@dataclass(frozen=True)
class ComputeConfig:
    """None of it changes a byte, except what DECIDE_BYTES names (order of sums).

    These count as settings.

    - `batch_rows`: rows that a worker gets at once; `actors`: workers side by side; `cpus`: logical CPUs of a local
      Ray (an actor asks a quarter).
    - `cpu_actors`: workers side by side of an asset that runs no network (decoding); each asks a whole CPU and no GPU.
    - `gpus_per_worker`: of a worker and of a training worker.
    - `gpus`: of a local Ray; None: those that it finds. `backend`: how training workers talk; `auto`: nccl on GPUs,
      else gloo.
    - `address`: an existing Ray cluster; the environment's RAY_ADDRESS goes before it, and without either a local one
      starts.
    - `stall_s`: seconds without any result after which the run stops with a message.
    """

    batch_rows: int = 64
    actors: int = 2
    cpus: int = 4
    cpu_actors: int = 2
    gpus_per_worker: float = 0.0
    torch_threads: int = 1
    train_threads: int = 1
    train_workers: int = 1
    gpus: int | None = None
    backend: Literal["auto", "nccl", "gloo"] = "auto"
    address: str | None = None
    stall_s: float = 600.0

    def __post_init__(self) -> None:
        for name in (*DECIDE_BYTES, "actors", "cpus", "cpu_actors"):
            if getattr(self, name) < 1:
                raise ValueError(f"found compute.{name} = {getattr(self, name)}, expected at least 1; raise it")
        if self.gpus is not None and self.gpus < 0:
            raise ValueError(f"found compute.gpus = {self.gpus}, expected 0 or more, or none for those that are there")
        gpus = self.gpus_per_worker
        if gpus < 0 or (gpus > 1 and gpus != int(gpus)):
            raise ValueError(
                f"found compute.gpus_per_worker = {gpus}, expected 0, a part of one GPU, or whole GPUs, which is what "
                "Ray gives; choose another"
            )
        if self.stall_s <= 0:
            raise ValueError(f"found compute.stall_s = {self.stall_s}, expected seconds above 0; raise it")

    def byte_settings(self) -> tuple[int, ...]:
        """The values that the bytes of what is computed depend on."""
        return (self.batch_rows, self.torch_threads)

    def training_settings(self) -> tuple[int, ...]:
        """The values that a checkpoint's bytes depend on."""
        return (self.train_threads, self.train_workers)
