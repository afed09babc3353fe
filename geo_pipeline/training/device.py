"""The device on which a network is trained or asked."""

import torch


def pick_device(name: str | None = None) -> torch.device:
    """The named device; for None or `auto` the process's current GPU where there is one, else the CPU."""
    if name is not None and name != "auto":
        return torch.device(name)
    # Whoever started this process has set its GPU (a worker of several on one machine); otherwise it is the first.
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
