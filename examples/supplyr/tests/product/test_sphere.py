"""Chords stand for distances, and a box holds its radius: anywhere on Earth."""

from hypothesis import example, given
from hypothesis import strategies as st

from supplyr.ranking import distance_km
from supplyr.sphere import box_around, distance_of_chord_km, on_sphere, squared_chord

_LATITUDES = st.floats(-90, 90)
_LONGITUDES = st.floats(-180, 180)


def _squared(a: tuple[float, float], b: tuple[float, float]) -> float:
    return sum((p - q) ** 2 for p, q in zip(on_sphere(*a), on_sphere(*b), strict=True))


@given(_LATITUDES, _LONGITUDES, _LATITUDES, _LONGITUDES)
def test_a_chord_is_as_long_as_its_distance(a: float, b: float, c: float, d: float) -> None:
    far = distance_km(a, b, c, d)
    # Near the other end of the Earth, rounding costs some tens of metres.
    assert abs(distance_of_chord_km(_squared((a, b), (c, d))) - far) < 0.3


@given(st.floats(0, 20_000))
def test_a_distance_comes_back_from_its_chord(far: float) -> None:
    assert abs(distance_of_chord_km(squared_chord(far)) - far) < 0.01


@given(_LATITUDES, _LONGITUDES, _LATITUDES, _LONGITUDES, st.floats(0.01, 500))
@example(-16.8, 179.99, -16.8, -179.99, 10.0)
@example(89.9, 0.0, 89.9, 180.0, 100.0)
def test_what_is_within_a_radius_is_within_its_box(
    a: float, b: float, c: float, d: float, radius: float
) -> None:
    if distance_km(a, b, c, d) > radius * (1 - 1e-6):
        return
    box = box_around(a, b, radius)
    assert box.south_deg <= c <= box.north_deg
    if box.west_deg <= box.east_deg:
        assert box.west_deg <= d <= box.east_deg
    else:
        assert d >= box.west_deg or d <= box.east_deg
