"""Rank suppliers for a buyer: complete, fresh, quick to answer and near. Plain Python."""

import math
from collections.abc import Sequence
from functools import lru_cache
from heapq import nsmallest
from typing import NamedTuple

from lanewise import task

from supplyr.generate import LAST_UPDATE_DAY, generate
from supplyr.records import Supplier

EARTH_RADIUS_KM = 6371.0088  # mean radius (IUGG)
FRESHNESS_HALF_LIFE_DAYS = 180
RESPONSE_HALF_POINT_H = 24
DISTANCE_HALF_POINT_KM = 150

# Points for a filled field; they add up to 1.
_COMPLETENESS = {
    "name": 0.10, "street": 0.10, "city": 0.05, "postcode": 0.05, "phone": 0.20, "email": 0.15,
    "website": 0.15, "vat_number": 0.10, "categories": 0.10,
}  # fmt: skip
_WEIGHTS = {"completeness": 0.30, "freshness": 0.20, "response": 0.20, "distance": 0.30}


class Buyer(NamedTuple):
    """Who asks: where they are and the day (proleptic ordinal) on which they ask."""

    latitude_deg: float
    longitude_deg: float
    day: int


class Ranked(NamedTuple):
    """A supplier's id with its score (0 to 1) and distance."""

    supplier_id: int
    score: float
    distance_km: float


def distance_km(
    latitude_deg: float, longitude_deg: float, other_latitude_deg: float, other_longitude_deg: float
) -> float:
    """Return the great-circle distance by the haversine formula (the Earth as a sphere)."""
    phi, other_phi = math.radians(latitude_deg), math.radians(other_latitude_deg)
    half_phi = (other_phi - phi) / 2
    half_lambda = math.radians(other_longitude_deg - longitude_deg) / 2
    chord = math.sin(half_phi) ** 2
    chord += math.cos(phi) * math.cos(other_phi) * math.sin(half_lambda) ** 2
    # Rounding can lift opposite points a hair above 1, where asin is not defined.
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(chord, 1.0)))


def completeness(supplier: Supplier) -> float:
    """Return the share (0 to 1) of a profile that is filled in, by the weight of the fields."""
    return sum(points for field, points in _COMPLETENESS.items() if getattr(supplier, field))


def _score(supplier: Supplier, buyer: Buyer) -> Ranked:
    away_km = distance_km(
        buyer.latitude_deg, buyer.longitude_deg, supplier.latitude_deg, supplier.longitude_deg
    )
    age_days = max(buyer.day - supplier.updated_day, 0)
    score = (
        _WEIGHTS["completeness"] * completeness(supplier)
        + _WEIGHTS["freshness"] * 0.5 ** (age_days / FRESHNESS_HALF_LIFE_DAYS)
        + _WEIGHTS["response"] / (1 + supplier.response_time_h / RESPONSE_HALF_POINT_H)
        + _WEIGHTS["distance"] / (1 + away_km / DISTANCE_HALF_POINT_KM)
    )
    return Ranked(supplier.id, score, away_km)


def _ranking_size(suppliers: Sequence[Supplier], buyer: Buyer, top: int = 20) -> int:
    return len(suppliers)


@lru_cache(maxsize=8)
def _generated(count: int) -> tuple[Supplier, ...]:
    return generate(count).records


def _ranking_inputs(size: int) -> tuple[list[Supplier], Buyer, int]:
    buyer = Buyer(latitude_deg=48.40, longitude_deg=9.99, day=LAST_UPDATE_DAY)  # Ulm
    return list(_generated(size)), buyer, 20


@task(size=_ranking_size, inputs=_ranking_inputs, idempotent=True)
def rank_suppliers(suppliers: Sequence[Supplier], buyer: Buyer, top: int = 20) -> list[Ranked]:
    """Return the `top` suppliers for `buyer`, best first; equal scores by id.

    Raises ValueError when `top` is below 1.
    """
    if top < 1:
        raise ValueError(f"top must be 1 or more, got {top!r}")
    scored = (_score(supplier, buyer) for supplier in suppliers)
    return nsmallest(top, scored, key=lambda ranked: (-ranked.score, ranked.supplier_id))
