import pytest

from geo_pipeline.pretraining.folder import replace_folder


def test_the_new_folder_takes_the_place_of_the_old(tmp_path):
    out = tmp_path / "weights"
    out.mkdir()
    (out / "old.txt").write_text("old")
    with replace_folder(out) as draft:
        (draft / "new.txt").write_text("new")
        (draft / "new.txt").chmod(0o600)
        assert (out / "old.txt").exists()
    assert [path.name for path in out.iterdir()] == ["new.txt"]
    assert (out / "new.txt").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def _write_half(out):
    with replace_folder(out) as draft:
        (draft / "half.txt").write_text(str(1 // 0))


def test_an_error_leaves_the_old_folder_and_no_rubbish(tmp_path):
    out = tmp_path / "weights"
    out.mkdir()
    (out / "old.txt").write_text("old")
    with pytest.raises(ZeroDivisionError):
        _write_half(out)
    assert [path.name for path in out.iterdir()] == ["old.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
