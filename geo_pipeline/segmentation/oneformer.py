"""OneFormer on photographs.

The stock classes of transformers, semantic task, one class map per image at the image's own size.

GeoSURGE section III-B: the map has the image's width and height, its classes are ADE20K's. Bytes and tables belong to
`class_maps` and `worker`.

Shapes: B images, H x W pixels of one image.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoTokenizer,
    BatchFeature,
    OneFormerConfig,
    OneFormerForUniversalSegmentation,
    OneFormerImageProcessor,
    OneFormerProcessor,
)
from transformers.utils.logging import disable_progress_bar

from geo_pipeline.imagery.ahead import Ahead
from geo_pipeline.sample_world.weights import weights_dir
from geo_pipeline.segmentation.config import SegmentationConfig
from geo_pipeline.training.device import pick_device


class SegmentationModelError(RuntimeError):
    """OneFormer's weights or their class list are missing or do not fit."""


class Segmenter:
    """Loads the network once.

    `device` None takes CUDA where there is one.
    """

    def __init__(self, config: SegmentationConfig | None = None, device: str | None = None) -> None:
        self.config = config or SegmentationConfig()
        self.device = pick_device(device)
        self._ahead = Ahead(1)
        source, revision = _source(self.config)
        self.model = _load_model(source, revision, self.config).to(self.device, torch.float32).eval()
        self.processor = _load_processor(source, revision, self.config, self.model.config.task_seq_len)

    def segment(self, images: list[np.ndarray]) -> list[np.ndarray]:
        """uint8 class maps (H, W) of uint8 RGB images (H, W, 3), in the same order."""
        maps = dict(self.maps(images))
        return [maps[index] for index in range(len(images))]

    def maps(self, images: list[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        """The place of each image with its class map, as forwards give them.

        Only images of one size share a forward: padding would be stretched into the map by the processor's resize.
        """
        by_size: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images):
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise ValueError(
                    f"found that image {index} is {image.shape} of {image.dtype}; expected uint8 (H, W, 3): decode it "
                    "to RGB first."
                )
            by_size.setdefault((image.shape[0], image.shape[1]), []).append(index)
        at_once = self.config.batch
        groups = [
            places[start : start + at_once] for places in by_size.values() for start in range(0, len(places), at_once)
        ]
        inputs = self._ahead.made(lambda group: self._inputs([images[index] for index in group]), groups)
        for group, processed in zip(groups, inputs, strict=True):
            yield from zip(group, self._forward(processed, images[group[0]].shape[:2]), strict=True)

    def _inputs(self, images: list[np.ndarray]) -> BatchFeature:
        """What the processor makes of images of one size, on the CPU."""
        return self.processor(
            images=[image.copy() for image in images], task_inputs=["semantic"] * len(images), return_tensors="pt"
        )

    @torch.inference_mode()
    def _forward(self, inputs: BatchFeature, size: tuple[int, ...]) -> list[np.ndarray]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            outputs = self.model(
                pixel_values=inputs["pixel_values"].to(self.device),
                pixel_mask=inputs["pixel_mask"].to(self.device),
                task_inputs=inputs["task_inputs"].to(self.device),
            )
        for name in ("class_queries_logits", "masks_queries_logits"):  # the processor sums and compares them
            outputs[name] = outputs[name].float()
        sizes = [size] * len(inputs["pixel_values"])
        maps = self.processor.post_process_semantic_segmentation(outputs, target_sizes=sizes)
        return [class_map.to(torch.uint8).cpu().numpy() for class_map in maps]


def _source(config: SegmentationConfig) -> tuple[str, str | None]:
    """A folder, or a Hugging Face id with its revision."""
    if config.model == "sample:oneformer":
        folder = weights_dir("oneformer")
    else:
        folder = Path(config.model)
        if not folder.is_dir() and not folder.is_absolute() and not config.model.startswith("."):
            return config.model, config.revision
    missing = [name for name in ("config.json", "model.safetensors") if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in ("processor_config.json", "preprocessor_config.json")):
        missing.append("processor_config.json")
    if not _class_list_on_hub(config) and not (folder / config.class_info).is_file():
        missing.append(config.class_info)
    if missing:
        raise SegmentationModelError(
            f"found no OneFormer in {folder}: {', '.join(missing)} not found; expected a folder of save_pretrained "
            "(safetensors) with the class list beside the weights. Make it, or correct segmentation.model and "
            "segmentation.class_info."
        )
    return str(folder), None


def _class_list_on_hub(config: SegmentationConfig) -> bool:
    return "/" in config.class_info


def _load_model(source: str, revision: str | None, config: SegmentationConfig) -> OneFormerForUniversalSegmentation:
    disable_progress_bar()  # a worker's log is read by people
    settings = OneFormerConfig.from_pretrained(source, revision=revision)
    settings.is_training = False  # otherwise every forward wants text inputs
    settings.contrastive_temperature = float(settings.contrastive_temperature or 0.07)
    if settings.num_labels != config.classes:
        raise SegmentationModelError(
            f"{source} tells {settings.num_labels} classes apart; expected the {config.classes} of ADE20K. Choose a "
            "OneFormer trained on ADE20K."
        )
    try:
        model = OneFormerForUniversalSegmentation.from_pretrained(
            source, revision=revision, config=settings, dtype=torch.float32, use_safetensors=True
        )
    except OSError as error:
        raise SegmentationModelError(
            f"found that the weights of {source} (revision {revision}) could not be read as safetensors: {error} "
            "Pickled weights are not loaded: name a revision or a folder with model.safetensors in segmentation.model."
        ) from error
    model.model.is_training = False
    return model


def _load_processor(
    source: str, revision: str | None, config: SegmentationConfig, task_length: int
) -> OneFormerProcessor:
    repo_path, class_info = source, config.class_info
    if _class_list_on_hub(config):
        repo_path, class_info = config.class_info.rsplit("/", 1)
    overrides = (
        {}
        if config.input_px is None
        else {"do_resize": True, "size": {"shortest_edge": config.input_px, "longest_edge": 4 * config.input_px}}
    )
    image_processor = OneFormerImageProcessor.from_pretrained(
        source,
        revision=revision,
        repo_path=repo_path,
        class_info_file=class_info,
        num_labels=config.classes,
        **overrides,
    )
    tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
    return OneFormerProcessor(image_processor, tokenizer, max_seq_length=task_length, task_seq_length=task_length)
