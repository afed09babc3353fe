"""The contract of a table, found by name: its columns, its Arrow schema, and the three ways to hold a table to it.

`conform` raises with every problem at once, `sift` keeps the good rows and names the others, `problems` only looks.
Files are read by `document`, SQL is made and run by `checks`; writing tables belongs to home.
"""

import importlib.resources
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources.abc import Traversable
from pathlib import Path

import pyarrow as pa
import pyarrow.types as pt

from geo_pipeline.contracts.checks import Check, build_checks, count_problems, find_rejections
from geo_pipeline.contracts.columns import Column, Problem, Rejection, Rule
from geo_pipeline.contracts.document import read_document


class UnknownContractError(LookupError):
    """There is no contract of that name."""


class ContractError(ValueError):
    """A table that breaks its contract; `problems` holds every way in which it does."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self.name = name
        self.problems = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(
            f"The table {name} breaks its contract (data_contracts/{name}.yaml) in {len(problems)} "
            f"way{'s' if len(problems) != 1 else ''}:\n{lines}\nCorrect the code or the data that made these rows; if "
            "the rule itself is wrong, change it in the contract."
        )

    def __reduce__(self) -> tuple[type["ContractError"], tuple[str, list[Problem]]]:
        """Made again from its parts where a worker's error reaches the driver."""
        return type(self), (self.name, list(self.problems))


@dataclass(frozen=True)
class Contract:
    """What a table promises: columns with meaning, unit and limits, its key, and rules across columns."""

    name: str
    version: str
    description: str
    grain: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    key: tuple[str, ...]

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """Arrow fields in the order of the contract."""
        return pa.schema([pa.field(column.name, column.arrow_type) for column in self.columns])

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """Every check on values, by name: what `problems` counts."""
        return build_checks(self.columns, self.rules, self.key)

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when the contract has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}; it has {', '.join(c.name for c in self.columns)}.")

    def empty(self) -> pa.Table:
        """A table with the right columns and no rows."""
        return self.arrow_schema.empty_table()

    def problems(self, table: pa.Table) -> list[Problem]:
        """Every way in which `table` breaks the contract; columns and types first, values only once those are right."""
        shaped, found = self._shape(table)
        return found if shaped is None else count_problems(shaped, self.checks, self.key)

    def conform(self, table: pa.Table) -> pa.Table:
        """Return `table` with its columns in order and of the right types; `ContractError` with all problems."""
        shaped, found = self._shape(table)
        if shaped is None:
            raise ContractError(self.name, found)
        found = count_problems(shaped, self.checks, self.key)
        if found:
            raise ContractError(self.name, found)
        return shaped

    def sift(self, table: pa.Table) -> tuple[pa.Table, list[Rejection]]:
        """Return the rows that keep the contract, and a rejection for each other row.

        Columns or types that do not fit are no matter of single rows: `ContractError`, as in `conform`.
        """
        shaped, found = self._shape(table)
        if shaped is None:
            raise ContractError(self.name, found)
        rejections = find_rejections(shaped, self.checks, self.key)
        refused = {rejection.row for rejection in rejections}
        kept = pa.array([row not in refused for row in range(shaped.num_rows)], pa.bool_())
        return shaped.filter(kept), rejections

    def _shape(self, table: pa.Table) -> tuple[pa.Table | None, list[Problem]]:
        """Order and cast the columns; None and the reasons where that cannot be done."""
        wanted = [column.name for column in self.columns]
        found = [
            Problem("unexpected_column", name, "only the columns of the contract", 0)
            for name in table.column_names
            if name not in wanted
        ]
        found += [
            Problem("one_column_of_a_name", name, "one column of this name", 0)
            for name in wanted
            if table.column_names.count(name) > 1
        ]
        arrays = []
        for column in self.columns:
            if column.name not in table.column_names:
                found.append(Problem("missing_column", column.name, f"a column of type {column.physical_type}", 0))
            elif table.column_names.count(column.name) == 1:
                try:
                    arrays.append(_cast(table.column(column.name), column.arrow_type))
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
                    text = f"type {column.physical_type} ({table.schema.field(column.name).type} given: {error})"
                    found.append(Problem("column_type", column.name, text, 0))
        if found:
            return None, found
        return pa.Table.from_arrays(arrays, schema=self.arrow_schema), []


def _cast(values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Cast without loss and within one family of types: a number never comes out of a text."""
    if values.type == wanted:
        return values
    if not _same_family(values.type, wanted):
        raise pa.ArrowTypeError(f"{values.type} is not turned into {wanted}")
    return values.cast(wanted)


def _same_family(given: pa.DataType, wanted: pa.DataType) -> bool:
    if pt.is_null(given):
        return True
    if pt.is_dictionary(given):
        return _same_family(given.value_type, wanted)
    if pt.is_list(wanted):
        is_list = pt.is_list(given) or pt.is_large_list(given) or pt.is_fixed_size_list(given)
        return bool(is_list and _same_family(given.value_type, wanted.value_type))
    if pt.is_floating(wanted):
        return bool(pt.is_floating(given) or pt.is_integer(given))
    families = (
        (pt.is_integer,),
        (pt.is_boolean,),
        (pt.is_string, pt.is_large_string, pt.is_string_view),
        (pt.is_binary, pt.is_large_binary, pt.is_fixed_size_binary, pt.is_binary_view),
    )
    return any(any(test(given) for test in family) and any(test(wanted) for test in family) for family in families)


@cache
def names() -> tuple[str, ...]:
    """Names of all tables that have a contract, in alphabetical order."""
    return tuple(
        sorted(entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if entry.name.endswith(".yaml"))
    )


@cache
def load(name: str) -> Contract:
    """The contract of the table `name`; `UnknownContractError` when there is none."""
    if name not in names():
        raise UnknownContractError(f"Found no contract named {name!r}; expected one of {', '.join(names())}.")
    document = read_document((_folder() / f"{name}.yaml").read_text(encoding="utf-8"), f"data_contracts/{name}.yaml")
    return Contract(
        name=document.name,
        version=document.version,
        description=document.description,
        grain=document.grain,
        columns=document.columns,
        rules=document.rules,
        key=document.key,
    )


def _folder() -> Traversable:
    """The contract files: as installed beside the package, else in the checkout."""
    try:
        return importlib.resources.files("data_contracts")
    except ModuleNotFoundError:
        return Path(__file__).parents[2] / "data_contracts"
