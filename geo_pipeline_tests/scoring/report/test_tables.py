import pytest

from geo_pipeline.scoring.report.numbers import Gain, method_scores, router_gain, winners
from geo_pipeline.scoring.report.tables import accuracy_table, overview_table
from geo_pipeline.scoring.report.text_table import TextTable, kilometres, listed, percent, points
from geo_pipeline_tests.scoring.report.drawn_report import drawn_inputs


@pytest.fixture(scope="module")
def inputs():
    return drawn_inputs()


@pytest.mark.parametrize(
    ("fraction", "text"), [(0.4296, "43.0"), (1.0, "100.0"), (0.0, "0.0"), (None, "–"), (float("nan"), "–")]
)
def test_percent_has_one_decimal(fraction, text):
    assert percent(fraction) == text


@pytest.mark.parametrize(("value", "text"), [(0.416, "0.42"), (12.4, "12"), (1234.5, "1,234"), (float("inf"), "∞")])
def test_kilometres(value, text):
    assert kilometres(value) == text


def test_points_have_a_sign_and_no_negative_zero():
    assert points(0.0416, -0.0004, 0.1) == "+4.2 (+0.0 to +10.0)"
    assert points(-0.02, -0.05, 0.0) == "-2.0 (-5.0 to +0.0)"


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_a_list_reads_as_a_sentence_does(words, text):
    assert listed(words) == text


def test_a_group_stands_before_the_titles_below_it():
    table = TextTable(("x", "1 km", "1 km"), (), groups=(("", 1), ("ours", 1), ("theirs", 1)))
    assert table.full_titles() == ("x", "ours: 1 km", "theirs: 1 km")
    assert TextTable(("x", "y"), ()).full_titles() == ("x", "y")
    with pytest.raises(ValueError):
        TextTable(("x", "y"), (), groups=(("ours", 1),)).full_titles()


def test_the_best_method_is_stressed_and_never_the_oracle(inputs):
    for table in (accuracy_table(inputs, "planet_mixed"), overview_table(inputs)):
        stressed = {table.rows[row][0] for row, _ in table.emphasis}
        assert "Oracle" not in stressed
        assert {column for _, column in table.emphasis} >= set(range(1, 3))


def test_failures_stand_beside_the_score(inputs):
    table = accuracy_table(inputs, "planet_remote")
    failures = {row[0]: int(row[-1]) for row in table.rows}
    generation = method_scores(inputs, "planet_remote")["generation"]
    assert failures["Generation"] == generation.failures > 0
    assert failures["Retrieval"] == 0


def test_gap_closed_is_the_share_of_the_way_to_the_oracle(inputs):
    scores = {name: score.mean_accuracy for name, score in method_scores(inputs, "planet_mixed").items()}
    better = max(scores["retrieval"], scores["generation"])
    gain = router_gain(inputs, "planet_mixed", "router")
    assert isinstance(gain, Gain)
    assert gain.closed == pytest.approx((scores["router"] - better) / (scores["oracle"] - better))
    assert gain.difference == pytest.approx(scores["router"] - better)
    assert gain.low <= gain.difference <= gain.high


def test_winners_count_every_image_once(inputs):
    winner = winners(inputs, "planet_remote")["winner"]
    assert len(winner) == 40
    assert {0, 1} <= set(winner) <= {0, 1, 2}
