"""The picture on the first page: towns as dots, as large as they have suppliers."""

import math
from typing import Literal, NamedTuple

from supplyr.db.database import Database

_WIDTH = 420.0
_MOST = 120
_EDGE = 30.0
# How wide a letter of a name is, and how high a line.
_LETTER = 6.6
_LINE = 13.0
# Towns with fewer suppliers than this share of the largest are left out: mostly misspelt names.
_LEAST_SHARE = 0.05

Side = Literal["", "left", "right"]


class Dot(NamedTuple):
    """A town in the picture; x, y and radius in its units; where its name stands, if anywhere."""

    town: str
    country: str
    suppliers: int
    x: float
    y: float
    radius: float
    side: Side


class _Area(NamedTuple):
    """Where a dot or a name is: from left to right, around a height."""

    left: float
    right: float
    y: float

    def meets(self, other: "_Area") -> bool:
        """Whether two of them would touch."""
        apart = self.left > other.right or other.left > self.right
        return not apart and abs(self.y - other.y) < _LINE


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
    rows = [row for row in rows if row["n"] >= _LEAST_SHARE * rows[0]["n"]]
    # Degrees of longitude are shorter than those of latitude: by the cosine of the middle.
    middle = math.radians(sum(row["lat"] for row in rows) / len(rows))
    points = [(row["lon"] * math.cos(middle), -row["lat"]) for row in rows]
    left, top = min(x for x, _ in points), min(y for _, y in points)
    span = max(max(x for x, _ in points) - left, max(y for _, y in points) - top) or 1.0
    most = rows[0]["n"]
    scale = (_WIDTH - 2 * _EDGE) / span
    dots = [
        Dot(
            row["city"],
            row["country"],
            row["n"],
            round(_EDGE + (x - left) * scale, 1),
            round(_EDGE + (y - top) * scale, 1),
            round(2.5 + 9 * math.sqrt(row["n"] / most), 1),
            "",
        )
        for row, (x, y) in zip(rows, points, strict=True)
    ]
    height = max(dot.y for dot in dots) + _EDGE
    return Atlas(max(dot.x for dot in dots) + _EDGE, height, _named(dots))


def _named(dots: list[Dot]) -> list[Dot]:
    """Name the towns whose names find room beside their dots, those with most suppliers first."""
    taken = [_Area(dot.x - dot.radius, dot.x + dot.radius, dot.y) for dot in dots]
    named: list[Dot] = []
    for dot in dots:
        wide = _LETTER * len(dot.town)
        beside = dot.radius + 2
        right = _Area(dot.x + beside, dot.x + beside + wide, dot.y)
        left = _Area(dot.x - beside - wide, dot.x - beside, dot.y)
        side: Side = ""
        for name, area in (("right", right), ("left", left)):
            if not any(area.meets(other) for other in taken):
                side = name  # type: ignore[assignment]  # one of the two words above
                taken.append(area)
                break
        named.append(dot._replace(side=side))
    return named
