"""A baseline and its twin without the idea differ in one thing: what they hold, and what they are trained with."""

from dataclasses import replace

import pytest

from geo_pipeline.baselines import checkpoint
from geo_pipeline.profiles.paper import paper
from geo_pipeline.profiles.sample import sample
from geo_pipeline.profiles.sources import files_spec
from geo_pipeline_tests.baselines import tiny_baselines

OF_THE_IDEA = {
    "lknn": ("head.",),  # a classifier, by which the features are learnt
    "planet_net": ("head.", "place_C2"),  # cells that follow the photographs, as many as there are
    "cplanet": ("heads.", "class_AS"),  # several geoclass sets
    "isns": ("networks.1.", "networks.2."),  # a network for each scene
    "translocator": ("semantic.", "rgb_again."),  # what the second branch sees
    "geodecoder": ("queries_LSD",),  # a query for each scene
    "geoclip": ("location.scales.",),  # frequencies, and so more inputs of each perceptron
    "pigeon": (),  # labels that fade
}


@pytest.mark.parametrize("name", OF_THE_IDEA)
def test_a_twin_holds_the_same_but_for_what_the_idea_needs(checkpoint_of, name):
    sizes = [tiny_baselines.sizes(checkpoint.load(checkpoint_of(name, idea), device="cpu")) for idea in (True, False)]
    same = [{key: size for key, size in each.items() if not key.startswith(OF_THE_IDEA[name])} for each in sizes]
    assert same[0] == same[1]
    assert (sizes[0] != sizes[1]) is bool(OF_THE_IDEA[name])


@pytest.mark.parametrize("name", OF_THE_IDEA)
def test_a_twin_answers_otherwise(predictions_of, name):
    assert tiny_baselines.differ(predictions_of(name), predictions_of(name, idea=False))


@pytest.mark.parametrize("profile", [sample(3), paper(files_spec("images", "metadata.csv"))], ids=["sample", "paper"])
def test_a_twin_is_trained_in_the_same_way(profile):
    pairs = zip(profile.baselines[::2], profile.baselines[1::2], strict=True)
    assert [replace(with_idea, idea=False) for with_idea, _ in pairs] == list(profile.baselines[1::2])
    assert {config.name for config in profile.baselines} == set(OF_THE_IDEA)
