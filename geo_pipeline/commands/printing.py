"""How commands print: words of users as they are, and values as JSON that every reader takes (RFC 8259).

What is printed belongs to each command.
"""

import json
import math
from typing import Any

from rich.console import Console


def console() -> Console:
    """A terminal that takes nothing in a text for markup: names of files and cells of tables hold brackets and colons.

    Colours are given as styles or as `rich.text.Text`.
    """
    return Console(markup=False, emoji=False, highlight=False)


def json_text(value: Any) -> str:
    """A value as JSON: NaN and infinities are null, what JSON has no form for (dates, bytes) is its text."""
    return json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False, default=str)


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(name): _finite(each) for name, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
    return value
