"""Blocks of a report as Markdown; figures are links to files beside it. Words belong in `report_content`."""

from collections.abc import Sequence

from geo_pipeline.scoring.report_content import TITLE, Block, Facts, FigureBlock, Heading, Paragraph, TableBlock
from geo_pipeline.scoring.report_tables import TextTable


def markdown(blocks: Sequence[Block]) -> str:
    """The whole report as one Markdown text that ends in a line break."""
    return "\n\n".join([f"# {TITLE}", *(_block(block) for block in blocks)]) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading(level, text, _):
            return f"{'#' * level} {_words(text)}"
        case Paragraph(text, lead):
            return f"> {_words(text)}" if lead else _words(text)
        case Facts(pairs):
            return "\n".join(f"- **{_words(name)}**: {_words(value)}" for name, value in pairs)
        case TableBlock(caption, table):
            return f"{_words(caption)}\n\n{markdown_table(table)}"
        case FigureBlock(name, caption, alt, _):
            return f"![{_words(alt)}](figures/{name}.png)\n\n*{_words(caption)}*"


def markdown_table(table: TextTable) -> str:
    """A pipe table; numbers are set to the right, stressed cells are bold."""
    lines = [
        "| " + " | ".join(_cell(name) for name in table.columns) + " |",
        "|" + "|".join(":---" if at in table.left else "---:" for at in range(len(table.columns))) + "|",
    ]
    for row, cells in enumerate(table.rows):
        shown = [f"**{_cell(c)}**" if (row, at) in table.emphasis else _cell(c) for at, c in enumerate(cells)]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _words(text: str) -> str:
    """Names may hold underscores, stars or brackets that Markdown would read as marks."""
    for mark in "\\`*_[]<":
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", " ")


def _cell(text: str) -> str:
    return _words(text).replace("|", "\\|")
