"""Places on a unit sphere, so that a database compares distances with plain arithmetic.

Two places are as far apart as the straight line (chord) between their points is long, so "within
a radius" is a comparison of squared chords: no trigonometry in SQL, in any dialect.
"""

import math
from typing import NamedTuple

from supplyr.ranking import EARTH_RADIUS_KM


class Box(NamedTuple):
    """Degrees within which everything in a radius lies. West above east: across the date line."""

    south_deg: float
    north_deg: float
    west_deg: float
    east_deg: float


def on_sphere(latitude_deg: float, longitude_deg: float) -> tuple[float, float, float]:
    """Return a place's coordinates x, y, z on the unit sphere."""
    latitude, longitude = math.radians(latitude_deg), math.radians(longitude_deg)
    return (
        math.cos(latitude) * math.cos(longitude),
        math.cos(latitude) * math.sin(longitude),
        math.sin(latitude),
    )


def squared_chord(distance_km: float) -> float:
    """Return the squared chord of a distance along the ground (0 to half around the Earth)."""
    half_angle = min(max(distance_km, 0.0) / (2 * EARTH_RADIUS_KM), math.pi / 2)
    return float(4 * math.sin(half_angle) ** 2)


def distance_of_chord_km(squared: float) -> float:
    """Return the distance along the ground that a squared chord stands for."""
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(max(squared, 0.0)) / 2))


def box_around(latitude_deg: float, longitude_deg: float, radius_km: float) -> Box:
    """Return a box that holds everything within a radius, and not much more."""
    angle = radius_km / EARTH_RADIUS_KM
    reach_deg = math.degrees(angle) * (1 + 1e-9)
    south, north = latitude_deg - reach_deg, latitude_deg + reach_deg
    if south <= -90 or north >= 90:  # a pole is inside: every longitude is
        return Box(max(south, -90.0), min(north, 90.0), -180.0, 180.0)
    ratio = math.sin(angle) / math.cos(math.radians(latitude_deg))
    if ratio >= 1:
        return Box(south, north, -180.0, 180.0)
    wide_deg = math.degrees(math.asin(ratio)) * (1 + 1e-9)
    west, east = longitude_deg - wide_deg, longitude_deg + wide_deg
    return Box(
        south, north, west + 360 if west < -180 else west, east - 360 if east > 180 else east
    )
