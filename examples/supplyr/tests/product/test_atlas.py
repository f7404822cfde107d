"""The picture on the first page."""

from itertools import combinations

from supplyr.db.database import Database
from supplyr.seeding import seed_directory
from supplyr.web.pages.atlas import drawn


async def test_an_empty_directory_has_an_empty_picture(database: Database) -> None:
    assert (await drawn(database)).dots == []


async def test_towns_are_where_they_are_and_their_names_do_not_touch(database: Database) -> None:
    await seed_directory(database, 400)
    picture = await drawn(database)
    at = {dot.town: dot for dot in picture.dots}
    assert at["Hamburg"].y < at["München"].y < at["Roma"].y  # north is up
    assert at["Nantes"].x < at["Berlin"].x < at["Wien"].x  # west is left
    assert all(0 < dot.x < picture.width and 0 < dot.y < picture.height for dot in picture.dots)
    named = [dot for dot in picture.dots if dot.side]
    assert len(named) > 15
    for one, other in combinations(named, 2):
        if one.side == other.side and abs(one.y - other.y) < 8:
            assert abs(one.x - other.x) > 6 * min(len(one.town), len(other.town))
