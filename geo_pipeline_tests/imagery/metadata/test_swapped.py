"""Latitude and longitude exchanged: a whole file is refused, a slip of one row is a matter of that row."""

import pytest

from geo_pipeline.imagery.metadata.read import SwappedColumnsError, metadata_notes
from geo_pipeline_tests.imagery.metadata.test_read import read


def test_swapped_headers_refuse_the_whole_file(tmp_path):
    with pytest.raises(SwappedColumnsError, match=r"2 latitudes .* \(up to 151.2\).* swapped\?"):
        read(tmp_path, "id,lat,lon\na,151.2,-33.9\nb,2.3,48.9\nc,-122.4,37.8\nd,,\ne,x,y\n")


def rows_of(*pairs):
    """A CSV of (latitude, longitude, how many times)."""
    lines = [f"{lat},{lon}" for lat, lon, count in pairs for _ in range(count)]
    return "id,lat,lon\n" + "".join(f"{number},{line}\n" for number, line in enumerate(lines))


SYDNEY, PARIS = (-33.9, 151.2), (48.9, 2.4)
SYDNEY_SWAPPED, PARIS_SWAPPED = SYDNEY[::-1], PARIS[::-1]
SLIP = (95, 10)
"""A row that only an exchange would mend; it may be a slip of the pen."""


@pytest.mark.parametrize(
    ("rows", "refused"),
    {
        "one slip among European rows": ([(*PARIS, 20), (*SLIP, 1)], False),
        "one slip among ten rows": ([(*PARIS, 9), (*SLIP, 1)], False),
        "one of so few that it may be the rule": ([(*PARIS, 8), (*SLIP, 1)], True),
        "one slip among so few, and one to the contrary": ([(*PARIS, 7), (*SYDNEY, 1), (*SLIP, 1)], False),
        "rows without a coordinate do not count": ([(*PARIS, 8), ("", 2, 5), ("x", 2, 5), (*SLIP, 1)], True),
        "one slip among rows of all the world": ([(*PARIS, 3), (*SYDNEY, 1), (*SLIP, 1)], False),
        "several slips among very many": ([(*PARIS, 600), (*SYDNEY, 400), (*SLIP, 40)], False),
        "placeholders are no longitudes": ([(*PARIS, 20), (999, 0, 9), (-9999, 10, 3)], False),
        "both columns broken": ([(*PARIS, 20), (999, 999, 9), (500, -500, 3)], False),
        "swapped": ([(*PARIS_SWAPPED, 60), (*SYDNEY_SWAPPED, 40)], True),
        "swapped, and one row beyond both": ([(*PARIS_SWAPPED, 60), (*SYDNEY_SWAPPED, 40), (95, 100, 1)], True),
        "swapped, and one row as it should be": ([(*PARIS_SWAPPED, 60), (*SYDNEY_SWAPPED, 40), (*SYDNEY, 1)], True),
        "swapped, and some broken longitudes": ([(*PARIS_SWAPPED, 60), (*SYDNEY_SWAPPED, 3), (10, 999, 9)], True),
        "swapped, with few that show it": ([(*PARIS_SWAPPED, 5000), (*SYDNEY_SWAPPED, 2)], True),
        "half of it swapped": ([(*SYDNEY, 50), (*SYDNEY_SWAPPED, 50), (*PARIS, 50), (*PARIS_SWAPPED, 50)], True),
        "a tenth of it swapped": ([(*SYDNEY, 90), (*SYDNEY_SWAPPED, 10)], True),
        "one swapped row alone": ([(*SYDNEY_SWAPPED, 1)], True),
        "one of two rows": ([(*SYDNEY_SWAPPED, 1), (*PARIS_SWAPPED, 1)], True),
        "one row and its opposite": ([(*SYDNEY_SWAPPED, 1), (*SYDNEY, 1)], False),
        "nothing beyond": ([(*PARIS, 5), (*SYDNEY, 5), (90, 180, 1)], False),
    }.values(),
)
@pytest.mark.parametrize("turn", [1, -1])
def test_exchanged_columns_are_told_from_slips_of_single_rows(tmp_path, rows, refused, turn):
    text = rows_of(*rows[::turn])
    if refused:
        with pytest.raises(SwappedColumnsError, match=r"m\.csv: found .* swapped\? Expected .* Exchange"):
            read(tmp_path, text)
    else:
        assert len(read(tmp_path, text)) == sum(count for _, _, count in rows)


def test_a_refusal_names_the_rows_that_gave_rise_to_it(tmp_path):
    with pytest.raises(SwappedColumnsError, match=r"in the lines 22, 23, 24, 25, 26 and 4 more"):
        read(tmp_path, rows_of((*PARIS, 20), (*SLIP, 9)))


def test_one_broken_row_does_not_hide_six_thousand_that_are_swapped(tmp_path):
    text = rows_of((*PARIS_SWAPPED, 4020), (*SYDNEY_SWAPPED, 1980), (95, 100, 1), (*SYDNEY, 5), (95, 10, 1))
    with pytest.raises(SwappedColumnsError, match="1981 latitudes beyond 90 degrees"):
        read(tmp_path, text)


def test_one_wrong_latitude_among_longitudes_that_are_longitudes_is_a_matter_of_its_row(tmp_path):
    table = read(tmp_path, "id,lat,lon\na,151.2,-33.9\nb,-33.9,151.2\nc,0,-181\n")
    assert (len(table), metadata_notes(table).beyond) == (3, 2)
