"""Safetensors files, read with suspicion: never a pickle. What checkpoints and states hold belongs to those modules."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor


class CheckpointError(RuntimeError):
    """A checkpoint that is missing, damaged, of another model or of another partition; the message says which and what
    to do.
    """


def read_tensors(path: Path, prefix: str = "") -> dict[str, Tensor]:
    """Tensors of a safetensors file whose name starts with `prefix`, on the CPU.

    Raises CheckpointError for a damaged file or a pickle.
    """
    try:
        with safe_open(path, framework="pt") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys() if name.startswith(prefix)}  # noqa: SIM118
    except SafetensorError as error:
        with path.open("rb") as file:
            pickled = file.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
        if pickled:
            found = "is a pickle or a zip archive, whatever its name, and is not loaded; expected safetensors"
        else:
            size = path.stat().st_size
            found = f"has {size} bytes and is not a whole safetensors file ({error}): it was cut short or damaged"
        raise CheckpointError(f"{path} {found}. Copy it again or train again.") from error
