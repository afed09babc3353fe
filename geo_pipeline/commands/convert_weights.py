"""`geo-pipeline convert-weights`: a model whose weights are a pickle, as a folder of safetensors that a run reads."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from geo_pipeline.profiles.profile import ProfileError
from geo_pipeline.profiles.requirements import WEIGHTS, NeededFiles
from geo_pipeline.segmentation.config import CLASS_LIST, CLASS_LISTS

PICKLE = "pytorch_model.bin"
_BESIDE = ("*.json", "*.txt", "*.jinja", "*.model")
"""What loaders read beside the weights."""


def convert_weights(source: Path, out: Path) -> list[str]:
    """Write `out`: the tensors of the pickle in the folder `source` as safetensors, with all that lies beside it.

    Where the hub's cache has OneFormer's list of classes, and the folder has none, it is put in as well. Lines about
    what was written. Raises ProfileError, and leaves nothing, for a pickle that holds more than tensors.
    """
    if not (source / PICKLE).is_file():
        raise ProfileError(
            f"found no {PICKLE} in {source}, expected a model's folder with it, config.json and its processor; "
            "fetch it with `hf download REPOSITORY --local-dir FOLDER`"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ProfileError(
            f"found {out} there already, expected a new folder or an empty one; choose another, or empty it"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as making:
        folder = Path(making, "folder")
        folder.mkdir()
        count = _unpickled(source / PICKLE, folder / WEIGHTS)
        for file in (each for pattern in _BESIDE for each in source.glob(pattern)):
            shutil.copyfile(file, folder / file.name)
        listed = _with_class_list(folder)
        if out.is_dir():
            out.rmdir()
        folder.rename(out)
    megabytes = (out / WEIGHTS).stat().st_size / 1e6
    return [f"{count} tensors, {megabytes:,.0f} MB: {out / WEIGHTS}", *listed]


def _unpickled(pickled: Path, file: Path) -> int:
    """How many tensors were written, by a process of its own."""
    command = [sys.executable, "-m", "geo_pipeline.training.unpickle", str(pickled), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise ProfileError(words[0])
    return int(done.stdout)


def _with_class_list(folder: Path) -> list[str]:
    if (folder / CLASS_LIST).is_file():
        return []
    lists = NeededFiles("class list of OneFormer", CLASS_LISTS, (CLASS_LIST,), kind="dataset")
    known = lists.folder()
    if known is not None and (known / CLASS_LIST).is_file():
        shutil.copyfile(known / CLASS_LIST, folder / CLASS_LIST)
        return [f"{CLASS_LIST} from the hub's cache"]
    return [f"for OneFormer {CLASS_LIST} is needed as well, in the folder or in the hub's cache: `{lists.download()}`"]
