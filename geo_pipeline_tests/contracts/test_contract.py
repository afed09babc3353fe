"""The contracts as the standard reads them, and as the pipeline enforces them."""

import importlib.resources
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import open_data_contract_standard
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard

import geo_pipeline
from geo_pipeline.contracts.contract import ContractError, UnknownContractError, load, names
from geo_pipeline_tests.contracts.violations import ROWS

FILES = Path(geo_pipeline.__file__).parent / "data_contracts"


def catalogue(**changes):
    columns = {
        "image_id": ["a", "b", "c"],
        "locator": ["a.jpg", "b.jpg", "c.jpg"],
        "source_offset": pa.array([None, 0, 512], pa.int64()),
        "author": ["Ann", None, "Bob"],
        "lat_deg": [1.5, -90.0, 90.0],
        "lon_deg": [-180.0, 180.0, 0.0],
        "set_name": ["train", "holdout", "photos"],
        "shard": ["reference-000", "reference-001", "photos"],
        "place_token": ["1347b3", "1347b5", "1347b7"],
        "credit": [None, None, "by Bob"],
        "stamp": [None, "12-34", "9f"],
    }
    return pa.table({**columns, **changes})


def predictions(**changes):
    columns = {
        "image_id": ["a", "b"],
        "method": ["retrieval", "retrieval"],
        "lat_deg": [1.0, None],
        "lon_deg": [2.0, None],
        "score": [0.5, None],
        "failure": [None, "no eligible reference"],
        "raw_answer": pa.nulls(2, pa.string()),
        "chosen": pa.nulls(2, pa.string()),
        "candidate_ids": [["r"], None],
        "candidate_lats_deg": [[1.0], None],
        "candidate_lons_deg": [[2.0], None],
        "candidate_scores": [[0.5], None],
    }
    return pa.table({**columns, **changes})


def broken(contract, table):
    return {problem.check: problem.rows for problem in load(contract).problems(table)}


@pytest.mark.parametrize("name", names())
def test_the_standards_own_model_reads_every_contract_and_knows_every_key(name):
    raw = yaml.safe_load((FILES / f"{name}.yaml").read_text())
    document = OpenDataContractStandard.model_validate(raw)
    again = document.model_dump(exclude_unset=True, by_alias=True)
    assert again == raw, "a key that the standard's model does not know was dropped"
    schema = importlib.resources.files(open_data_contract_standard).joinpath("schema.json").read_text(encoding="utf-8")
    jsonschema.Draft201909Validator(json.loads(schema)).validate(raw)


@pytest.mark.parametrize("name", names())
def test_a_contract_tells_a_column_table_what_it_needs(name):
    contract = load(name)
    assert len(contract.description) > 20
    assert contract.description.endswith(".")
    assert [column.name for column in contract.columns] == contract.arrow_schema.names
    for column in contract.columns:
        assert column.description[0].isupper() or column.description.startswith(
            ("correct", "64-bit", "8-bit", "1 when")
        )
        assert column.unit or not column.name.endswith(("_deg", "_km")), "a number with a dimension has a unit"


@pytest.mark.parametrize("name", names())
def test_every_check_compiles_and_notices_missing_values(name):
    contract = load(name)
    empty_row = pa.Table.from_arrays([pa.nulls(1, f.type) for f in contract.arrow_schema], schema=contract.arrow_schema)
    found = {problem.check for problem in contract.problems(empty_row)}
    assert found >= {f"{column.name}_given" for column in contract.columns if column.required}
    assert contract.problems(contract.empty()) == []


def test_the_border_values_are_inside():
    assert load("catalogue").problems(catalogue()) == []
    assert load("predictions").problems(predictions()) == []


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("lat_deg_range", {"lat_deg": [1.5, -90.0001, 90.0]}),
        ("lon_deg_range", {"lon_deg": [-180.0, 180.5, 0.0]}),
        ("lat_deg_number", {"lat_deg": [1.5, float("nan"), 90.0]}),
        ("lat_deg_given", {"lat_deg": [1.5, None, 90.0]}),
        ("not_null_island", {"lat_deg": [0.0, 1.0, 2.0], "lon_deg": [0.0, 1.0, 2.0]}),
        ("image_id_unique", {"image_id": ["a", "b", "a"]}),
        ("image_id_length", {"image_id": ["a", "b", ""]}),
        ("place_token_pattern", {"place_token": ["1347b3", "1347b", "1347b7"]}),
        ("shard_follows_set", {"shard": ["reference-000", "photos", "photos"]}),
        ("shard_follows_set", {"shard": ["reference-000", "reference-001", "router_queries"]}),
    ],
)
def test_each_fault_of_a_catalogue_is_found_once(check, changes):
    assert broken("catalogue", catalogue(**changes)) == {check: 1}


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("coordinate_is_whole", {"lon_deg": [None, None]}),
        ("failure_instead_of_coordinate", {"failure": pa.nulls(2, pa.string())}),
        ("failure_instead_of_coordinate", {"failure": ["why?", "no eligible reference"]}),
        ("candidates_of_one_length", {"candidate_scores": [[0.5, 0.4], None]}),
        ("candidates_of_one_length", {"candidate_ids": pa.nulls(2, pa.list_(pa.string()))}),
        ("candidate_lats_deg_range", {"candidate_lats_deg": [[91.0], None]}),
        ("candidate_lats_deg_number", {"candidate_lats_deg": [[float("nan")], None]}),
        ("candidate_lats_deg_items_given", {"candidate_lats_deg": [pa.scalar([None], pa.list_(pa.float64())), None]}),
        ("chosen_allowed", {"chosen": ["both", None]}),
    ],
)
def test_each_fault_of_predictions_is_found_once(check, changes):
    assert broken("predictions", predictions(**changes)) == {check: 1}


