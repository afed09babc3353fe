from dataclasses import fields, replace

import pytest

from geo_pipeline.scoring.report.blocks import Facts, Paragraph
from geo_pipeline.scoring.report.protocol import protocol_blocks
from geo_pipeline.scoring.report.run_options import RunOptions
from geo_pipeline_tests.scoring.report.drawn_report import CONTEXT

OTHER = {
    "geography": "classifier",
    "loss": "naive",
    "uncovered": "drop",
    "precision": "bf16",
    "symmetric": True,
    "random_crop": False,
    "horizontal_flip": True,
    "cell_weight": 0.5,
    "similarity_temperature": 0.1,
    "author_km": 5.0,
    "depth_kept": "spread",
}


def _facts(context) -> list[tuple[str, str]]:
    return [pair for block in protocol_blocks(context, (1.0, 25.0)) if isinstance(block, Facts) for pair in block.pairs]


@pytest.mark.parametrize("name", [field.name for field in fields(RunOptions)])
def test_every_option_is_told(name):
    changed = replace(CONTEXT.options, **{name: OTHER.get(name, 4)})
    before, after = _facts(CONTEXT), _facts(replace(CONTEXT, options=changed))
    assert len([one for one, other in zip(before, after, strict=True) if one != other]) == 1


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("crops", "centre", "centre crop"),
        ("score_rule", "shifted", "(1 + cosine) / 2"),
        ("near_bits", 3, "within 3 of 64"),
    ],
)
def test_options_of_the_context_are_told(name, value, words):
    assert words in str(_facts(replace(CONTEXT, **{name: value})))
    assert words not in str(_facts(CONTEXT))


def test_a_value_without_words_is_told_as_it_is():
    assert ("Crops", "five") in _facts(replace(CONTEXT, crops="five"))
    assert ("Loss", "mine") in CONTEXT.options.__class__(**{**vars(CONTEXT.options), "loss": "mine"}).pairs(6)


def test_settings_that_are_not_the_profiles_own_are_told_and_where_all_of_them_stand():
    chosen = replace(CONTEXT, chosen=(("dispo.alpha", "2.0", "1.6"),), settings="dispo:\n  alpha: 2.0\n")
    assert ("dispo.alpha", "2.0 (the profile has 1.6)") in _facts(chosen)
    words = [block.text for block in protocol_blocks(chosen, (1.0,)) if isinstance(block, Paragraph)]
    assert "Settings of this run that are not the profile's own:" in words
    assert any("settings.yaml" in text for text in words)
    plain = [block.text for block in protocol_blocks(CONTEXT, (1.0,)) if isinstance(block, Paragraph)]
    assert not [text for text in plain if "ettings" in text]


def test_a_report_without_options_is_possible():
    names = [name for name, _ in _facts(replace(CONTEXT, options=None))]
    assert "Crops" in names
    assert "Loss" not in names
