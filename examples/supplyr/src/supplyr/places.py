"""Towns with coordinates, to search around."""

from functools import lru_cache
from typing import NamedTuple

from supplyr.normalise import fold
from supplyr.wordlists import COUNTRIES


class Town(NamedTuple):
    """A town and where it is."""

    name: str
    country: str
    latitude_deg: float
    longitude_deg: float


@lru_cache(maxsize=1)
def _by_name() -> dict[str, Town]:
    return {
        fold(place.city): Town(place.city, country.code, place.latitude_deg, place.longitude_deg)
        for country in COUNTRIES
        for place in country.places
    }


@lru_cache(maxsize=1)
def towns() -> tuple[Town, ...]:
    """Return all towns by name."""
    return tuple(sorted(_by_name().values(), key=lambda town: fold(town.name)))


def town_called(name: str) -> Town | None:
    """Return the town of a name, however its umlauts and capitals are written, or None."""
    return _by_name().get(fold(name))
