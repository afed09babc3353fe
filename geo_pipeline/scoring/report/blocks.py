"""What the pages of a report are made of, without Markdown or HTML.

Words and order belong in the content of each report, spelling in `markdown` and `html`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from geo_pipeline.scoring.report.text_table import TextTable


@dataclass(frozen=True)
class Heading:
    """A section (level 2) or a part of one (level 3). `anchor` is unique in the report."""

    level: int
    text: str
    anchor: str


@dataclass(frozen=True)
class Paragraph:
    """Plain text; `lead` marks the statement at the top."""

    text: str
    lead: bool = False


@dataclass(frozen=True)
class Facts:
    """Pairs of a name and its value."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TableBlock:
    """A table under its caption."""

    caption: str
    table: TextTable


@dataclass(frozen=True)
class FigureBlock:
    """A drawing; `name` becomes its file name, `alt` says in words what it shows, `draw` gives its PNG bytes."""

    name: str
    caption: str
    alt: str
    draw: Callable[[], bytes]


@dataclass(frozen=True)
class PageLink:
    """A section that stands on a page of its own: `<page>.html` and `<page>.md` beside this one."""

    title: str
    text: str
    page: str


Block = Heading | Paragraph | Facts | TableBlock | FigureBlock | PageLink
