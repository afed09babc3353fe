import pytest

from geo_pipeline.pretraining.clock import TrainingClock


class Watch:
    seconds = 100.0

    def __call__(self):
        return self.seconds


def test_the_learning_rate_warms_up_by_steps_and_falls_with_time():
    watch = Watch()
    clock = TrainingClock(minutes=2, save_minutes=1, now=watch)
    watch.seconds += 20
    clock.learn()
    assert clock.learning_rate(1.0, 0, 10) == pytest.approx(0.1)
    assert clock.learning_rate(1.0, 50, 10) == pytest.approx(1.0)
    watch.seconds += 50
    assert clock.learning_rate(1.0, 50, 10) == pytest.approx(0.505)
    watch.seconds += 50
    assert clock.over
    assert clock.learning_rate(1.0, 50, 10) == pytest.approx(0.01)
    assert clock.minutes == pytest.approx(2.0)


def test_saving_comes_due_once_a_pause():
    watch = Watch()
    clock = TrainingClock(minutes=60, save_minutes=3, now=watch)
    watch.seconds += 179
    assert not clock.time_to_save()
    watch.seconds += 2
    assert clock.time_to_save()
    assert not clock.time_to_save()
    assert not clock.over
