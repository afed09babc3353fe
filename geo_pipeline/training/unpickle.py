"""Pickled weights as safetensors: `python -m geo_pipeline.training.unpickle PICKLE FILE`.

A process of its own, which torch's own reader of plain tensors (`weights_only`) keeps from running what a pickle says.
"""

import argparse
import sys
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors.torch import save_file


class NotWeightsError(ValueError):
    """A file that is no dictionary of tensors."""


def unpickle(pickled: Path, file: Path) -> int:
    """Write the tensors of a pickle as safetensors; how many there are. Raises NotWeightsError."""
    try:
        found = torch.load(pickled, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise NotWeightsError(
            f"found that {pickled} is no file of plain tensors ({' '.join(str(error).split())[:200]}), expected what "
            "torch.save writes of a state_dict; fetch it again"
        ) from error
    if not isinstance(found, dict) or not found:
        raise NotWeightsError(f"found a {type(found).__name__} in {pickled}, expected a dictionary of tensors by name")
    others = [str(name) for name, value in found.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise NotWeightsError(
            f"found that {', '.join(others[:3])} of {pickled} hold no tensors, expected a state_dict: tensors by name"
        )
    tensors = {str(name): value.clone().contiguous() for name, value in found.items()}  # which share no memory
    save_file(tensors, file, {"format": "pt"})
    return len(tensors)


def main() -> None:
    """Convert; what is wrong with the pickle goes to standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pickled", type=Path)
    parser.add_argument("file", type=Path)
    chosen = parser.parse_args()
    try:
        sys.stdout.write(f"{unpickle(chosen.pickled, chosen.file)}\n")
    except NotWeightsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
