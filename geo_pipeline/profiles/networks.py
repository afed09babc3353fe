"""Local folders in the place of the networks that a profile names (`--clip`, `--oneformer`, `--qwen2vl`)."""

from dataclasses import replace
from pathlib import Path

from geo_pipeline.geosurge.config import VisionConfig
from geo_pipeline.lvlm.config import LvlmConfig
from geo_pipeline.profiles.profile import Profile
from geo_pipeline.segmentation.config import CLASS_LIST, SegmentationConfig


def with_folders(profile: Profile, clip: str | None, oneformer: str | None, qwen2vl: str | None) -> Profile:
    """The profile with networks of these folders; None or an empty name leaves what it names itself."""
    if clip:
        profile = replace(
            profile,
            geosurge=replace(profile.geosurge, vision=_tower(profile.geosurge.vision, clip)),
            baselines=tuple(replace(each, vision=_tower(each.vision, clip)) for each in profile.baselines),
        )
    if oneformer:
        profile = replace(profile, segmentation=_segmentation(profile.segmentation, oneformer))
    if qwen2vl:
        profile = replace(
            profile,
            lvlm=_lvlm(profile.lvlm, qwen2vl),
            router=replace(profile.router, lvlm=_lvlm(profile.router.lvlm, qwen2vl)),
        )
    return profile


def _tower(vision: VisionConfig, folder: str) -> VisionConfig:
    return replace(vision, model=f"local-dir:{folder}", pretrained=None)


def _segmentation(config: SegmentationConfig, folder: str) -> SegmentationConfig:
    """With the class list of the folder where it has one, else with that of the hub's cache."""
    beside = (Path(folder) / CLASS_LIST).is_file()
    return replace(config, model=folder, revision=None, class_info=CLASS_LIST if beside else config.class_info)


def _lvlm(config: LvlmConfig, folder: str) -> LvlmConfig:
    return replace(config, model=folder, revision=None)
