"""Blocks of a report as one HTML page that needs no other file: styles inline, figures embedded.

Words belong in `report_content`.
"""

import base64
from collections.abc import Mapping, Sequence
from html import escape

from geo_pipeline.scoring.report_content import TITLE, Block, Facts, FigureBlock, Heading, Paragraph, TableBlock
from geo_pipeline.scoring.report_tables import TextTable

STYLE = """
:root { --ink: #1f2933; --soft: #52606d; --line: #e4e7eb; --tint: #f5f7fa; --accent: #0b69a3; }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0; color: var(--ink); background: #fff; font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 3rem 1.5rem 5rem; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 0.75rem; }
h2 { font-size: 1.35rem; line-height: 1.25; margin: 3.25rem 0 0.75rem; padding-top: 1.1rem;
  border-top: 1px solid var(--line); }
p { max-width: 46rem; margin: 0.6rem 0; }
.lead { font-size: 1.1rem; color: var(--soft); margin-bottom: 1.25rem; }
nav { display: flex; flex-wrap: wrap; gap: 0.35rem 1.1rem; font-size: 0.92rem; padding: 0.6rem 0; }
nav a { color: var(--accent); text-decoration: none; }
nav a:hover { text-decoration: underline; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.38rem 0.5rem; text-align: right; vertical-align: baseline; }
th:first-child, td:first-child { padding-left: 0; }
td { white-space: nowrap; }
th.words, td.words { text-align: left; }
td.wraps { white-space: normal; }
thead th { color: var(--soft); font-weight: 600; min-width: 3.9rem; max-width: 11rem;
  border-bottom: 1.5px solid var(--ink); vertical-align: bottom; }
tbody tr + tr td { border-top: 1px solid var(--line); }
tbody tr:hover td { background: var(--tint); }
.range { color: var(--soft); font-size: 0.92em; }
figure { margin: 1.5rem 0 1.9rem; }
figure img { display: block; width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: 0.92rem; margin: 0.35rem 0; max-width: 46rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.3rem 1.5rem; font-size: 0.95rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 0.5rem; } }
@media print {
  @page { margin: 16mm; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  nav { display: none; }
  h2, figcaption { break-after: avoid; }
  figure:has(img), tr { break-inside: avoid; }
  .scroll { overflow: visible; }
  table { font-size: 8pt; }
  th, td { padding: 0.2rem 0.3rem; }
}
""".strip()


def html_page(blocks: Sequence[Block], drawings: Mapping[str, bytes]) -> str:
    """The whole report as one HTML text. drawings: the PNG bytes of every figure by its name."""
    headings = [block for block in blocks if isinstance(block, Heading) and block.level == 2]
    links = "\n".join(f'<a href="#{escape(h.anchor)}">{escape(h.text)}</a>' for h in headings)
    leads = [block for block in blocks if isinstance(block, Paragraph) and block.lead]
    rest = [block for block in blocks if block not in leads]
    contents = f'<nav aria-label="Contents">\n{links}\n</nav>'
    above, below = ([_block(block, drawings) for block in part] for part in (leads, rest))
    body = "\n".join([*above, contents, *below])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<main>\n<h1>{TITLE}</h1>\n"
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _block(block: Block, drawings: Mapping[str, bytes]) -> str:
    match block:
        case Heading(level, text, anchor):
            return f'<h{level} id="{escape(anchor)}">{escape(text)}</h{level}>'
        case Paragraph(text, lead):
            return f'<p class="lead">{escape(text)}</p>' if lead else f"<p>{escape(text)}</p>"
        case Facts(pairs):
            items = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
            return f"<dl>\n{items}\n</dl>"
        case TableBlock(caption, table):
            return html_table(table, caption)
        case FigureBlock(name, caption, alt, _):
            data = base64.b64encode(drawings[name]).decode("ascii")
            image = f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'
            return f"<figure>\n{image}\n<figcaption>{escape(caption)}</figcaption>\n</figure>"


def html_table(table: TextTable, caption: str) -> str:
    """A table with its caption; what stands in brackets (an interval, a count) is set softer."""
    head = "".join(
        f'<th scope="col"{_kind(table, at, name)}>{escape(name)}</th>' for at, name in enumerate(table.columns)
    )
    rows = []
    for row, cells in enumerate(table.rows):
        shown = [
            f"<td{_kind(table, at, cell)}>{_cell(cell, stressed=(row, at) in table.emphasis)}</td>"
            for at, cell in enumerate(cells)
        ]
        rows.append(f"<tr>{''.join(shown)}</tr>")
    body = "\n".join(rows)
    return (
        f'<figure>\n<figcaption>{escape(caption)}</figcaption>\n<div class="scroll">\n<table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>\n</figure>"
    )


def _kind(table: TextTable, column: int, text: str) -> str:
    if column not in table.left:
        return ""
    return ' class="words wraps"' if len(text) > 32 else ' class="words"'


def _cell(text: str, stressed: bool) -> str:
    value, opening, rest = text.partition(" (")
    range_ = f' <span class="range">({escape(rest)}</span>' if opening else ""
    return (f"<strong>{escape(value)}</strong>" if stressed else escape(value)) + range_
