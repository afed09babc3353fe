"""No author and no place on two sides, and no photograph on another side because others were added."""

from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo_pipeline.earth.cells import cell_ids
from geo_pipeline.imagery.authors import author_key, author_keys
from geo_pipeline.imagery.split import SplitConfig, SplitError, assign_sets

BOTH = SplitConfig(holdout=0.1, router_queries=0.15, benchmark=0.25, by=("author", "place"))
BY_AUTHOR = SplitConfig(holdout=0.1, router_queries=0.15, benchmark=0.25)
CELLS = np.unique(cell_ids(np.linspace(-80, 80, 6000), np.linspace(-175, 175, 6000), level=10))


def side(name):
    return "pool" if name in ("train", "holdout") else name


def sides(keys, sets):
    found = defaultdict(set)
    for key, name in zip(keys, sets, strict=True):
        if key is not None:
            found[key].add(side(name))
    return found


def split(authors, places, config=BOTH, given_sets=None):
    """`places` are positions in CELLS."""
    fixed = pa.array(given_sets or [None] * len(authors), pa.string())
    return assign_sets(pa.array(authors, pa.string()), CELLS[np.asarray(places, int)], fixed, config).to_pylist()


people = st.one_of(st.none(), st.integers(0, 40).map(lambda n: f"author {n}"))
photographs = st.lists(st.tuples(people, st.integers(0, 60)), min_size=1, max_size=120)


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
    assert "holdout" in sets


@settings(max_examples=30, deadline=None)
@given(photographs, st.randoms(use_true_random=False), st.sampled_from((BOTH, BY_AUTHOR)))
def test_the_order_of_the_rows_does_not_matter(rows, random, config):
    authors, places = [row[0] for row in rows], [row[1] for row in rows]
    order = list(range(len(rows)))
    random.shuffle(order)
    try:
        sets = split(authors, places, config)
    except SplitError:
        return
    again = split([authors[i] for i in order], [places[i] for i in order], config)
    assert again == [sets[i] for i in order]


def collection(count):
    """Photographs of so many authors, most with places of their own, so that every set has groups by its hash."""
    rows = [(f"author {n // 2}" if n % 5 else None, n // 2) for n in range(count)]
    return [row[0] for row in rows], [row[1] for row in rows]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=60),
    st.integers(0, 1),
    st.sampled_from((BOTH, BY_AUTHOR)),
)
def test_photographs_of_new_authors_and_places_move_no_old_one(added, without_author, config):
    authors, places = collection(400)
    before = split(authors, places, config)
    new_authors = [None if without_author else f"newcomer {author}" for author, _ in added]
    after = split(authors + new_authors, places + [1000 + place for _, place in added], config)
    assert after[: len(before)] == before


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 150), st.integers(0, 3000)), max_size=60))
def test_by_author_nothing_that_is_added_moves_an_old_photograph(added):
    authors, places = collection(300)
    before = split(authors, places, BY_AUTHOR)
    known = [f"author {author}" if author % 2 else f"newcomer {author}" for author, _ in added]
    after = split(authors + known, places + [place for _, place in added], BY_AUTHOR)
    assert after[: len(before)] == before


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 199), min_size=1, max_size=30))
def test_a_known_author_at_new_places_moves_nothing(travellers):
    authors, places = collection(400)
    before = split(authors, places)
    known = [f"author {author}" for author in travellers if f"author {author}" in authors]
    after = split(authors + known, places + [1000 + number for number in range(len(known))])
    assert after[: len(before)] == before


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 199), st.integers(0, 199))
def test_only_components_that_merge_may_move_and_they_end_on_one_side(one, other):
    authors, places = collection(400)
    before = split(authors, places)
    after = split([*authors, "bridge", "bridge"], [*places, one, other])
    moved = {place for place, old, new in zip(places, before, after[:400], strict=True) if side(old) != side(new)}
    assert moved <= {one, other}
    assert (
        len({side(name) for place, name in zip([*places, one, other], after, strict=True) if place in (one, other)})
        == 1
    )


def test_a_hundred_thousand_photographs_have_the_shares_that_were_asked_for():
    rng = np.random.default_rng(0)
    authors = [f"user {n}" for n in (20_000 * rng.random(100_000) ** 2).astype(int)]
    places = rng.integers(0, len(CELLS), 100_000)
    config = SplitConfig(holdout=0.05, router_queries=0.1, benchmark=0.2, largest_group=200)
    sets = Counter(split(authors, places, config))
    taken = {name: count / 100_000 for name, count in sets.items()}
    assert taken["photos"] == pytest.approx(0.2, abs=0.02)
    assert taken["router_queries"] == pytest.approx(0.1, abs=0.015)
    assert taken["holdout"] / (taken["train"] + taken["holdout"]) == pytest.approx(0.05, abs=0.01)


