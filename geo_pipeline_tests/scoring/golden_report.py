"""Writes `golden_report.md` anew (`python -m geo_pipeline_tests.scoring.golden_report`); read the difference."""

from pathlib import Path

from geo_pipeline.scoring.report_content import report_blocks
from geo_pipeline.scoring.report_markdown import markdown
from geo_pipeline_tests.scoring.drawn_report import drawn_inputs


def main() -> None:
    """Write the report of the drawn inputs and keep its Markdown."""
    (Path(__file__).parent / "golden_report.md").write_text(markdown(report_blocks(drawn_inputs())))


if __name__ == "__main__":
    main()
