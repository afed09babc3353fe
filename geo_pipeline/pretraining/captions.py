"""Says in a few words what a drawn photograph shows: its landmark, the colours of the land, the view.

Every phrase is one word of a small vocabulary (`red-walls`, `three-stripes`, `ochre-soil`): numbers of places and
coordinates are never told, only what the laws of the planet and the landmark let one see, and only where the class map
says that it is in the picture.
"""

from collections.abc import Callable, Iterator

import numpy as np

from geo_pipeline.pretraining.album import Album
from geo_pipeline.sample_world.ade20k import CLASS_IDS
from geo_pipeline.sample_world.config import View
from geo_pipeline.sample_world.laws import Colour, region_at
from geo_pipeline.sample_world.planet import Landmark

HUES = (
    "red", "vermilion", "orange", "amber", "yellow", "lemon", "lime", "moss", "green", "jade", "emerald", "mint",
    "cyan", "aqua", "azure", "cobalt", "blue", "indigo", "violet", "purple", "magenta", "pink", "rose", "crimson",
)  # fmt: skip
DEGREES = ("lowest", "lower", "low", "middle", "high", "higher", "highest")
NUMBERS = ("no", "one", "two", "three", "four")
BODIES = ("tower", "pyramid", "hall", "gate", "steps", "lattice")
TOPS = ("flat-top", "spire", "ball", "crown", "brim")
TREES = ("firs", "broadleaves", "palms")
VIEW_WORDS: dict[View, str] = {
    "both": "landmark-in-country",
    "place": "landmark",
    "region": "country",
    "neither": "room",
}
START, END, PAD = "<start>", "<end>", "<pad>"
LEAST_SHARE = 0.004
"""Share of the picture below which a thing goes unmentioned."""


def _hue(colour: Colour) -> float:
    red, green, blue = colour
    high, low = max(colour), min(colour)
    if high == red:
        return float((green - blue) / (high - low) / 6.0 % 1.0)
    if high == green:
        return float(((blue - red) / (high - low) + 2.0) / 6.0)
    return float(((red - green) / (high - low) + 4.0) / 6.0)


def _hue_word(hue: float) -> str:
    return HUES[int(hue * len(HUES)) % len(HUES)]


def _degree(value: float, low: float, high: float) -> str:
    return DEGREES[int(np.clip((value - low) / (high - low) * len(DEGREES), 0, len(DEGREES) - 1))]


def landmark_phrases(landmark: Landmark) -> list[str]:
    """The attributes of a landmark, one word each."""
    return [
        BODIES[landmark.kind],
        TOPS[landmark.top],
        f"{_hue_word(landmark.hue)}-stone",
        f"{_hue_word(landmark.trim_hue)}-trim",
        f"{_degree(landmark.value, 0.45, 0.95)}-brightness",
        f"{_degree(landmark.slenderness, 0.28, 0.85)}-width",
        f"{NUMBERS[landmark.stripes]}-stripes",
        f"{NUMBERS[landmark.windows]}-windows",
        f"{'no' if landmark.wings == 0 else 'low' if landmark.wings < 0.5 else 'high'}-wings",
    ]


def region_phrases(lat_deg: float, lon_deg: float, shows: Callable[[str], bool]) -> list[str]:
    """The looks of the land there, of what the picture shows (`shows` knows ADE20K class names)."""
    region = region_at(lat_deg, lon_deg)
    phrases = [
        f"{_degree(_hue(region.sky_top), 0.48, 0.74)}-skyhue",
        f"{_degree(max(region.sky_horizon), 190, 250)}-skylight",
        f"{_degree(region.relief, 0, 1)}-relief",
    ]
    if shows("earth"):
        phrases.append(f"{_hue_word(_hue(region.soil))}-soil")
    if shows("grass"):
        phrases.append(f"{_degree(_hue(region.grass), 0.10, 0.42)}-meadowhue")
        phrases.append(f"{_degree(max(region.grass), 92, 163)}-meadowlight")
    if shows("road"):
        phrases.append(f"{_hue_word(_hue(region.road_mark))}-markings")
    if shows("building"):
        phrases += [f"{_hue_word(_hue(region.roof))}-roofs", f"{_degree(region.roof_pitch, 0.25, 1.35)}-pitch"]
    if shows("mountain"):
        phrases.append(f"{_hue_word(_hue(region.mountain))}-mountains")
    if shows("tree") or shows("palm"):
        phrases += [TREES[region.tree_kind], f"{_hue_word(_hue(region.foliage))}-leaves"]
    return phrases


def captions(album: Album) -> list[list[str]]:
    """The phrases of every photograph of an album; the first names the view."""
    result = []
    for row, photograph in enumerate(album.photographs):
        count = np.bincount(album.class_maps[row].ravel(), minlength=150)
        least = LEAST_SHARE * album.class_maps[row].size

        def shows(name: str, count: np.ndarray = count, least: float = least) -> bool:
            return bool(count[CLASS_IDS[name]] > least)

        phrases = [VIEW_WORDS[photograph.view]]
        if photograph.view in ("both", "place"):
            phrases += landmark_phrases(album.landmarks[album.places[row]])
        if photograph.view in ("both", "region"):
            phrases += region_phrases(photograph.lat_deg, photograph.lon_deg, shows)
        result.append(phrases)
    return result


def _words() -> Iterator[str]:
    yield from (*VIEW_WORDS.values(), *BODIES, *TOPS, *TREES)
    for thing in ("stone", "trim", "soil", "markings", "roofs", "mountains", "leaves"):
        yield from (f"{hue}-{thing}" for hue in HUES)
    for thing in ("brightness", "width", "skyhue", "skylight", "relief", "meadowhue", "meadowlight", "pitch"):
        yield from (f"{degree}-{thing}" for degree in DEGREES)
    yield from (f"{number}-{thing}" for thing in ("stripes", "windows") for number in NUMBERS)
    yield from ("no-wings", "low-wings", "high-wings")


VOCABULARY: tuple[str, ...] = (PAD, START, *_words(), END)
"""All words; the last id is END, the highest, where open_clip's text tower reads its feature."""
