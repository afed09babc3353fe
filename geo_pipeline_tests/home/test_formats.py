import json

import pyarrow as pa

from geo_pipeline.home import halves
from geo_pipeline.home.home import FORMAT
from geo_pipeline_tests.home.golden_formats import GOLDEN, SIZES, found, sizes, stored

ADVICE = (
    "what a home stores has other bytes: raise home.home.FORMAT (everything is then made again), "
    "and run python -m geo_pipeline_tests.home.golden_formats"
)


def test_the_bytes_of_a_format_change_only_with_its_number(tmp_path):
    golden = json.loads(GOLDEN.read_text())[str(FORMAT)]
    files = found(stored(tmp_path))
    assert {name: each["layout"] for name, each in files.items()} == {
        name: each["layout"] for name, each in golden["files"].items()
    }, ADVICE
    assert sizes() == golden["sizes"], ADVICE
    if golden["pyarrow"] == pa.__version__:  # another one signs its files otherwise
        assert files == golden["files"], ADVICE


def test_the_same_things_are_stored_in_the_same_bytes(tmp_path):
    assert found(stored(tmp_path / "one")) == found(stored(tmp_path / "two"))


def test_every_size_of_the_layout_is_looked_at():
    numbers = {name for name, value in vars(halves).items() if name.isupper() and isinstance(value, int | str)}
    assert {name for name in numbers if not name.startswith("_")} == set(SIZES)
