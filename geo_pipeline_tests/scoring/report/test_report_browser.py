import re
import shutil
import subprocess

import pytest

from geo_pipeline.scoring.report.comparison import write_comparison
from geo_pipeline.scoring.report.pages import write_report
from geo_pipeline_tests.scoring.report.drawn_comparison import drawn_comparison
from geo_pipeline_tests.scoring.report.drawn_report import published_inputs

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
MEASURE = """<script>addEventListener("load", () => {
  const images = [...document.images].filter(image => image.naturalWidth > 0).length;
  document.title = `wide ${document.documentElement.scrollWidth} of ${innerWidth}, images ${images}`;
});</script></head>"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    report = write_report(published_inputs(), tmp_path_factory.mktemp("report"))
    compared = write_comparison(drawn_comparison(published=True), tmp_path_factory.mktemp("comparison"))
    return {"report": report.html, "examples": report.examples, "comparison": compared.html}


@pytest.mark.parametrize("width", [520, 1200])
@pytest.mark.parametrize(("name", "figures"), [("report", 6), ("examples", 8), ("comparison", 0)])
def test_the_page_fits_its_window_and_shows_its_figures(pages, name, figures, width):
    page = pages[name].with_name(f"measured_{name}_{width}.html")
    page.write_text(pages[name].read_text().replace("</head>", MEASURE))
    command = [
        CHROMIUM,
        *FLAGS,
        f"--window-size={width},900",
        "--virtual-time-budget=5000",
        "--dump-dom",
        page.as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"<title>wide (\d+) of (\d+), images (\d+)</title>", dom)
    assert found, dom[:300]
    wide, window, images = map(int, found.groups())
    assert wide <= window
    assert images == figures
