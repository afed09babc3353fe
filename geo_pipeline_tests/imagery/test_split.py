"""No author and no place on two sides."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.imagery.split import SplitConfig, SplitError, assign_sets, author_key

BOTH = SplitConfig(holdout=0.1, router_queries=0.15, benchmark=0.25, by=("author", "place"))


def side(name):
    return "pool" if name in ("train", "holdout") else name


def sides(keys, sets):
    found = defaultdict(set)
    for key, name in zip(keys, sets, strict=True):
        if key is not None:
            found[key].add(side(name))
    return found


def split(authors, places, config=BOTH, given_sets=None):
    return assign_sets(authors, places, given_sets or [None] * len(authors), config)


people = st.one_of(st.none(), st.integers(0, 40).map(lambda n: f"author {n}"))
photographs = st.lists(st.tuples(people, st.integers(0, 60).map(lambda n: f"{n:06x}")), min_size=1, max_size=120)


@settings(max_examples=60, deadline=None)
@given(photographs)
def test_no_author_and_no_place_stands_on_two_sides(rows):
    authors, places = [row[0] for row in rows], [row[1] for row in rows]
    try:
        sets = split(authors, places)
    except SplitError:
        return
    assert max(len(found) for found in sides(places, sets).values()) == 1
    assert all(len(found) == 1 for found in sides(authors, sets).values())
    assert {side(name) for name in sets} == {"pool", "photos", "router_queries"}


@settings(max_examples=30, deadline=None)
@given(photographs, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows, random):
    authors, places = [row[0] for row in rows], [row[1] for row in rows]
    order = list(range(len(rows)))
    random.shuffle(order)
    try:
        sets = split(authors, places)
    except SplitError:
        return
    again = split([authors[i] for i in order], [places[i] for i in order])
    assert again == [sets[i] for i in order]


def test_many_small_groups_give_the_shares_that_were_asked_for():
    authors = [f"author {n // 4}" for n in range(4000)]
    places = [f"{n // 4:06x}" for n in range(4000)]
    counts = Counter(split(authors, places))
    assert counts["photos"] == 1000
    assert counts["router_queries"] == 600
    assert counts["holdout"] == 240
    by_author = Counter(split(authors, places, SplitConfig(holdout=0.01, router_queries=0.025)))
    assert by_author == {"train": 3861, "holdout": 39, "router_queries": 100} or by_author["router_queries"] == 100


def test_a_giant_component_stays_in_training():
    authors = ["giant"] * 60 + [f"author {n}" for n in range(40)]
    places = [f"{n:06x}" for n in range(100)]
    sets = split(authors, places)
    assert {side(name) for name in sets[:60]} == {"pool"}
    assert Counter(map(side, sets)) == {"pool": 60, "photos": 25, "router_queries": 15}


def test_an_author_joins_places_and_a_place_joins_authors():
    authors = ["a", "a", "b", "b", "c", None, "d", "e", "f", "g"]
    places = ["01", "02", "02", "03", "03", "03", "04", "05", "06", "07"]
    sets = split(authors, places)
    assert len({side(name) for name in sets[:6]}) == 1


def test_without_places_an_unknown_author_falls_back_to_the_place():
    authors = ["a", "a", None, None, " Unknown ", "b", "c", "d", "e", "f"]
    places = ["01", "02", "03", "03", "03", "03", "04", "05", "06", "07"]
    for share in (0.2, 0.3, 0.4):
        config = SplitConfig(holdout=0.0, router_queries=share, by=("author",))
        sets = split(authors, places, config)
        assert len(set(sets[2:5])) == 1
        assert sets[0] == sets[1]


def test_one_spelling_for_one_author():
    assert author_key("Krzysztof  Golik ") == author_key("krzysztof golik")
    assert author_key("") is author_key(None) is author_key("N/A") is None


def test_sets_that_the_source_names_are_kept_and_do_not_count():
    authors = [f"author {n}" for n in range(20)] + ["author 3"] * 30
    places = [f"{n:06x}" for n in range(50)]
    given_sets = [None] * 20 + ["planet_mixed"] * 30
    sets = split(authors, places, SplitConfig(holdout=0.0, router_queries=0.25), given_sets)
    assert sets[20:] == given_sets[20:]
    assert Counter(sets[:20]) == {"train": 15, "router_queries": 5}


def test_a_dozen_photographs_fill_every_set():
    counts = Counter(split([None] * 12, [f"{n:06x}" for n in range(12)]))
    assert counts == {"train": 6, "holdout": 1, "router_queries": 2, "photos": 3}


def test_one_photograph_more_moves_few_others():
    authors = [f"author {n}" for n in range(300)]
    places = [f"{n:06x}" for n in range(300)]
    before = split(authors[:299], places[:299])
    after = split(authors, places)[:299]
    assert sum(map(str.__ne__, before, after)) <= 6


def test_too_few_groups_are_one_clear_error():
    with pytest.raises(SplitError, match="Add photographs of other authors and places"):
        split(["a"] * 9, ["01"] * 9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"holdout": 1.0}, "holdout=1.0"),
        ({"benchmark": float("nan")}, "benchmark=nan"),
        ({"router_queries": 0.6, "benchmark": 0.5}, "nothing to train on"),
        ({"by": ("place",)}, "expected"),
        ({"benchmark_name": "train"}, "another set"),
    ],
)
def test_shares_that_make_no_sense_are_refused(options, message):
    with pytest.raises(SplitError, match=message):
        SplitConfig(**options)
