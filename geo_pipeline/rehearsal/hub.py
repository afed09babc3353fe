"""A hub cache with narrow, untrained networks under the names, formats and layout of the published ones.

What reads them is what reads the published ones: OneFormer's Swin class, `ViT-L-14-336-quickgelu` and Qwen2-VL's class,
with processors, tokenizers and the list of classes. Depths, image sizes and numbers of tokens are the published ones;
widths are not, and the vocabulary is small. What such networks answer says nothing.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file
from transformers import OneFormerConfig, OneFormerForUniversalSegmentation, SwinConfig
from transformers.utils.logging import disable_progress_bar

from geo_pipeline.geosurge.config import PINNED_CLIP, VisionConfig
from geo_pipeline.geosurge.vision import narrowed
from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.lvlm.small import build_small_qwen2vl
from geo_pipeline.sample_world.ade20k import ADE20K_CLASSES, CLASS_IDS
from geo_pipeline.segmentation.config import SegmentationConfig

SHARDS = 5
"""Weight files of Qwen2-VL-7B."""
TASK_TOKENS = 77
_ONEFORMER_PROCESSOR = {
    "do_normalize": True,
    "do_reduce_labels": False,
    "do_rescale": True,
    "do_resize": True,
    "ignore_index": 255,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "OneFormerImageProcessor",
    "image_std": [0.229, 0.224, 0.225],
    "num_labels": len(ADE20K_CLASSES),
    "num_text": 234,
    "processor_class": "OneFormerProcessor",
    "repo_path": "shi-labs/oneformer_demo",
    "resample": 2,
    "rescale_factor": 1 / 255,
    "size": {"longest_edge": 2560, "shortest_edge": 640},
}
BLOB_SHA1_BYTES = 10 * 2**20
"""The hub names small files by git's SHA-1 and larger ones by their SHA-256."""


@dataclass(frozen=True)
class Repository:
    """One repository of the cache: `files` lie in a folder; `revision` is a commit or a branch."""

    name: str
    revision: str
    kind: str = "model"


def make_hub(
    folder: Path, vision: VisionConfig, segmentation: SegmentationConfig, lvlm: LvlmConfig, seed: int = 0
) -> Path:
    """Write the cache with all that these configurations name; return it. A cache that is whole is left as it is."""
    disable_progress_bar()
    done = folder / "whole"
    if done.is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    class_repository, _, class_file = segmentation.class_info.rpartition("/")
    with tempfile.TemporaryDirectory(dir=folder) as making:
        place = Path(making)
        oneformer = _oneformer(place / "oneformer", class_file, seed)
        store(folder, Repository(segmentation.model, segmentation.revision or "main"), oneformer)
        store(folder, Repository(class_repository, "main", "dataset"), _class_list(place / "classes", class_file))
        store(folder, clip_repository(vision), _clip(place / "clip", vision, seed))
        store(folder, Repository(lvlm.model, lvlm.revision or "main"), _qwen2vl(place / "qwen2vl", lvlm, seed))
    done.touch()
    return folder


def clip_repository(vision: VisionConfig) -> Repository:
    """Where open_clip looks for the weights of a tag."""
    tag = open_clip.get_pretrained_cfg(vision.model, vision.pretrained or "")
    return Repository(str(tag["hf_hub"]).strip("/"), PINNED_CLIP.get((vision.model, vision.pretrained or ""), "main"))


def store(cache: Path, repository: Repository, files: Path) -> None:
    """Put a folder into the cache as the hub's client does: blobs by their digest, links to them in a snapshot."""
    place = cache / f"{repository.kind}s--{repository.name.replace('/', '--')}"
    commit = repository.revision
    if len(commit) != 40:
        commit = hashlib.sha1(repository.name.encode(), usedforsecurity=False).hexdigest()
        pointer = place / "refs" / repository.revision
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.write_text(commit)
    snapshot = place / "snapshots" / commit
    snapshot.mkdir(parents=True, exist_ok=True)
    (place / "blobs").mkdir(exist_ok=True)
    for file in sorted(files.iterdir()):
        blob = place / "blobs" / _digest(file)
        shutil.move(file, blob)
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", blob.name))


