import re
from xml.etree import ElementTree

import pytest

from geo_pipeline.training.curve_page import DRAWN_POINTS, Captions, CurvePage, curve_page
from geo_pipeline.training.curves import CurveRow, curve_table

NET = Captions("the network")
SVG = "{*}body/{*}main/{*}svg"


def curves(steps_of_epoch, epochs, holdout=True):
    """Losses that fall; the held-out loss is lowest in the middle epoch."""
    rows, step = [], 0
    for epoch in range(epochs):
        for _ in range(steps_of_epoch):
            step += 1
            rows.append(CurveRow(step, epoch, 0.0, 20 / (1 + step), 1e-4 * 0.5**epoch))
        if holdout:
            loss = 3 + (epoch - epochs // 2) ** 2
            rows.append(CurveRow(step, epoch, 1.0, loss, 1e-4, 0.1 * epoch))
    return curve_table(rows)


def drawn(page):
    """The page's picture; a page that is not well-formed fails here."""
    return ElementTree.fromstring(page).find(SVG)


def lines(picture, kind):
    return [line.get("points").split() for line in picture.iter("polyline") if line.get("class") == kind]


def test_every_point_of_the_curves_is_drawn():
    picture = drawn(curve_page(curves(7, 5), NET))
    (train,) = lines(picture, "train")
    assert len(train) == 35
    assert [len(line) for line in lines(picture, "holdout")] == [5, 5]
    told = [circle.find("title").text for circle in picture.iter("circle")]
    assert told[:5] == ["step 7: 7", "step 14: 4", "step 21: 3", "step 28: 4", "step 35: 7"]
    assert told[5:] == ["step 7: 0", "step 14: 10", "step 21: 20", "step 28: 30", "step 35: 40"]
    best = [circle.find("title").text for circle in picture.iter("circle") if "best" in circle.get("class")]
    assert best == ["step 21: 3", "step 21: 20"]
    across, down = zip(*(map(float, point.split(",")) for point in train), strict=True)
    assert list(across) == sorted(across)
    assert list(down) == sorted(down), "a falling loss goes down the page"


def test_all_that_is_drawn_lies_on_the_picture():
    picture = drawn(curve_page(curves(3, 8), NET))
    _, _, width, height = map(float, picture.get("viewBox").split())
    for line in picture.iter("polyline"):
        for x, y in (map(float, point.split(",")) for point in line.get("points").split()):
            assert 0 < x < width
            assert 0 < y < height


def test_axes_and_curves_have_names_and_ticks():
    words = [text for text in drawn(curve_page(curves(50, 4), NET)).itertext() if text.strip()]
    for expected in ("Loss", "Mean accuracy, held out", "Learning rate", "optimiser steps", "training batches"):
        assert expected in words
    assert {"50", "100", "150", "200", "1 × 10⁻⁴", "5 × 10⁻⁵"} <= set(words)


def test_the_sentence_says_which_epoch_was_kept():
    assert "40 steps in 4 epochs" in curve_page(curves(10, 4), NET)
    assert "the model of epoch 3 (filled dot) was kept" in curve_page(curves(10, 4), NET)


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (6, 3)])
def test_without_held_out_images_it_says_so(steps, epochs):
    page = curve_page(curves(steps, epochs, holdout=False), NET)
    picture = drawn(page)
    assert len(lines(picture, "train")[0]) == steps * epochs
    assert lines(picture, "holdout") == list(picture.iter("circle")) == []
    assert page.count("no held-out images") == 2


def test_a_long_training_is_drawn_as_means():
    page = curve_page(curves(3 * DRAWN_POINTS, 2), NET)
    assert len(lines(drawn(page), "train")[0]) == DRAWN_POINTS
    assert "training batches, mean of 6" in page


def test_the_page_needs_no_other_file_and_is_the_same_each_time(tmp_path):
    for folder in ("once", "again"):
        CurvePage(tmp_path / folder / "curves.html", NET).end(curves(3, 4))
    once, again = ((tmp_path / folder / "curves.html").read_bytes() for folder in ("once", "again"))
    assert once == again
    assert not re.search(rb"https?:|src=|<script|@import|url\(", once)


def test_captions_name_the_training_its_metric_and_the_epoch_that_was_kept():
    captions = Captions("the router", "cross-entropy", "Nearer paradigm chosen, held out", "%", keeps_best=False)
    page = curve_page(curves(10, 4), captions)
    assert "<title>Training of the router</title>" in page
    assert "the model of epoch 4 (filled dot) was kept" in page
    words = list(drawn(page).itertext())
    assert {"cross-entropy", "Nearer paradigm chosen, held out"} <= set(words)
    assert "stopped on its own loss" not in curve_page(curves(2, 2, holdout=False), captions)


def test_a_training_without_a_step_says_that_there_was_nothing_to_train():
    page = curve_page(curve_table([]), NET)
    assert drawn(page) is None
    assert "It has no weights to train" in page
