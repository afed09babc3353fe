from dataclasses import dataclass

import pytest

from geo_pipeline.orchestration.artifacts import digest
from geo_pipeline.orchestration.code_versions import code_version, meaning


@dataclass(frozen=True)
class Settings:
    model: str
    rate: float = 0.1


def test_words_and_layout_have_no_meaning_and_code_has():
    plain = "def f(x):\n    return x + 1\n"
    told = '"""A module."""\n\n\ndef f(x):\n    """Adds."""\n    # one more\n    return (x +\n            1)\n'
    assert meaning(plain) == meaning(told)
    assert meaning(plain) != meaning(plain.replace("1", "2"))


def test_a_code_version_follows_rooms_and_settings():
    first = code_version(("earth.distance",), Settings("m"))
    assert first == code_version(("earth.distance",), Settings("m"))
    assert first != code_version(("earth.distance",), Settings("m", 0.2))
    assert first != code_version(("earth.distance", "earth.cells"), Settings("m"))
    with pytest.raises(FileNotFoundError, match=r"geo_pipeline\.earth\.nosuch"):
        code_version(("earth.nosuch",), None)


def test_weights_count_by_content_and_not_by_place(tmp_path):
    for name, text in (("one", "a"), ("two", "a"), ("three", "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text(text)
    one, two, three = (digest(Settings(str(tmp_path / name))) for name in ("one", "two", "three"))
    assert one == two != three
    assert digest(Settings(f"local-dir:{tmp_path / 'one'}")) == one


def test_a_value_without_a_stable_text_is_refused():
    with pytest.raises(TypeError, match="object"):
        digest({"x": object()})
