"""Reads one contract file (Open Data Contract Standard v3.1 YAML) into columns and rules, refusing unknown keys.

The subset of the standard that we use is small and stands in `_KEYS`: a key outside it is refused instead of silently
ignored, so that a misspelt limit cannot pass. The tests read the same files with the standard's own model and schema.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from geo_pipeline.contracts.columns import ARROW_TYPES, Column, Limits, Rule


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KEYS: dict[str, frozenset[str]] = {
    "contract": _words("apiVersion kind id name version status domain description schema"),
    "description": _words("purpose usage limitations"),
    "schema": _words("name logicalType physicalType description dataGranularityDescription properties quality"),
    "property": _words(
        "name logicalType physicalType description required unique primaryKey primaryKeyPosition logicalTypeOptions "
        "items customProperties quality examples"
    ),
    "items": _words("logicalType physicalType logicalTypeOptions"),
    "options": _words("minimum maximum minLength pattern format minItems"),
    "library": _words("name type metric arguments mustBe"),
    "sql rule": _words("name type description dimension query mustBe"),
    "custom rule": _words("name type description dimension engine implementation"),
}
_RULE_QUERY = re.compile(r"SELECT COUNT\(\*\) FROM \$\{table\} WHERE (?P<violation>.+)", re.DOTALL)


class ContractFileError(ValueError):
    """A contract file that cannot be read as this project writes them."""


@dataclass(frozen=True)
class Document:
    """What one contract file says."""

    name: str
    version: str
    description: str
    grain: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    key: tuple[str, ...]


def read_document(text: str, where: str) -> Document:
    """Read the YAML `text` of one contract; `where` names it in errors (`ContractFileError`)."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    raw = yaml.load(text, Loader=loader)  # both loaders are safe; the C one is ten times faster
    _known(raw, "contract", where)
    _known(raw["description"], "description", where)
    if not str(raw["apiVersion"]).startswith("v3.") or len(raw["schema"]) != 1:
        raise ContractFileError(f"{where}: expected apiVersion v3.x and one schema object, one file per table.")
    table = raw["schema"][0]
    _known(table, "schema", where)
    if not raw["name"] == table["name"]:
        raise ContractFileError(f"{where}: found name {raw['name']} and schema {table['name']}; give both one name.")
    properties = table["properties"]
    columns = tuple(_column(entry, f"{where}, column {entry.get('name')}") for entry in properties)
    keyed = [entry for entry in properties if entry.get("primaryKey")]
    return Document(
        name=table["name"],
        version=str(raw["version"]),
        description=table["description"],
        grain=table["dataGranularityDescription"],
        columns=columns,
        rules=tuple(_rule(entry, where) for entry in table.get("quality", [])),
        key=tuple(entry["name"] for entry in sorted(keyed, key=lambda entry: int(entry["primaryKeyPosition"]))),
    )


def _known(entry: Any, kind: str, where: str) -> None:
    """Refuse an entry that is no mapping or has a key that we do not read."""
    if not isinstance(entry, Mapping):
        raise ContractFileError(f"{where}: found {type(entry).__name__} where a {kind} with named keys was expected.")
    unknown = sorted(set(entry) - _KEYS[kind])
    if unknown:
        raise ContractFileError(
            f"{where}: found unknown {kind} keys {', '.join(unknown)}; expected only "
            f"{', '.join(sorted(_KEYS[kind]))}. Correct the spelling, or teach contracts.document the key."
        )


def _column(entry: Mapping[str, Any], where: str) -> Column:
    _known(entry, "property", where)
    options = entry.get("logicalTypeOptions", {})
    physical = str(entry["physicalType"])
    item = physical[5:-1] if physical.startswith("list<") else physical
    if item not in ARROW_TYPES:
        raise ContractFileError(f"{where}: found physicalType {physical}; expected one of {', '.join(ARROW_TYPES)}.")
    _known(options, "options", where)
    limit_options = options
    if physical.startswith("list<"):
        items: Any = entry.get("items")
        _known(items, "items", where)
        if items["physicalType"] != item:
            raise ContractFileError(f"{where}: items are {items['physicalType']}, but physicalType says {physical}.")
        limit_options = items.get("logicalTypeOptions", {})
        _known(limit_options, "options", where)
    limits = _limits(limit_options, entry.get("quality", []), where)
    _applicable(limits, item, where)
    if "minItems" in options and item == physical:
        raise ContractFileError(f"{where}: found minItems for {physical}; expected it for a list only.")
    return Column(
        name=entry["name"],
        physical_type=physical,
        description=entry["description"],
        required=bool(entry.get("required", False)),
        unique=bool(entry.get("unique", False)),
        unit=_unit(entry.get("customProperties", []), where),
        limits=limits,
        min_items=options.get("minItems"),
    )


def _limits(options: Mapping[str, Any], quality: Sequence[Mapping[str, Any]], where: str) -> Limits:
    allowed: tuple[str | int | float, ...] = ()
    for check in quality:
        _known(check, "library", where)
        if check["metric"] != "invalidValues" or check["mustBe"] != 0:
            raise ContractFileError(f"{where}: found metric {check['metric']}; only invalidValues mustBe 0 is read.")
        allowed = tuple(check["arguments"]["validValues"])
    return Limits(
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
        min_length=options.get("minLength"),
        pattern=options.get("pattern"),
        allowed=allowed,
    )


def _applicable(limits: Limits, item: str, where: str) -> None:
    """Refuse a limit that says nothing about values of this type, so that none is silently passed over."""
    number, text = item in ("double", "float", "halffloat", "int32", "int64"), item == "string"
    suited = {
        "minimum": (limits.minimum is None or number),
        "maximum": (limits.maximum is None or number),
        "minLength": (limits.min_length is None or text or item == "binary"),
        "pattern": (limits.pattern is None or text),
        "validValues": (not limits.allowed or number or text),
    }
    unsuited = [name for name, fits in suited.items() if not fits]
    if unsuited:
        raise ContractFileError(
            f"{where}: found {', '.join(unsuited)} for values of type {item}; expected minimum and maximum for "
            "numbers, minLength for texts and binaries, pattern for texts, validValues for texts and numbers."
        )


def _unit(properties: Sequence[Mapping[str, Any]], where: str) -> str | None:
    for entry in properties:
        if set(entry) != {"property", "value"} or entry["property"] != "unit":
            raise ContractFileError(f"{where}: the only custom property that is read is `unit`, with a value.")
        return str(entry["value"])
    return None


def _rule(entry: Mapping[str, Any], where: str) -> Rule:
    where = f"{where}, rule {entry.get('name')}"
    if entry.get("type") not in ("sql", "custom"):
        raise ContractFileError(f"{where}: found type {entry.get('type')}; expected sql or custom.")
    _known(entry, f"{entry['type']} rule", where)
    if entry["type"] == "custom":
        if entry["engine"] != "polars":
            raise ContractFileError(f"{where}: found engine {entry['engine']}; only polars is read.")
        return Rule(entry["name"], entry["description"], str(entry["implementation"]).strip(), "polars")
    match = _RULE_QUERY.fullmatch(str(entry["query"]).strip())
    if match is None or entry["mustBe"] != 0:
        raise ContractFileError(
            f"{where}: expected `SELECT COUNT(*) FROM ${{table}} WHERE <rows that break it>` "
            "with mustBe: 0, so that it counts the rows that break it."
        )
    return Rule(name=entry["name"], description=entry["description"], violation=match["violation"])
