"""A question from a query string: what the API and the pages have in common."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import AfterValidator

from supplyr.search.question import MAX_RADIUS_KM, MAX_TEXT_CHARACTERS, Near, Question, Sort
from supplyr.web.api.models import without_controls
from supplyr.web.errors import ProblemError

Typed = Annotated[str, AfterValidator(without_controls)]


async def _asked(
    q: Annotated[
        Typed, Query(max_length=MAX_TEXT_CHARACTERS, description="Words, or a code such as 25.62")
    ] = "",
    country: Annotated[str, Query(pattern=r"^([A-Z]{2})?$")] = "",
    region: Annotated[Typed, Query(max_length=80)] = "",
    code: Annotated[
        str, Query(pattern=r"^([0-9]{2}(\.[0-9]{0,2})?)?$", description="A code or its beginning")
    ] = "",
    certificate: Annotated[Typed, Query(max_length=40)] = "",
    lat: Annotated[float | None, Query(ge=-90, le=90, allow_inf_nan=False)] = None,
    lon: Annotated[float | None, Query(ge=-180, le=180, allow_inf_nan=False)] = None,
    radius_km: Annotated[float, Query(gt=0, le=MAX_RADIUS_KM, allow_inf_nan=False)] = 50.0,
    sort: Annotated[Sort, Query()] = "relevance",
) -> Question:
    if (lat is None) != (lon is None):
        raise ProblemError(400, "A place needs both lat and lon.", code="place")
    near = None if lat is None or lon is None else Near(lat, lon, radius_km)
    return Question(q, country, region, code, certificate, near, sort)


Asked = Annotated[Question, Depends(_asked)]
