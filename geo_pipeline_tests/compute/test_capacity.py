import pytest

from geo_pipeline.compute.capacity import workers_that_fit
from geo_pipeline.compute.compute import ComputeError

NETWORK = {"CPU": 0.25, "GPU": 1.0}


@pytest.mark.parametrize(
    ("workers", "asks", "whole", "together", "fit"),
    [
        (2, {"CPU": 0.25}, {"CPU": 4.0}, False, 2),
        (8, NETWORK, {"CPU": 16.0, "GPU": 8.0}, False, 8),
        (8, NETWORK, {"CPU": 16.0, "GPU": 1.0}, False, 1),
        (8, {"CPU": 1.0}, {"CPU": 8.0}, True, 8),
        (3, {"CPU": 0.1, "GPU": 0.3}, {"CPU": 4.0, "GPU": 0.9}, False, 3),
    ],
)
def test_as_many_workers_start_as_there_is_room_for(workers, asks, whole, together, fit):
    assert workers_that_fit("w", workers, asks, whole, local=True, together=together) == fit


def test_nothing_is_said_where_all_is_there(caplog):
    workers_that_fit("w", 2, NETWORK, {"CPU": 4.0, "GPU": 2.0}, local=True, together=True)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("asks", "whole", "together", "words"),
    [
        (NETWORK, {"CPU": 4.0}, False, "the 8 workers of w: GPU 8 asked, 0 there; ask for what is there with --gpus 0"),
        (NETWORK, {"CPU": 4.0, "GPU": 1.0}, True, "GPU 8 asked, 1 there; ask for what is there with --gpus 1"),
        ({"CPU": 1.0}, {"CPU": 4.0}, True, "CPU 8 asked, 4 there; ask for fewer workers with --workers 4, or raise"),
        ({"CPU": 1.0}, {"CPU": 0.5}, False, "CPU 8 asked, 0.5 there; ask for fewer workers with compute.cpu_actors"),
        ({"CPU": 1.0, "GPU": 1.0}, {"CPU": 4.0, "GPU": 2.0}, True, "CPU 8 asked, 4 there, GPU 8 asked, 2 there"),
    ],
)
def test_one_machine_refuses_what_it_will_never_have(asks, whole, together, words):
    with pytest.raises(ComputeError) as refused:
        workers_that_fit("w", 8, asks, whole, local=True, together=together)
    assert str(refused.value).startswith("found too little for ")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("gpus", "together", "words"),
    [
        (1.0, False, "w lacks GPU 8 asked, 1 there, and waits for the rest; ask for what is there with --gpus 1"),
        (1.0, True, "and waits; ask"),
        (0.0, False, "and waits; ask"),
    ],
)
def test_a_cluster_is_waited_for_with_a_word(gpus, together, words, caplog):
    whole = {"CPU": 64.0, "GPU": gpus}
    assert workers_that_fit("w", 8, NETWORK, whole, local=False, together=together) == 8
    assert words in caplog.text
    assert len(caplog.records) == 1
