import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from geo_pipeline.sample_world.ade20k import CLASS_IDS
from geo_pipeline.scoring.report.blocks import FigureBlock, Heading
from geo_pipeline.scoring.report.example_figures import (
    FAMILIAR_COLOURS,
    PANEL_PX,
    class_colour,
    class_words,
    example_figure,
    largest_classes,
    map_pixels,
    photograph_pixels,
)
from geo_pipeline.scoring.report.example_page import PAGE_TITLE, caption, example_blocks
from geo_pipeline.scoring.report.inputs import ReportError
from geo_pipeline.scoring.report.markdown import markdown
from geo_pipeline_tests.scoring.report.drawn_examples import drawn_map, drawn_photograph, jpeg, png
from geo_pipeline_tests.scoring.report.drawn_report import drawn_inputs


@pytest.fixture(scope="module")
def inputs():
    return drawn_inputs()


@pytest.fixture(scope="module")
def example(inputs):
    return inputs.examples[0]


def _pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_a_small_photograph_is_enlarged_by_a_whole_factor_and_stays_crisp():
    data = jpeg(drawn_map())
    assert np.array_equal(photograph_pixels(data), np.kron(_pixels(data), np.ones((5, 5, 1), np.uint8)))


def test_a_large_photograph_fits_its_panel_and_keeps_its_shape():
    classes = drawn_map(512, 384)
    assert photograph_pixels(jpeg(classes)).shape == (240, PANEL_PX, 3)
    assert map_pixels(png(classes)).shape == (240, PANEL_PX, 3)


@pytest.mark.parametrize("size", [(64, 64), (512, 384)])
def test_a_map_has_the_colours_of_its_classes_alone(size):
    classes = drawn_map(*size)
    shown = {tuple(colour) for colour in map_pixels(png(classes)).reshape(-1, 3).tolist()}
    assert shown == {class_colour(int(at)) for at in np.unique(classes)}


def test_every_class_has_a_colour_and_familiar_ones_have_their_own():
    colours = {name: class_colour(number) for name, number in CLASS_IDS.items()}
    assert set(FAMILIAR_COLOURS) <= set(colours)
    assert len({colours[name] for name in FAMILIAR_COLOURS}) == len(FAMILIAR_COLOURS)
    assert len(set(colours.values())) > 140
    assert class_colour(255) != class_colour(254)


def test_the_largest_classes_come_first_with_their_shares():
    classes = np.full((10, 10), CLASS_IDS["sky"], np.uint8)
    classes[:3] = CLASS_IDS["sea"]
    classes[9, 0] = 200
    assert largest_classes(png(classes), 2) == [(CLASS_IDS["sky"], 0.69), (CLASS_IDS["sea"], 0.3)]
    assert class_words(png(classes)) == "sky 69 %, sea 30 %, class 200 1 %"


def test_the_strip_shows_photographs_and_maps_of_both_pixel_by_pixel(example):
    strip = _pixels(example_figure(example))
    assert strip.shape[1] == 4 * PANEL_PX + 3 * 20
    top = 34
    wanted = (
        photograph_pixels(example.query.jpeg),
        map_pixels(example.query.class_map_png),
        photograph_pixels(example.reference.jpeg),
        map_pixels(example.reference.class_map_png),
    )
    for number, pixels in enumerate(wanted):
        left = number * (PANEL_PX + 20)
        assert np.array_equal(strip[top : top + PANEL_PX, left : left + PANEL_PX], pixels), number
    below = strip[top + PANEL_PX :, PANEL_PX + 20 : 2 * PANEL_PX + 20].reshape(-1, 3).tolist()
    for class_id, _ in largest_classes(example.query.class_map_png):
        assert list(class_colour(class_id)) in below


def test_same_example_same_bytes_and_shapes_may_differ(example):
    assert example_figure(example) == example_figure(example)
    wide = replace(example, reference=drawn_photograph("wide", None, 512, 384))
    assert _pixels(example_figure(wide)).shape == _pixels(example_figure(example)).shape
    alone = _pixels(example_figure(replace(example, reference=None)))
    assert (alone[:, 2 * PANEL_PX + 40 :] == 255).all()


def test_the_caption_tells_places_distances_and_credits(example):
    told = replace(
        example,
        lat_deg=-1.5,
        lon_deg=2.0,
        error_km=1234.5,
        nearest_to_truth_km=806.0,
        reference=drawn_photograph("r", "Someone, CC BY"),
        reference_in_cell=True,
    )
    text = caption(told)
    assert "1,234 km off" in text
    assert "Predicted 1.5000° S, 2.0000° E" in text
    assert "the nearest of all reference images is 806 km from the true place" in text
    assert "reference: Someone, CC BY" in text
    away = caption(replace(told, reference_in_cell=False))
    assert "The geocell of the true place holds no reference image" in away
    assert "806 km from it" in away
    plain = replace(told, score=None, query=drawn_photograph("q"), reference=drawn_photograph("r"))
    assert "score" not in caption(plain)
    assert "Credits" not in caption(plain)
    assert "There is no reference image." in caption(replace(told, reference=None))


def test_the_page_says_what_data_it_is_and_holds_every_example(inputs):
    blocks = example_blocks(inputs)
    text = markdown(PAGE_TITLE, blocks)
    assert f"> {inputs.context.statement}" in text
    names = [block.name for block in blocks if isinstance(block, FigureBlock)]
    assert len(names) == len(set(names)) == len(inputs.examples)
    titles = [block.text for block in blocks if isinstance(block, Heading) and block.level == 2]
    assert titles == ["Successes", "Failures"]


def test_a_kind_without_examples_says_so(inputs):
    good = tuple(each for each in inputs.examples if each.success)
    assert "None: no answer lies beyond 200 km." in markdown("t", example_blocks(replace(inputs, examples=good)))
    bad = tuple(each for each in inputs.examples if not each.success)
    assert "None: no answer lies within 25 km." in markdown("t", example_blocks(replace(inputs, examples=bad)))


def test_an_example_of_an_unnamed_benchmark_is_refused(inputs, example):
    with pytest.raises(ReportError, match="examples of benchmark elsewhere"):
        example_blocks(replace(inputs, examples=(replace(example, benchmark="elsewhere"),)))


def test_a_score_just_below_zero_is_shown_without_a_sign(example):
    assert "Cell score 0.00." in caption(replace(example, score=-0.0008))
    assert "Cell score -0.01." in caption(replace(example, score=-0.0081))
