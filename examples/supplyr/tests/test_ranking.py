"""Ranking: distances, monotony of the score, order of the result."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supplyr.generate import LAST_UPDATE_DAY, generate
from supplyr.ranking import EARTH_RADIUS_KM, Buyer, completeness, distance_km, rank_suppliers

SUPPLIERS = generate(200).records
BUYER = Buyer(48.40, 9.99, LAST_UPDATE_DAY)
LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)


def test_known_distance() -> None:
    # Paris to Lyon, city centres: 391 to 393 km in published tables.
    assert distance_km(48.8566, 2.3522, 45.7640, 4.8357) == pytest.approx(391.5, abs=1.5)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_distance_is_symmetric_and_at_most_half_way_round(
    latitude: float, longitude: float, other_latitude: float, other_longitude: float
) -> None:
    there = distance_km(latitude, longitude, other_latitude, other_longitude)
    back = distance_km(other_latitude, other_longitude, latitude, longitude)
    assert there == pytest.approx(back, abs=1e-6)
    assert 0 <= there <= math.pi * EARTH_RADIUS_KM + 1e-6


def test_full_profiles_are_complete() -> None:
    full = SUPPLIERS[0]._replace(email="a@b.de", website="https://b.de/")
    assert completeness(full) == pytest.approx(1.0)
    assert completeness(full._replace(phone="")) == pytest.approx(0.8)


@pytest.mark.parametrize(
    "worse",
    [{"phone": ""}, {"updated_day": LAST_UPDATE_DAY - 5000}, {"response_time_h": 500},
     {"latitude_deg": -30.0}],
)  # fmt: skip
def test_every_criterion_counts(worse: dict[str, object]) -> None:
    good = SUPPLIERS[0]
    bad = good._replace(id=0, **worse)  # type: ignore[arg-type]  # fields by name
    assert [ranked.supplier_id for ranked in rank_suppliers([bad, good], BUYER)] == [good.id, 0]


def test_best_first_ties_by_id_and_only_the_top() -> None:
    ranked = rank_suppliers([*SUPPLIERS, *SUPPLIERS], BUYER, 7)
    assert len(ranked) == 7
    keys = [(-one.score, one.supplier_id) for one in ranked]
    assert keys == sorted(keys)
    assert all(0 < one.score <= 1 for one in ranked)


def test_nothing_to_rank() -> None:
    assert rank_suppliers([], BUYER) == []
    with pytest.raises(ValueError, match="top must be 1 or more"):
        rank_suppliers(SUPPLIERS, BUYER, 0)
