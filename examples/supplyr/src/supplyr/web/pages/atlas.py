"""The picture on the first page: towns as dots, as large as they have suppliers."""

import math
from typing import NamedTuple

from supplyr.db.database import Database

_WIDTH = 420.0
_MOST = 120


class Dot(NamedTuple):
    """A town in the picture; x, y and radius in its units."""

    town: str
    country: str
    suppliers: int
    x: float
    y: float
    radius: float
    named: bool


class Atlas(NamedTuple):
    """The picture's size and its dots, largest first."""

    width: float
    height: float
    dots: list[Dot]


async def drawn(database: Database) -> Atlas:
    """Draw the picture: towns of active suppliers."""
    rows = await database.fetch_all(
        "SELECT city, country, count(*) AS n, avg(latitude_deg) AS lat, avg(longitude_deg) AS lon"
        " FROM suppliers WHERE status = 'active' AND latitude_deg IS NOT NULL AND city <> ''"
        " GROUP BY city, country ORDER BY n DESC LIMIT ?",
        (_MOST,),
    )
    if not rows:
        return Atlas(_WIDTH, _WIDTH, [])
    # Degrees of longitude are shorter than those of latitude: by the cosine of the middle.
    middle = math.radians(sum(row["lat"] for row in rows) / len(rows))
    points = [(row["lon"] * math.cos(middle), -row["lat"]) for row in rows]
    left, top = min(x for x, _ in points), min(y for _, y in points)
    span = max(max(x for x, _ in points) - left, max(y for _, y in points) - top) or 1.0
    most = rows[0]["n"]
    scale = (_WIDTH - 60) / span
    dots = [
        Dot(
            row["city"],
            row["country"],
            row["n"],
            round(30 + (x - left) * scale, 1),
            round(30 + (y - top) * scale, 1),
            round(2.5 + 9 * math.sqrt(row["n"] / most), 1),
            named=False,
        )
        for row, (x, y) in zip(rows, points, strict=True)
    ]
    height = max(dot.y for dot in dots) + 30
    return Atlas(max(dot.x for dot in dots) + 30, height, _named(dots))


def _named(dots: list[Dot]) -> list[Dot]:
    """Name the towns whose names do not run into others."""
    placed: list[Dot] = []
    for dot in dots:
        free = all(abs(dot.y - other.y) > 15 or abs(dot.x - other.x) > 86 for other in placed)
        if free:
            placed.append(dot)
    names = {dot.town for dot in placed}
    return [dot._replace(named=dot.town in names) for dot in dots]
