"""Writes a report: `report.md`, a self-contained `index.html` and the figures; same inputs, same bytes, no time stamps.

What goes in is described in `report_inputs`, what is said in `report_content`.
"""

import os
from pathlib import Path

from geo_pipeline.scoring.report_content import FigureBlock, report_blocks
from geo_pipeline.scoring.report_html import html_page
from geo_pipeline.scoring.report_inputs import ReportInputs, ReportPaths
from geo_pipeline.scoring.report_markdown import markdown


def write_report(inputs: ReportInputs, out_dir: Path) -> ReportPaths:
    """Write the report into `out_dir` (made when absent) and return where its files lie.

    Every file is written beside and renamed. Figures of an earlier report that are no longer drawn are removed.
    Raises ReportError when the inputs make no report.
    """
    blocks = report_blocks(inputs)
    figures = [block for block in blocks if isinstance(block, FigureBlock)]
    folder = out_dir / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"{figure.name}.png" for figure in figures)
    drawings = {figure.name: figure.draw() for figure in figures}
    for path, drawing in zip(paths, drawings.values(), strict=True):
        _write(path, drawing)
    for stale in set(folder.glob("*.png")) - set(paths):
        stale.unlink()
    _write(out_dir / "report.md", markdown(blocks).encode())
    _write(out_dir / "index.html", html_page(blocks, drawings).encode())
    return ReportPaths(markdown=out_dir / "report.md", html=out_dir / "index.html", figures=paths)


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(data)
    beside.replace(path)
