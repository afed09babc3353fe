"""Writes the main report: `report.md`, a self-contained `index.html`, the figures, a page of examples, all settings.

Same inputs, same bytes, no time stamps. What goes in is described in `inputs`, what is written in `benchmark`;
`write_page` serves the other reports as well.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from geo_pipeline.scoring.report.benchmark import TITLE, report_blocks
from geo_pipeline.scoring.report.blocks import Block, FigureBlock
from geo_pipeline.scoring.report.example_page import PAGE, PAGE_TITLE, example_blocks
from geo_pipeline.scoring.report.html import html_page
from geo_pipeline.scoring.report.inputs import ReportInputs, ReportPaths
from geo_pipeline.scoring.report.markdown import markdown
from geo_pipeline.scoring.report.protocol import SETTINGS


def write_report(inputs: ReportInputs, out_dir: Path) -> ReportPaths:
    """Write the report into `out_dir` (made when absent) and return where its files lie.

    Every file is written beside and renamed. Figures and pages of an earlier report that are no longer drawn are
    removed. Raises ReportError when the inputs make no report.
    """
    blocks = report_blocks(inputs)
    examples = example_blocks(inputs) if inputs.examples else []
    figures = write_page(out_dir, TITLE, blocks, "report", "index")
    page = out_dir / f"{PAGE}.html"
    if examples:
        figures += write_page(out_dir, PAGE_TITLE, examples, PAGE, PAGE, back=(TITLE, "index.html"))
    else:
        page.unlink(missing_ok=True)
        page.with_suffix(".md").unlink(missing_ok=True)
    remove_other_figures(out_dir, figures)
    write_settings(out_dir, inputs.context.settings)
    return ReportPaths(out_dir / "report.md", out_dir / "index.html", figures, page if examples else None)


def write_page(
    out_dir: Path,
    title: str,
    blocks: Sequence[Block],
    markdown_name: str,
    html_name: str,
    back: tuple[str, str] | None = None,
) -> tuple[Path, ...]:
    """Write one page as Markdown, as HTML and as the figures of the Markdown; returns where the figures lie.

    back: title and file of the page that this one belongs to.
    """
    folder = out_dir / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    drawings = {figure.name: figure.draw() for figure in blocks if isinstance(figure, FigureBlock)}
    paths = tuple(folder / f"{name}.png" for name in drawings)
    for path, drawing in zip(paths, drawings.values(), strict=True):
        _write(path, drawing)
    _write(out_dir / f"{markdown_name}.md", markdown(title, blocks).encode())
    _write(out_dir / f"{html_name}.html", html_page(title, blocks, drawings, back).encode())
    return paths


def remove_other_figures(out_dir: Path, figures: Sequence[Path]) -> None:
    """Remove the figures of an earlier report that are not among those just written."""
    for stale in set((out_dir / "figures").glob("*.png")) - set(figures):
        stale.unlink()


def write_settings(out_dir: Path, settings: str) -> None:
    """Write the settings of the run beside its pages; without any, remove those of an earlier report."""
    if settings:
        _write(out_dir / SETTINGS, settings.encode())
    else:
        (out_dir / SETTINGS).unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(data)
    beside.replace(path)
