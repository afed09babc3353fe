"""Blocks of a page as Markdown; figures are links to files beside it. Words belong in the content of each report."""

from collections.abc import Sequence

from geo_pipeline.scoring.report.blocks import Block, Facts, FigureBlock, Heading, PageLink, Paragraph, TableBlock
from geo_pipeline.scoring.report.text_table import TextTable


def markdown(title: str, blocks: Sequence[Block]) -> str:
    """One page as Markdown text that ends in a line break."""
    return "\n\n".join([f"# {_words(title)}", *(_block(block) for block in blocks)]) + "\n"


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
        case PageLink(title, text, page):
            return f"## {_words(title)}\n\n{_words(text)}\n\n[{page}.md]({page}.md), [{page}.html]({page}.html)"


def markdown_table(table: TextTable) -> str:
    """A pipe table; numbers are set to the right, stressed cells and the names of marked rows are bold."""
    bold = table.emphasis | {(row, 0) for row in table.marked}
    lines = [
        "| " + " | ".join(_cell(name) for name in table.full_titles()) + " |",
        "|" + "|".join(":---" if at in table.left else "---:" for at in range(len(table.columns))) + "|",
    ]
    for row, cells in enumerate(table.rows):
        shown = [f"**{_cell(c)}**" if (row, at) in bold else _cell(c) for at, c in enumerate(cells)]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _words(text: str) -> str:
    """Names may hold underscores, stars or brackets that Markdown would read as marks."""
    for mark in "\\`*_[]<":
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", " ")


def _cell(text: str) -> str:
    return _words(text).replace("|", "\\|")