def test_the_holdout_is_by_author_and_by_place_without_one():
    authors = [f"author {n % 100}" if n % 3 else None for n in range(3000)]
    places = [n % 500 for n in range(3000)]
    sets = split(authors, places, SplitConfig(holdout=0.2, router_queries=0.0))
    for keys in (authors, [None if author else place for author, place in zip(authors, places, strict=True)]):
        found = defaultdict(set)
        for key, name in zip(keys, sets, strict=True):
            if key is not None:
                found[key].add(name)
        assert set(map(len, found.values())) == {1}
    shared = {name for author, place, name in zip(authors, places, sets, strict=True) if place == 7 and author}
    assert shared == {"train", "holdout"} or len(shared) == 1
    assert 0.1 < sets.count("holdout") / 3000 < 0.3


def test_a_giant_group_stays_in_training():
    config = SplitConfig(0.1, 0.2, 0.6, by=("author", "place"), largest_group=20)
    for giant in (f"giant {n}" for n in range(8)):
        authors = [giant] * 60 + [f"author {n}" for n in range(40)]
        sets = split(authors, range(100), config)
        assert set(sets[:60]) == {"train"}
        assert {"photos", "router_queries", "holdout"} <= set(sets[60:])


def test_an_author_joins_places_and_a_place_joins_authors():
    authors = ["a", "a", "b", "b", "c", None, "d", "e", "f", "g"]
    places = [1, 2, 2, 3, 3, 3, 4, 5, 6, 7]
    sets = split(authors, places)
    assert len({side(name) for name in sets[:6]}) == 1


def test_without_places_an_unknown_author_falls_back_to_the_place():
    authors = ["a", "a", None, None, " Unknown ", "b", "c", "d", "e", "f"]
    places = [1, 2, 3, 3, 3, 3, 4, 5, 6, 7]
    for share in (0.2, 0.3, 0.4, 0.6):
        sets = split(authors, places, SplitConfig(holdout=0.0, router_queries=share, by=("author",)))
        assert len(set(sets[2:5])) == 1
        assert sets[0] == sets[1]


def test_one_spelling_for_one_author():
    assert author_key("Krzysztof  Golik ") == author_key("krzysztof golik")
    assert author_key("") is author_key(None) is author_key("N/A") is None
    sets = split(["A  B", "a b", "\uff21 b"] * 30, range(90), SplitConfig(0.0, 0.0))
    assert set(sets) == {"train"}
    assert author_keys(["Bob", None, "bob ", "Unknown"]).tolist() == ["bob", None, "bob", None]


@pytest.mark.parametrize("config", [SplitConfig(0.0, 0.5), SplitConfig(0.5, 0.0)], ids=["router queries", "holdout"])
def test_bob_and_bob_are_on_one_side_of_the_split(config):
    sets = split([f"{'Bob' if n % 2 else ' bob'} {n // 2}" for n in range(200)], range(200), config)
    assert sets[::2] == sets[1::2]
    assert len(set(sets)) == 2


def test_sets_that_the_source_names_are_kept_and_do_not_count():
    authors = [f"author {n}" for n in range(200)] + ["author 3"] * 300
    given_sets = [None] * 200 + ["planet_mixed"] * 300
    config = SplitConfig(holdout=0.0, router_queries=0.25)
    sets = split(authors, range(500), config, given_sets)
    assert sets[200:] == given_sets[200:]
    assert sets[:200] == split(authors[:200], range(200), config)
    assert set(sets[:200]) == {"train", "router_queries"}
    assert split(["a", "b"], [1, 2], config, ["train", "im2gps"]) == ["train", "im2gps"]


@pytest.mark.parametrize("count", range(4, 40))
def test_a_few_photographs_fill_every_set(count):
    sets = Counter(split([None] * count, range(count)))
    assert set(sets) == {"train", "holdout", "router_queries", "photos"}
    authors = [f"someone {n}" for n in range(count)]
    assert set(split(authors, range(count))) == set(sets)


def test_too_few_groups_are_one_clear_error():
    with pytest.raises(SplitError, match=r"1 group .* Add photographs of other authors and places"):
        split(["a"] * 9, [1] * 9)
    with pytest.raises(SplitError, match="Add photographs of other authors and places"):
        split(["a", "b", "c"], [1, 2, 3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"holdout": 1.0}, "holdout=1.0"),
        ({"benchmark": float("nan")}, "benchmark=nan"),
        ({"router_queries": 0.6, "benchmark": 0.5}, "nothing to train on"),
        ({"by": ("place",)}, "expected"),
        ({"benchmark_name": "train"}, "another set"),
        ({"largest_group": 0}, "largest_group=0"),
    ],
)
def test_shares_that_make_no_sense_are_refused(options, message):
    with pytest.raises(SplitError, match=message):
        SplitConfig(**options)
