from geo_pipeline.contracts.contract import load
from geo_pipeline.training.curves import CurveRow, curve_table, epoch_loss

ROWS = [
    CurveRow(1, 0, 0.0, 4.0, 0.1),
    CurveRow(2, 0, 0.0, 2.0, 0.1),
    CurveRow(2, 0, 1.0, 9.0, 0.1, 0.5),
    CurveRow(3, 1, 0.0, 1.0, 0.05),
    CurveRow(3, 1, 1.0, 8.0, 0.05, 0.0),
]


def test_the_table_keeps_its_contract_with_and_without_rows():
    contract = load("training_curves")
    for rows in (ROWS, []):
        table = curve_table(rows)
        assert contract.problems(table) == []
        assert table.schema == contract.arrow_schema
        assert table.num_rows == len(rows)


def test_batches_of_training_have_no_metric_and_a_metric_of_zero_is_one():
    table = curve_table(ROWS)
    assert table["split"].to_pylist() == ["train", "train", "holdout", "train", "holdout"]
    assert table["metric"].to_pylist() == [None, None, 0.5, None, 0.0]


def test_the_loss_of_an_epoch_is_the_mean_of_its_batches():
    assert [epoch_loss(ROWS, epoch) for epoch in (0, 1)] == [3.0, 1.0]