def georouting(retrieval_km, generation_km, label, preference, trainable):
    lat = [None if km == float("inf") else 1.0 for km in (retrieval_km, generation_km)]
    row = {
        "image_id": "q",
        "retrieval_lat_deg": lat[0],
        "retrieval_lon_deg": lat[0],
        "generation_lat_deg": lat[1],
        "generation_lon_deg": lat[1],
        "retrieval_error_km": retrieval_km,
        "generation_error_km": generation_km,
        "label": label,
        "preference": preference,
        "trainable": trainable,
        "candidate_ids": [],
        "candidate_lats_deg": [],
        "candidate_lons_deg": [],
    }
    return pa.Table.from_pylist([row], schema=load("georouting").arrow_schema)


INF = float("inf")


@pytest.mark.parametrize(
    ("row", "checks"),
    [
        ((10.0, 5.0, 1, 0.75, True), set()),
        ((5.0, 5.0, 0, 0.5, True), set()),
        ((5.0, INF, 0, 0.0, True), set()),
        ((INF, INF, 0, 0.5, False), set()),
        ((10.0, 5.0, 0, 0.3, True), {"label_is_the_nearer"}),
        ((10.0, 5.0, 1, 0.3, True), {"preference_follows_label"}),
        ((INF, INF, 0, 0.5, True), {"trainable_unless_both_failed"}),
        ((10.0, 5.0, 1, 1.5, True), {"preference_range"}),
        ((-1.0, 5.0, 0, 0.5, True), {"retrieval_error_km_range"}),
    ],
)
def test_rules_across_the_columns_of_georouting(row, checks):
    assert set(broken("georouting", georouting(*row))) == checks


def test_an_infinite_error_without_a_missing_coordinate_is_found():
    table = georouting(5.0, 6.0, 0, 0.5, True)
    index = table.schema.get_field_index("generation_error_km")
    table = table.set_column(index, "generation_error_km", pa.array([INF]))
    assert "generation_error_follows_coordinate" in broken("georouting", table)


def test_conform_orders_columns_and_casts_without_loss():
    contract = load("coverage")
    columns = {name: pa.array([3], pa.int64()) for name in reversed(contract.arrow_schema.names)}
    columns["partition"] = pa.array([3], pa.uint8())
    table = contract.conform(pa.table(columns))
    assert table.schema == contract.arrow_schema
    too_large = {**columns, "partition": pa.array([2**40])}
    with pytest.raises(ContractError, match="column partition: column_type"):
        contract.conform(pa.table(too_large))


def test_conform_reads_lists_of_any_kind_and_never_numbers_from_text():
    contract = load("features")
    fixed = pa.FixedSizeListArray.from_arrays(pa.array([0.5, 0.25], pa.float64()), 2)
    table = contract.conform(pa.table({"image_id": pa.array(["a"]).dictionary_encode(), "feature": fixed}))
    assert table.schema == contract.arrow_schema
    assert table["feature"].to_pylist() == [[0.5, 0.25]]
    with pytest.raises(ContractError, match="string is not turned into double"):
        load("catalogue").conform(catalogue(lat_deg=["1", "2", "3"]))


def test_a_table_that_went_through_parquet_still_conforms(tmp_path):
    table = load("predictions").conform(predictions())
    pq.write_table(table, tmp_path / "p.parquet")
    assert load("predictions").conform(pq.read_table(tmp_path / "p.parquet")) == table


def test_the_error_names_all_problems_at_once_with_examples():
    table = catalogue(lat_deg=[95.0, 1.0, 2.0], image_id=["a", "a", "c"]).drop_columns(["credit"])
    with pytest.raises(ContractError) as shape:
        load("catalogue").conform(table.append_column("extra", pa.array([1, 2, 3])))
    assert {problem.check for problem in shape.value.problems} == {"missing_column", "unexpected_column"}
    with pytest.raises(ContractError) as values:
        load("catalogue").conform(table.append_column("credit", pa.nulls(3, pa.string())))
    message = str(values.value)
    assert "in 2 ways" in message
    assert "between -90 and 90" in message
    assert "image_id=a has 95.0" in message


