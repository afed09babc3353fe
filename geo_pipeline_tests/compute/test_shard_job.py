import pickle
from dataclasses import replace

import pyarrow as pa
import pytest

from geo_pipeline.compute.shard_job import in_batches
from geo_pipeline.home.artifact import table
from geo_pipeline_tests.compute import workers
from geo_pipeline_tests.compute.nodes import file_bytes, home_of_photographs

SHARDS = ("one", "two")


def test_what_travels_does_not_grow_with_the_photographs(tmp_path):
    passed, photographs = {}, {}
    for name, side, quality in (("a", 64, 60), ("b", 320, 95)):
        home = home_of_photographs(tmp_path / name, SHARDS, rows=4, side=side, quality=quality)
        job = workers.job_of(home, SHARDS, workers.Brightness, read=workers.images_in)
        notes = [(key, job.open()(key)) for key in SHARDS]
        passed[name] = len(pickle.dumps(job)) + len(pickle.dumps(notes))
        photographs[name] = sum(len(data) for data in file_bytes(home, "images").values())
    assert photographs["b"] > 10 * photographs["a"]
    assert passed["a"] == passed["b"] < 50_000


def test_the_first_output_is_written_last_and_its_fingerprint_is_that_of_the_key(tmp_path):
    home = workers.home_of_numbers(tmp_path / "home", {"one": [1, 2]})
    job = workers.job_of(home, ["one"], workers.Brightness)
    tables = {"training_curves": workers.curves([1.0]), "features": workers.numbers_of([1])}
    outputs = {"one": (table("training_curves", "one"), table("features", "made"))}
    whole = replace(job, worker=workers.Untouched, finish=lambda rows, parts: tables, outputs=outputs)
    assert whole.open()("one") == {"rows": 1}
    assert home.stored(table("training_curves", "one")).fingerprint == "g"
    first = (tmp_path / "home" / "tables" / "training_curves" / "one.parquet").stat().st_mtime_ns
    assert first >= (tmp_path / "home" / "tables" / "features" / "made.parquet").stat().st_mtime_ns


def test_notes_are_made_of_the_tables_that_were_written(tmp_path):
    home = workers.home_of_numbers(tmp_path / "home", {"one": [1, 2]})
    job = replace(
        workers.job_of(home, ["one"], workers.Refusing),
        notes=lambda tables: {"losses": tables["training_curves"]["loss"].to_pylist()},
    )
    assert job.open()("one") == {"rows": 2, "losses": [0.0, 0.0]}


@pytest.mark.parametrize(("rows", "sizes"), [(0, []), (3, [3]), (7, [3, 3, 1])])
def test_batches_are_cut_in_order(rows, sizes):
    batches = list(in_batches(pa.table({"x": list(range(rows))}), 3))
    assert [batch.num_rows for batch in batches] == sizes
    assert [value for batch in batches for value in batch["x"].to_pylist()] == list(range(rows))