def _digest(file: Path) -> str:
    data = file.read_bytes()
    if file.suffix == ".safetensors" or len(data) > BLOB_SHA1_BYTES:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


def _class_list(folder: Path, name: str) -> Path:
    folder.mkdir()
    classes = {str(number): {"name": each, "isthing": 0} for number, each in enumerate(ADE20K_CLASSES)}
    (folder / name).write_text(json.dumps(classes))
    return folder


def _oneformer(folder: Path, class_file: str, seed: int) -> Path:
    """OneFormer with Swin-L's depths, 250 queries and ten decoder layers, at a sixteenth of its widths."""
    torch.manual_seed(seed)
    backbone = SwinConfig(
        image_size=384,
        embed_dim=12,
        depths=[2, 2, 18, 2],
        num_heads=[1, 2, 4, 8],
        window_size=12,
        drop_path_rate=0.3,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = OneFormerConfig(
        backbone_config=backbone,
        num_labels=len(ADE20K_CLASSES),
        id2label=dict(enumerate(ADE20K_CLASSES)),
        label2id=dict(CLASS_IDS),
        num_queries=250,
        conv_dim=32,
        mask_dim=32,
        hidden_dim=32,
        encoder_feedforward_dim=64,
        dim_feedforward=64,
        text_encoder_width=32,
        num_attention_heads=1,  # of 32 numbers, as the published eight
        task_seq_len=TASK_TOKENS,
        max_seq_len=TASK_TOKENS,
    )
    OneFormerForUniversalSegmentation(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(_ONEFORMER_PROCESSOR | {"class_info_file": class_file}))
    _clip_tokenizer(folder)
    return folder


def _clip_tokenizer(folder: Path) -> None:
    """CLIP's tokenizer in its old layout (vocab.json, merges.txt), without merges: a token for each letter."""
    letters = [*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324)]  # how byte-level BPE spells bytes
    words = [chr(each) for each in letters]
    words = [*words, *(f"{each}</w>" for each in words), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    end = "<|endoftext|>"
    marks = {"bos_token": "<|startoftext|>", "eos_token": end, "unk_token": end, "pad_token": end}
    (folder / "special_tokens_map.json").write_text(json.dumps(marks))
    settings = {**marks, "tokenizer_class": "CLIPTokenizer", "model_max_length": TASK_TOKENS, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _clip(folder: Path, vision: VisionConfig, seed: int) -> Path:
    """The whole CLIP of the name, vision and text, with the width that the configuration gives it."""
    torch.manual_seed(seed)
    folder.mkdir()
    card = open_clip.get_model_config(vision.model)
    clip = open_clip.CLIP(**{**card, **narrowed(card, vision)})
    save_file(
        {name: tensor.contiguous() for name, tensor in clip.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": {**card, **narrowed(card, vision)}}))
    return folder


def _qwen2vl(folder: Path, lvlm: LvlmConfig, seed: int) -> Path:
    """Qwen2-VL with as many layers and weight files as the 7B model has."""
    build_small_qwen2vl(
        folder, seed=seed, hidden=64, layers=28, intermediate=192, vision_hidden=64, vision_layers=32,
        image_px=lvlm.image_px,
    )  # fmt: skip
    _in_shards(folder, SHARDS)
    return folder


def _in_shards(folder: Path, count: int) -> None:
    """Divide a model's safetensors among several files with an index, as large models come."""
    from safetensors.torch import load_file

    whole = folder / "model.safetensors"
    tensors = load_file(whole)
    whole.unlink()
    index: dict[str, str] = {}
    for number, names in enumerate(_divided(list(tensors), count), start=1):
        file = f"model-{number:05d}-of-{count:05d}.safetensors"
        save_file({name: tensors[name] for name in names}, folder / file, {"format": "pt"})
        index |= dict.fromkeys(names, file)
    size = sum(tensor.nbytes for tensor in tensors.values())
    content = {"metadata": {"total_size": size}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content, indent=1))


def _divided(names: list[str], count: int) -> Iterable[list[str]]:
    step = -(-len(names) // count)
    return (names[start : start + step] for start in range(0, len(names), step))
