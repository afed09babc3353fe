"""The columns of a photograph before the catalogue stand in one place, and every table takes them from there."""

import ast
from pathlib import Path

import pyarrow as pa
import pytest

import geo_pipeline.imagery
from geo_pipeline.contracts.contract import load
from geo_pipeline.imagery.containers.index import INDEX
from geo_pipeline.imagery.exif_index import FACTS
from geo_pipeline.imagery.metadata.join import ENTRIES
from geo_pipeline.imagery.metadata.layout import ALIASES, METADATA
from geo_pipeline.imagery.photograph import COLUMNS, DESCRIBED, schema
from geo_pipeline.imagery.source import LISTING, SourceRecord, batches_of, records_of

FOLDER = Path(geo_pipeline.imagery.__file__).parent


def test_no_other_module_gives_a_column_a_type():
    """A pair of a column's name and an Arrow type, as `("lat_deg", pa.float64())`, outside photograph.py."""
    found = []
    for path in sorted(FOLDER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Tuple) and len(node.elts) == 2:
                name, kind = node.elts
                known = isinstance(name, ast.Constant) and name.value in COLUMNS
                if known and isinstance(kind, ast.Call) and ast.unparse(kind.func).startswith("pa."):
                    found.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
    assert not found


@pytest.mark.parametrize("table", [LISTING, ENTRIES, METADATA, FACTS, INDEX])
def test_a_column_has_one_type_in_every_table(table):
    for field in table:
        if field.name in COLUMNS and (field.name != "block" or table is not INDEX):
            assert field.type == COLUMNS[field.name].type
    assert INDEX.field("block").type == pa.int64()


def test_what_is_written_beside_a_photograph_can_be_written_anywhere():
    for table in (LISTING, ENTRIES, METADATA, INDEX):
        assert set(DESCRIBED) <= set(table.names)
    assert {*DESCRIBED, "path"} == set(ALIASES)


def test_the_catalogue_has_the_same_types_for_what_it_takes_over():
    contract = load("catalogue")
    taken = [field for field in contract.arrow_schema if field.name in COLUMNS]
    assert {field.name for field in taken} >= {*DESCRIBED, "locator", "stamp"} - {"set_name"}
    assert all(field.type == COLUMNS[field.name].type for field in taken)


def test_every_column_has_a_meaning():
    assert all(column.meaning.endswith(".") and len(column.meaning) > 15 for column in COLUMNS.values())


def test_a_record_of_every_field_survives_a_listing():
    whole = SourceRecord("a", "a.jpg", "Ann", 1.0, 2.0, "train", "by Ann", "unreadable", "why", "jpeg", "9f", "one")
    assert list(records_of(batches_of([whole, SourceRecord("b", "b.jpg")]))) == [whole, SourceRecord("b", "b.jpg")]


def test_a_column_that_nobody_described_is_refused():
    with pytest.raises(KeyError, match="altitude_m"):
        schema(["image_id", "altitude_m"])
    assert schema(["image_id", "altitude_m"], altitude_m=pa.float32()).field("altitude_m").type == pa.float32()
