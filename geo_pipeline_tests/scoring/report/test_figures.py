import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from geo_pipeline.scoring.report.benchmark import TITLE, report_blocks
from geo_pipeline.scoring.report.figures import (
    METHOD_COLOURS,
    accuracy_figure,
    curves_figure,
    method_colour,
    winner_map,
)
from geo_pipeline.scoring.report.markdown import markdown
from geo_pipeline_tests.scoring.report.drawn_report import drawn_inputs


@pytest.fixture(scope="module")
def inputs():
    return drawn_inputs()


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def _holds_colour(pixels: np.ndarray, colour: str) -> bool:
    wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
    return bool((pixels == wanted).all(axis=-1).any())


def test_every_method_has_its_own_colour():
    assert len(set(METHOD_COLOURS.values())) == len(METHOD_COLOURS)
    strangers = ["mine", "yours"]
    assert method_colour("mine", strangers) != method_colour("yours", strangers)
    assert method_colour("router", strangers) == METHOD_COLOURS["router"]


def test_accuracy_figure_shows_every_method_in_its_colour(inputs):
    pixels = _pixels(accuracy_figure(inputs, "planet_mixed"))
    assert all(_holds_colour(pixels, colour) for colour in METHOD_COLOURS.values())


def test_baselines_stand_in_the_table_alone(inputs):
    methods = tuple(replace(line, baseline=line.name == "generation") for line in inputs.context.methods)
    fewer = replace(inputs, context=replace(inputs.context, methods=methods))
    pixels = _pixels(accuracy_figure(fewer, "planet_mixed"))
    assert not _holds_colour(pixels, METHOD_COLOURS["generation"])
    assert _holds_colour(pixels, METHOD_COLOURS["retrieval"])
    texts = [markdown(TITLE, report_blocks(each)) for each in (inputs, fewer)]
    assert ["The baselines stand in the table alone." in text for text in texts] == [False, True]
    assert texts[1].count("| Generation |") == texts[0].count("| Generation |")


def test_map_has_both_colours_and_is_wide(inputs):
    pixels = _pixels(winner_map(inputs, "planet_mixed"))
    assert pixels.shape[1] > 1.5 * pixels.shape[0]
    assert _holds_colour(pixels, METHOD_COLOURS["retrieval"])
    assert _holds_colour(pixels, METHOD_COLOURS["generation"])


def test_a_map_of_nothing_is_still_a_map(inputs):
    empty = replace(inputs, judged=inputs.judged.slice(0, 0))
    assert not _holds_colour(_pixels(winner_map(empty, "nowhere"))[:400], METHOD_COLOURS["retrieval"])


def test_curves_show_training_and_hold_out(inputs):
    pixels = _pixels(curves_figure(inputs.training_curves))
    assert _holds_colour(pixels, METHOD_COLOURS["router"])


def test_many_curves_stand_in_several_rows(inputs):
    few = _pixels(curves_figure(inputs.training_curves))
    many = _pixels(curves_figure({f"checkpoint {n}": inputs.training_curves["geosurge"] for n in range(9)}))
    assert many.shape == (3 * few.shape[0], few.shape[1], 3)
    lowest = many[2 * few.shape[0] :]
    assert _holds_colour(lowest[:, : few.shape[1] // 4], METHOD_COLOURS["router"])
    assert (lowest[:, few.shape[1] // 3 :] == 255).all()
