"""The contract of a table, found by name: its columns, its Arrow schema, and the ways to make and check a table.

`conform` raises with every problem at once, `problems` only looks; `table` makes one from columns. Files are read by
`document`, values are checked by `schema` and `checks` (imported at the first table, since the code location needs
column lists only); writing tables belongs to home.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from geo_pipeline.contracts import shaping
from geo_pipeline.contracts.columns import Column, Problem, Rule
from geo_pipeline.contracts.document import read_document

if TYPE_CHECKING:
    import dataframely as dy

    from geo_pipeline.contracts.schema import Check


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
        return shaping.arrow_schema(self.columns)

    @cached_property
    def schema(self) -> "type[dy.Schema]":
        """The contract as a dataframely schema, for polars frames: `contract.schema.validate(frame)`."""
        from geo_pipeline.contracts.schema import build_schema

        return build_schema(self.name, self.columns, self.rules, self.key)

    @cached_property
    def checks(self) -> "tuple[Check, ...]":
        """Every check on values, by name: what `problems` counts."""
        from geo_pipeline.contracts.schema import build_checks

        return build_checks(self.schema, self.columns, self.rules, self.key)

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when the contract has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}; it has {', '.join(c.name for c in self.columns)}.")

    def empty(self) -> pa.Table:
        """A table with the right columns and no rows."""
        return self.arrow_schema.empty_table()

    def table(self, **columns: Any) -> pa.Table:
        """A table that keeps the contract, from columns of one length (lists, numpy or Arrow arrays) and single values.

        A single value holds for every row; columns that may be null and are not given are null. `ContractError` with
        all problems, as in `conform`.
        """
        gathered, found = shaping.gather(columns, self.columns)
        if gathered is None:
            raise ContractError(self.name, found)
        return self.conform(gathered)

    def problems(self, table: pa.Table) -> list[Problem]:
        """Every way in which `table` breaks the contract; columns and types first, values only once those are right."""
        return self._examined(table)[1]

    def conform(self, table: pa.Table) -> pa.Table:
        """Return `table` with its columns in order and of the right types; `ContractError` with all problems."""
        shaped, found = self._examined(table)
        if shaped is None or found:
            raise ContractError(self.name, found)
        return shaped

    def _examined(self, table: pa.Table) -> tuple[pa.Table | None, list[Problem]]:
        """The table as the contract shapes it, None where that cannot be done, and every problem."""
        shaped, found = shaping.shape(table, self.columns)
        if shaped is None or shaped.num_rows == 0:
            return shaped, found
        from geo_pipeline.contracts.checks import count_problems

        return shaped, count_problems(shaped, self.schema, self.checks, self.key)


@cache
def names() -> tuple[str, ...]:
    """Names of all tables that have a contract, in alphabetical order."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


@cache
def load(name: str) -> Contract:
    """The contract of the table `name`; `UnknownContractError` when there is none."""
    if name not in names():
        raise UnknownContractError(f"found no contract named {name!r}; expected one of {', '.join(names())}.")
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


def _folder() -> Path:
    """The contract files in the package (a checkout links them); no folder of that name elsewhere counts."""
    return Path(__file__).parents[1] / "data_contracts"
