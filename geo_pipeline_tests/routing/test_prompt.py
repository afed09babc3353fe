"""The router's prompt template (section 3.2) and its variants."""

import numpy as np
import pytest

from geo_pipeline.routing.prompt import PROMPT_VARIANTS, ImagePart, RouterInputs, build_prompt, format_coordinate

QUERY = np.full((4, 4, 3), 1, dtype=np.uint8)
TOP1 = np.full((4, 4, 3), 2, dtype=np.uint8)
INPUTS = RouterInputs(QUERY, (12.34, -45.66), (-1.0, 179.99), TOP1, ((5.0, 6.0), (-7.25, 8.0)))


def text_of(prompt):
    return "".join(part if isinstance(part, str) else f"<{int(part.rgb_HWC[0, 0, 0])}>" for part in prompt)


def test_the_full_prompt_is_the_papers_template():
    assert text_of(build_prompt(INPUTS, "full", decimals=1)) == (
        "Task: Decide whether to use generation or retrieval for this image's geolocalization.\n"
        "Query: <1>\n"
        "Generation-based Prediction: 12.3, -45.7\n"
        "Retrieval-based Prediction: -1.0, 180.0 <2>\n"
        "Other Retrieved Candidate Coordinates: 5.0, 6.0; -7.2, 8.0"
    )


@pytest.mark.parametrize(
    ("variant", "shown", "hidden"),
    [
        ("no_candidates", ["<1>", "12.3", "180.0", "<2>"], ["Other", "5.0"]),
        ("no_candidates_no_retrieval", ["<1>", "12.3"], ["Other", "Retrieval-based", "180.0", "<2>"]),
        ("no_generation", ["<1>", "180.0", "<2>", "5.0, 6.0"], ["Generation-based", "12.3"]),
        ("image_only", ["<1>", "Task"], ["12.3", "180.0", "<2>", "5.0"]),
        ("coordinates_only", ["12.3", "180.0", "5.0, 6.0"], ["<1>", "<2>", "Query"]),
    ],
)
def test_a_variant_hides_what_its_name_says(variant, shown, hidden):
    text = text_of(build_prompt(INPUTS, variant, decimals=1))
    assert all(part in text for part in shown)
    assert not any(part in text for part in hidden)


def test_every_variant_differs_from_every_other():
    texts = {text_of(build_prompt(INPUTS, variant, decimals=1)) for variant in PROMPT_VARIANTS}
    assert len(texts) == len(PROMPT_VARIANTS) == 6


def test_what_is_missing_is_called_unavailable():
    text = text_of(build_prompt(RouterInputs(QUERY, None, (1.0, 2.0), TOP1, ()), "full", decimals=0))
    assert "Generation-based Prediction: unavailable\n" in text
    assert text.endswith("Coordinates: unavailable")


def test_minus_zero_is_written_as_zero():
    assert format_coordinate((-0.04, 0.04), 1) == "0.0, 0.0"


def test_a_missing_query_image_or_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="coordinates_only"):
        build_prompt(RouterInputs(None, None, (1.0, 2.0)), "full")
    with pytest.raises(ValueError, match="expected one of full"):
        build_prompt(INPUTS, "everything")
    with pytest.raises(ValueError, match="decode_rgb"):
        ImagePart(np.zeros((4, 4), dtype=np.uint8))
