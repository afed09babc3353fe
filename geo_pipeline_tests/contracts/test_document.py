"""Contract files that do not say what they mean are refused."""

from pathlib import Path

import pytest

import geo_pipeline
from geo_pipeline.contracts.document import ContractFileError, read_document

TEXT = (Path(geo_pipeline.__file__).parent / "data_contracts" / "catalogue.yaml").read_text()


def test_the_file_as_it_is_reads():
    document = read_document(TEXT, "catalogue")
    assert document.key == ("image_id",)
    assert document.columns[4].limits.minimum == -90
    assert document.columns[4].unit == "degrees"
    assert {rule.name for rule in document.rules} == {"not_null_island", "shard_follows_set"}


def test_a_custom_rule_names_polars_as_its_engine():
    text = (Path(geo_pipeline.__file__).parent / "data_contracts" / "features.yaml").read_text()
    assert [rule.language for rule in read_document(text, "features").rules] == ["polars"]
    with pytest.raises(ContractFileError, match="found engine soda; only polars"):
        read_document(text.replace("engine: polars", "engine: soda"), "features")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("required: true", "requierd: true", "unknown property keys requierd"),
        ("{minimum: -90, maximum: 90}", "{minimum: -90, maximun: 90}", "unknown options keys maximun"),
        ("domain: geolocation", "domian: geolocation", "unknown contract keys domian"),
        ("physicalType: double", "physicalType: decimal", "found physicalType decimal"),
        ("mustBe: 0", "mustBe: 1", "with mustBe: 0"),
        ("SELECT COUNT(*) FROM ${table} WHERE lat", "SELECT MAX(lat) FROM ${table} WHERE lat", "rule not_null_island"),
        ("name: catalogue\nversion", "name: catalog\nversion", "give both one name"),
        ("apiVersion: v3.1.0", "apiVersion: v2.2.2", "expected apiVersion v3.x"),
        ("property: unit", "property: uint", "only custom property"),
        ("{minimum: -90, maximum: 90}", "{pattern: x}", "column lat_deg: found pattern for values of type double"),
        ("{minimum: -90, maximum: 90}", "{minItems: 1}", "found minItems for double; expected it for a list"),
        ('{pattern: "^[0-9a-f]{6}$"}', "{minimum: 1}", "found minimum for values of type string"),
        ("type: sql", "type: text", "rule not_null_island: found type text; expected sql or custom"),
        ("type: sql", "type: custom", "unknown custom rule keys mustBe, query"),
    ],
)
def test_a_misspelt_or_foreign_key_is_refused(old, new, message):
    assert old in TEXT
    with pytest.raises(ContractFileError, match=message):
        read_document(TEXT.replace(old, new), "catalogue")