def test_a_position_in_the_bytes_of_an_image_breaks_the_contract():
    image = {
        "image_id": "a",
        "set_name": "train",
        "author": None,
        "lat_deg": 1.0,
        "lon_deg": 2.0,
        "jpeg": b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00MM\x00*",
        "width": 64,
        "height": 64,
        "sha256": "0" * 64,
        "phash": -5,
        "credit": None,
        "locator": "a.jpg",
        "source_offset": None,
    }
    schema = load("images").arrow_schema
    assert broken("images", pa.Table.from_pylist([image], schema=schema)) == {"jpeg_has_no_exif": 1}
    image["jpeg"] = b"\x89PNG"
    assert broken("images", pa.Table.from_pylist([image], schema=schema)) == {"jpeg_is_jpeg": 1}


@pytest.mark.parametrize("package", [False, True], ids=["a folder", "a package"])
def test_contracts_are_those_of_the_package_and_of_no_other_folder(tmp_path, package):
    """A folder of that name where Python is started, or in another installed project, neither adds nor replaces."""
    elsewhere = tmp_path / "data_contracts"
    elsewhere.mkdir()
    for name in ("catalogue.yaml", "foreign.yaml", *(["__init__.py"] if package else [])):
        (elsewhere / name).write_text("{}")
    words = "from geo_pipeline.contracts.contract import load, names; print(*names(), len(load('catalogue').columns))"
    done = subprocess.run([sys.executable, "-c", words], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*(path.stem for path in sorted(FILES.glob("*.yaml"))), "11"]


def test_an_unknown_contract_is_named_with_those_there_are():
    with pytest.raises(UnknownContractError, match="catalogue, census, coverage"):
        load("catalog")


def test_a_table_is_made_from_its_columns_and_the_others_are_null():
    contract = load("predictions")
    table = contract.table(
        image_id=pa.chunked_array([["a"], ["b"]]), method="guess", lat_deg=np.array([1, 2]), lon_deg=[3.5, 4]
    )
    assert table.schema == contract.arrow_schema
    assert table.select(["image_id", "method", "lat_deg", "lon_deg"]).to_pylist() == [
        {"image_id": "a", "method": "guess", "lat_deg": 1.0, "lon_deg": 3.5},
        {"image_id": "b", "method": "guess", "lat_deg": 2.0, "lon_deg": 4.0},
    ]
    assert table["candidate_ids"].null_count == 2
    assert contract.table(image_id=[], method="guess") == contract.empty()
    assert load("quarantine").table(stage="decode", locator="a", reason="lost", detail="lost").num_rows == 1


@pytest.mark.parametrize(
    ("columns", "checks"),
    [
        ({"image_id": ["a", "b"], "method": ["guess"]}, {"one_length"}),
        ({"image_id": ["a", 1], "method": "guess"}, {"column_type"}),
        ({"image_id": ["a"], "method": 1}, {"column_type"}),
        ({"image_id": ["a"]}, {"missing_column"}),
        ({"image_id": ["a"], "methode": "guess"}, {"missing_column", "unexpected_column"}),
        ({"image_id": ["a"], "method": "", "failure": "why"}, {"method_length"}),
        ({"image_id": ["a"], "method": "guess", "lat_deg": ["1"], "lon_deg": [1.5]}, {"column_type"}),
        ({}, {"missing_column"}),
    ],
)
def test_a_table_is_not_made_from_columns_that_break_the_contract(columns, checks):
    with pytest.raises(ContractError) as found:
        load("predictions").table(**columns)
    assert {problem.check for problem in found.value.problems} == checks


def test_a_conformed_table_is_the_arrow_table_itself_in_exactly_the_types_of_the_contract():
    contract = load("images")
    row = {**ROWS["images"], "credit": None, "author": "Ann"}
    table = contract.conform(pa.Table.from_pylist([row], schema=contract.arrow_schema))
    again = contract.conform(table)
    assert again.schema == contract.arrow_schema
    assert again["jpeg"].chunk(0).buffers()[2].address == table["jpeg"].chunk(0).buffers()[2].address
    large = table.set_column(5, "jpeg", table["jpeg"].cast(pa.large_binary()))
    assert contract.conform(large) == table


def test_a_contract_is_a_dataframely_schema_for_polars_frames():
    schema = load("catalogue").schema
    frame = pl.DataFrame(catalogue(lat_deg=[95.0, 1.0, 2.0]))
    kept, failure = schema.filter(frame)
    assert kept["image_id"].to_list() == ["b", "c"]
    assert failure.counts() == {"lat_deg|max": 1}
    assert schema.columns()["lat_deg"].metadata == {"unit": "degrees"}
    assert schema.columns()["lat_deg"].description == load("catalogue").column("lat_deg").description


def test_loading_contracts_imports_no_table_engine():
    words = "import sys; from geo_pipeline.contracts.contract import load, names; [load(name) for name in names()]; "
    words += "load('images').empty(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert not {"polars", "dataframely", "duckdb"} & set(done.stdout.split())
