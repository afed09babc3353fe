"""How commands print: words of users as they are, and values as JSON that every reader takes (RFC 8259).

What is printed belongs to each command.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class _Terminal(Console):
    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(shown(text), **options)


def console() -> Console:
    """A terminal that takes nothing in a text for markup: names of files and cells of tables hold brackets and colons.

    Colours are given as styles or as `rich.text.Text`.
    """
    return _Terminal(markup=False, emoji=False, highlight=False)


def nothing_run(home: Path) -> str:
    """What is said of a home that no run has begun."""
    return f"nothing was run in {home} yet: `geo-pipeline run --home {home}` fills it"


def shown(text: str) -> str:
    """A text for a terminal: characters that would command it (colours, its title, its cursor) are shown as numbers."""
    return _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


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
