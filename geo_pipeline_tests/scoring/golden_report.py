"""Writes the golden texts anew (`python -m geo_pipeline_tests.scoring.golden_report`); read the difference."""

from pathlib import Path

from geo_pipeline.scoring import comparison, example_page, report_content
from geo_pipeline.scoring.report_markdown import markdown
from geo_pipeline_tests.scoring.drawn_comparison import drawn_comparison
from geo_pipeline_tests.scoring.drawn_report import drawn_inputs

FOLDER = Path(__file__).parent


def golden_texts() -> dict[str, str]:
    """The text of each file, made from the drawn inputs."""
    inputs = drawn_inputs()
    return {
        "golden_report.md": markdown(report_content.TITLE, report_content.report_blocks(inputs)),
        "golden_examples.md": markdown(example_page.PAGE_TITLE, example_page.example_blocks(inputs)),
        "golden_comparison.md": markdown(comparison.TITLE, comparison.comparison_blocks(drawn_comparison())),
    }


def main() -> None:
    """Write them all."""
    for name, text in golden_texts().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
