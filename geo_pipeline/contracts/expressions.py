"""Turns the text of a rule into the polars expression that holds for the rows that break it.

SQL rules are read by polars' own parser. Rules that SQL cannot say in a way that every engine understands are written
as polars expressions; only the calls listed here are understood, so that a contract file cannot run other code.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from geo_pipeline.contracts.columns import Rule
from geo_pipeline.contracts.document import ContractFileError

_FUNCTIONS: Mapping[str, Callable[..., pl.Expr]] = {"col": pl.col, "element": pl.element}
_METHODS = frozenset(("bin", "contains", "eval", "is_finite", "list", "size", "slice", "starts_with", "sum"))
_OPERATORS: Mapping[type, Callable[..., Any]] = {
    ast.Mult: operator.mul,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.Invert: operator.invert,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def violation(rule: Rule, where: str) -> pl.Expr:
    """The expression that is true for exactly the rows that break the rule.

    `where` names the contract in a `ContractFileError` for text that is not understood.
    """
    try:
        if rule.language == "sql":
            return pl.sql_expr(rule.violation)
        found = _value(ast.parse(rule.violation, mode="eval").body)
    except (pl.exceptions.PolarsError, SyntaxError, TypeError, ValueError) as error:
        raise ContractFileError(
            f"{where}, rule {rule.name}: found {rule.violation!r}, which is no {rule.language} condition that is "
            f"understood ({error}); expected a condition that holds for the rows that break the rule. SQL is polars' "
            f"dialect; of polars: {', '.join((*_FUNCTIONS, *sorted(_METHODS)))}, constants, comparisons, * & | ~."
        ) from error
    if not isinstance(found, pl.Expr):
        raise ContractFileError(
            f"{where}, rule {rule.name}: found {rule.violation!r}, which is no expression over columns."
        )
    return found


def _value(node: ast.expr) -> Any:
    """The value of a part of the text; ValueError for anything outside the listed calls and operators."""
    match node:
        case ast.Constant():
            return node.value
        case ast.Name() if node.id in _FUNCTIONS:
            return _FUNCTIONS[node.id]
        case ast.Attribute() if node.attr in _METHODS:
            return getattr(_value(node.value), node.attr)
        case ast.Call(keywords=[]):
            return _value(node.func)(*(_value(argument) for argument in node.args))
        case ast.BinOp() if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
        case ast.UnaryOp() if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](_value(node.operand))
        case ast.Compare(ops=[sign], comparators=[right]) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(node.left), _value(right))
    raise ValueError(f"{ast.unparse(node)} is not understood")
