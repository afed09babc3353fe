"""A planet is decided by its seed, fair in its mixture, and silent about the truth."""

from collections import Counter

import numpy as np
import pytest

from geo_pipeline.sample_world.config import Outing, PlanetConfig
from geo_pipeline.sample_world.laws import is_land, region_at
from geo_pipeline.sample_world.planet import found, offset
from geo_pipeline.sample_world.source import PlanetSource

CONFIG = PlanetConfig()


def test_same_seed_same_planet_other_seed_other_planet() -> None:
    assert found(3, CONFIG) == found(3, CONFIG)
    first, second = found(3, CONFIG), found(4, CONFIG)
    assert not {place.landmark for place in first.places} & {place.landmark for place in second.places}


def test_set_sizes_are_the_configured_ones() -> None:
    planet = found(5, CONFIG)
    sizes = Counter(photograph.set_name for photograph in planet.photographs)
    assert sizes == {None: CONFIG.pool.photographs} | {name: outing.photographs for name, outing in CONFIG.benchmarks}
    assert sum(count for name, count in sizes.items() if name is not None) >= 1000


def test_authors_of_the_benchmarks_are_strangers_to_the_pool() -> None:
    planet = found(6, CONFIG)
    authors: dict[str | None, set[str]] = {}
    for photograph in planet.photographs:
        authors.setdefault(photograph.set_name, set()).add(photograph.author)
    for name, _ in CONFIG.benchmarks:
        assert not authors[name] & authors[None]


def test_every_coordinate_is_valid() -> None:
    planet = found(7, CONFIG)
    lat_deg = np.array([photograph.lat_deg for photograph in planet.photographs])
    lon_deg = np.array([photograph.lon_deg for photograph in planet.photographs])
    assert (np.abs(lat_deg) <= 90).all()
    assert (np.abs(lon_deg) <= 180).all()


def test_shares_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="sum of 1"):
        Outing(10, (0.5, 0.5, 0.5, 0.5), 0.0, 0.0, 1.0)


def test_laws_are_continuous_at_the_date_line() -> None:
    east, west = region_at(20.0, 179.9999), region_at(20.0, -179.9999)
    for colour in ("soil", "sky_top", "grass", "roof", "road_mark", "mountain"):
        assert np.allclose(getattr(east, colour), getattr(west, colour), atol=0.5)
    assert is_land(np.array([20.0]), np.array([180.0])) == is_land(np.array([20.0]), np.array([-180.0]))


def test_offset_moves_the_asked_distance_and_wraps() -> None:
    lat_deg, lon_deg = offset(0.0, 179.9, 0.0, 50.0)
    assert lat_deg == 0.0
    assert lon_deg == pytest.approx(-179.65, abs=0.01)


def test_nothing_but_the_row_tells_where_a_photograph_is() -> None:
    source = PlanetSource(8, PlanetConfig(pool=Outing(300, (0.4, 0.2, 0.3, 0.1), 0.0, 0.6, 1.8), benchmarks=()))
    records = list(source.records())
    assert len({record.image_id for record in records}) == len(records)
    lat_deg = np.array([record.lat_deg for record in records])
    order_of_ids = np.argsort([record.image_id for record in records])
    for order in (np.arange(len(records)), order_of_ids):
        neighbours = np.abs(np.diff(lat_deg[order])).mean()
        shuffled = np.abs(np.diff(np.random.default_rng(0).permutation(lat_deg))).mean()
        assert neighbours == pytest.approx(shuffled, rel=0.25)


def test_photographs_carry_no_metadata() -> None:
    import io

    from PIL import Image

    source = PlanetSource(9, PlanetConfig(pool=Outing(3, (0.4, 0.2, 0.3, 0.1), 0.0, 0.6, 1.0), benchmarks=()))
    for record in source.records():
        with Image.open(io.BytesIO(source.read(record.locator))) as picture:
            assert not dict(picture.getexif())
            assert not picture.info
