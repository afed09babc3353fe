import re
import shutil
import subprocess

import pytest

from geo_pipeline.scoring.report import write_report
from geo_pipeline_tests.scoring.drawn_report import published_inputs

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
def report(tmp_path_factory):
    return write_report(published_inputs(), tmp_path_factory.mktemp("report"))


@pytest.mark.parametrize("width", [520, 1200])
def test_the_page_fits_its_window_and_shows_its_figures(report, width):
    page = report.html.with_name(f"measured_{width}.html")
    page.write_text(report.html.read_text().replace("</head>", MEASURE))
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
    assert images == len(report.figures)
