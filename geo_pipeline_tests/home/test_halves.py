"""Vectors in half precision lie in their file as one array, which is mapped and never made a list of."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geo_pipeline.contracts.contract import load, names
from geo_pipeline.home.halves import VECTORS, NotMappableError, mapped, writing_options
from geo_pipeline.home.home import Home, MissingArtifactError
from geo_pipeline.home.reading import HomeReads

PEAK = """
import numpy, pyarrow.parquet, resource, sys
from pathlib import Path
from geo_pipeline.home.halves import mapped
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
array = mapped(Path(sys.argv[1]), "feature")[0]
total = sum(float(array[row].astype("float32").sum()) for row in range(0, len(array), len(array) // 8))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def vectors(rows, width, seed=0):
    values = np.random.default_rng(seed).uniform(-0.03, 0.03, (rows, width)).astype(np.float16)
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    ids = pa.array([f"image-{row}" for row in range(rows)])
    return values, pa.table({"image_id": ids, "feature": pa.ListArray.from_arrays(offsets, pa.array(values.ravel()))})


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (1, 768), (3, 2), (700, 96), (50_000, 24)])
def test_what_is_mapped_is_what_was_written(tmp_path, rows, width):
    values, table = vectors(rows, width)
    home = Home(tmp_path)
    home.write_table("features", "a", table, "f")
    np.testing.assert_array_equal(np.concatenate(HomeReads(home, None).mapped("features", "a", "feature")), values)
    assert home.read_table("features", "a")["feature"].to_pylist() == table["feature"].to_pylist()


def test_several_row_groups_are_several_arrays(tmp_path):
    values, table = vectors(1_100, 16)
    with pq.ParquetWriter(tmp_path / "a.parquet", table.schema, **writing_options(table.schema)) as writer:
        writer.write_table(table, 512)
    parts = mapped(tmp_path / "a.parquet", "feature")
    assert [len(part) for part in parts] == [512, 512, 76]
    np.testing.assert_array_equal(np.concatenate(parts), values)


def test_no_rows_are_no_arrays(tmp_path):
    home = Home(tmp_path)
    home.write_table("features", "a", load("features").empty(), "f")
    assert HomeReads(home, None).mapped("features", "a", "feature") == []


@pytest.mark.parametrize("options", [{}, {"compression": "none", "data_page_size": 4_096, "use_dictionary": False}])
def test_a_column_that_was_written_otherwise_is_refused(tmp_path, options):
    pq.write_table(vectors(2_000, 16)[1], tmp_path / "a.parquet", **options)
    with pytest.raises(NotMappableError, match="expected one array per row group"):
        mapped(tmp_path / "a.parquet", "feature")


def test_vectors_of_several_lengths_are_refused(tmp_path):
    table = pa.table({"image_id": ["a", "b"], "feature": pa.array([[0.5], [0.5, 0.25]], VECTORS)})
    with pq.ParquetWriter(tmp_path / "a.parquet", table.schema, **writing_options(table.schema)) as writer:
        writer.write_table(table)
    with pytest.raises(NotMappableError, match="several lengths"):
        mapped(tmp_path / "a.parquet", "feature")


def test_a_damaged_file_is_not_mapped(tmp_path):
    home = Home(tmp_path)
    home.write_table("features", "a", vectors(20, 8)[1], "f")
    file = tmp_path / "tables" / "features" / "a.parquet"
    data = bytearray(file.read_bytes())
    data[200] ^= 1
    file.write_bytes(data)
    with pytest.raises(MissingArtifactError, match="is damaged"):
        HomeReads(Home(tmp_path), None).mapped("features", "a", "feature")


def test_mapping_takes_no_memory_for_what_is_not_read(tmp_path):
    home = Home(tmp_path)
    home.write_table("features", "a", vectors(20_000, 768)[1], "f")
    file = tmp_path / "tables" / "features" / "a.parquet"
    done = subprocess.run([sys.executable, "-c", PEAK, file], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < file.stat().st_size / 4


def test_every_table_of_vectors_keeps_them_in_half_precision():
    kinds = [column.physical_type for name in names() for column in load(name).columns]
    assert "list<float>" not in kinds
    assert load("features").arrow_schema.field("feature").type == VECTORS
