"""Writes the golden texts anew (`python -m geo_pipeline_tests.scoring.report.golden_report`); read the difference."""

from pathlib import Path

from geo_pipeline.scoring.report import benchmark, comparison, example_page
from geo_pipeline.scoring.report.markdown import markdown
from geo_pipeline_tests.scoring.report.drawn_comparison import drawn_comparison
from geo_pipeline_tests.scoring.report.drawn_report import drawn_inputs

FOLDER = Path(__file__).parent


def golden_texts() -> dict[str, str]:
    """The text of each file, made from the drawn inputs."""
    inputs = drawn_inputs()
    return {
        "golden_report.md": markdown(benchmark.TITLE, benchmark.report_blocks(inputs)),
        "golden_examples.md": markdown(example_page.PAGE_TITLE, example_page.example_blocks(inputs)),
        "golden_comparison.md": markdown(comparison.TITLE, comparison.comparison_blocks(drawn_comparison())),
    }


def main() -> None:
    """Write them all."""
    for name, text in golden_texts().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
