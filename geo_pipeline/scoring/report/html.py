"""Blocks as one HTML page that needs no other file: styles inline, figures embedded.

Words belong in the content of each report.
"""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate

from geo_pipeline.scoring.report.blocks import Block, Facts, FigureBlock, Heading, PageLink, Paragraph, TableBlock
from geo_pipeline.scoring.report.text_table import TextTable

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
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.38rem 0.5rem; text-align: right; vertical-align: baseline; }
th:first-child, td:first-child { padding-left: 0; }
td { white-space: nowrap; }
th.words, td.words { text-align: left; }
td.wraps { white-space: normal; }
thead th { color: var(--soft); font-weight: 600; min-width: 3.9rem; max-width: 11rem;
  border-bottom: 1.5px solid var(--ink); vertical-align: bottom; }
thead tr.groups th { text-align: center; max-width: none; color: var(--ink); border-bottom: 1px solid var(--line); }
.stacked th, .stacked td { padding-left: 0.4rem; padding-right: 0.4rem; }
.stacked th:first-child, .stacked td:first-child { padding-left: 0; }
.stacked thead th { min-width: 0; }
.stacked thead th:not(:first-child) { white-space: nowrap; }
.stacked .range { display: block; font-size: 0.85em; white-space: nowrap; }
.stacked .opens { padding-left: 1.6rem; }
.stacked td.wraps { min-width: 15rem; }
tbody tr.marked td { background: #eaf4fb; }
tbody tr.marked td:first-child { box-shadow: -0.5rem 0 #eaf4fb; }
h3 { font-size: 1.08rem; margin: 2rem 0 0.5rem; }
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


def html_page(
    title: str, blocks: Sequence[Block], drawings: Mapping[str, bytes], back: tuple[str, str] | None = None
) -> str:
    """One page as one HTML text.

    drawings: the PNG bytes of every figure by its name. back: title and file of the page that this one belongs to.
    """
    links = [f'<a href="{escape(back[1])}">← {escape(back[0])}</a>'] if back else []
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            links.append(f'<a href="#{escape(block.anchor)}">{escape(block.text)}</a>')
        elif isinstance(block, PageLink):
            links.append(f'<a href="{escape(block.page)}.html">{escape(block.title)}</a>')
    leads = [block for block in blocks if isinstance(block, Paragraph) and block.lead]
    rest = [block for block in blocks if block not in leads]
    contents = '<nav aria-label="Contents">\n' + "\n".join(links) + "\n</nav>"
    above, below = ([_block(block, drawings) for block in part] for part in (leads, rest))
    body = "\n".join([*above, contents, *below])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
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
        case PageLink(title, text, page):
            link = f'<a href="{escape(page)}.html">Open this page</a>'
            return f"<h2>{escape(title)}</h2>\n<p>{escape(text)}</p>\n<p>{link}</p>"


def html_table(table: TextTable, caption: str) -> str:
    """A table with its caption; what stands in brackets behind a number (an interval, a count) is set softer."""
    head = "".join(
        f'<th scope="col"{_kind(table, at, name)}>{escape(name)}</th>' for at, name in enumerate(table.columns)
    )
    groups = "".join(
        f'<th scope="colgroup" colspan="{width}">{escape(title)}</th>' if title else f'<td colspan="{width}"></td>'
        for title, width in table.groups
    )
    start = '<table class="stacked">' if table.dense else "<table>"
    above = f'<tr class="groups">{groups}</tr>\n' if groups else ""
    stressed = table.emphasis | {(row, 0) for row in table.marked}
    rows = []
    for row, cells in enumerate(table.rows):
        shown = [
            f"<td{_kind(table, at, cell)}>{_cell(cell, (row, at) in stressed, at in table.left)}</td>"
            for at, cell in enumerate(cells)
        ]
        opening = '<tr class="marked">' if row in table.marked else "<tr>"
        rows.append(f"{opening}{''.join(shown)}</tr>")
    body = "\n".join(rows)
    return (
        f'<figure>\n<figcaption>{escape(caption)}</figcaption>\n<div class="scroll">\n{start}\n'
        f"<thead>{above}<tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>\n</figure>"
    )


def _kind(table: TextTable, column: int, text: str) -> str:
    """The class of a cell: words, words that wrap, the first column of a group other than the first group."""
    kinds = []
    if column in table.left:
        kinds += ["words", "wraps"] if len(text) > 32 else ["words"]
    if column in accumulate(width for _, width in table.groups):
        kinds.append("opens")
    return f' class="{" ".join(kinds)}"' if kinds else ""


def _cell(text: str, stressed: bool, words: bool) -> str:
    value, opening, rest = (text, "", "") if words else text.partition(" (")
    range_ = f' <span class="range">({escape(rest)}</span>' if opening else ""
    return (f"<strong>{escape(value)}</strong>" if stressed else escape(value)) + range_
