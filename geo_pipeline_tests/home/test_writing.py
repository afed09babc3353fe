import pytest

from geo_pipeline.home.writing import beside, write_whole


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    place = tmp_path / "note.json"
    write_whole(place, "first")
    write_whole(place, "later")
    assert place.read_text() == "later"
    assert list(tmp_path.iterdir()) == [place]


def test_an_error_leaves_the_earlier_file_and_no_part(tmp_path):
    place = tmp_path / "note.json"
    write_whole(place, "first")

    def cut_short():
        with beside(place) as part:
            part.write_text("half of the lat")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cut_short()
    assert place.read_text() == "first"
    assert list(tmp_path.iterdir()) == [place]


def test_a_part_is_hidden_and_named_for_its_process_so_that_a_killed_one_is_known(tmp_path):
    with beside(tmp_path / "note.json") as part:
        assert part.name.startswith(".note.json.")
        assert part.suffix == ".part"
        assert part.parent == tmp_path
