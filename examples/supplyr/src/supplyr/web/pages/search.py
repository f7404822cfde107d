"""The first page, results, and suggestions below the field."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from supplyr.classification import DIVISIONS, TITLES
from supplyr.places import town_called, towns
from supplyr.search.cursor import MAX_CHARACTERS, CursorError
from supplyr.search.engine import COUNTED_AT_MOST, Page
from supplyr.search.question import Near, Question
from supplyr.search.suggest import MAX_CHARACTERS as MAX_TYPED
from supplyr.search.suggest import suggest
from supplyr.store import suppliers
from supplyr.web.api.asked import Asked, Typed
from supplyr.web.context import Context, context_of
from supplyr.web.errors import ProblemError
from supplyr.web.identity import Visitor
from supplyr.web.limits import SEARCHES
from supplyr.web.pages.atlas import drawn
from supplyr.web.rendering import is_partial, render

router = APIRouter(include_in_schema=False)
_PAGE = 20
_FIRST = 6
_TOTAL_KEPT_S = 60.0
RADII_KM = (10, 25, 50, 100, 250)
SORTS = {
    "relevance": "Best match", "ranking": "Ranking", "distance": "Distance", "name": "Name",
    "newest": "Recently updated",
}  # fmt: skip
COUNTRIES = {
    "AT": "Austria", "BE": "Belgium", "CH": "Switzerland", "DE": "Germany", "FR": "France",
    "IT": "Italy",
}  # fmt: skip
CODE_TITLES = {**DIVISIONS, **TITLES}


@router.get("/")
async def home(request: Request, _identity: Visitor) -> Response:
    """Show the field, where suppliers are, what they do, and some of the best."""
    context = context_of(request)
    everything = Question(sort="ranking")
    overview = await context.search.overview(everything)
    best = await context.search.page(everything, _FIRST)
    values = {
        # Who fills an empty directory wants to see it, so what is empty is not kept.
        "total": await context.pictures.get(
            "total",
            lambda: suppliers.count_active(context.database),
            for_s=_TOTAL_KEPT_S,
            worth=bool,
        ),
        "divisions": [
            (one.value, CODE_TITLES.get(one.value, one.value), one.suppliers)
            for one in overview.facets["codes"]
        ],
        "countries": overview.facets["countries"],
        "hits": best.hits,
        "atlas": await context.pictures.get(
            "atlas", lambda: drawn(context.database), worth=lambda atlas: bool(atlas.dots)
        ),
        "titles": CODE_TITLES,
        "towns": towns(),
    }
    return render(request, "home.html", values)


@router.get("/search", dependencies=[SEARCHES])
async def search(
    request: Request,
    _identity: Visitor,
    question: Asked,
    around: Annotated[Typed, Query(max_length=80)] = "",
    cursor: Annotated[str | None, Query(max_length=MAX_CHARACTERS)] = None,
) -> Response:
    """Show what was found, and what it can be narrowed down to."""
    context = context_of(request)
    asked = await around_town(
        context, question, around, request.query_params.get("radius_km", "50")
    )
    started = time.perf_counter()
    try:
        page = await context.search.page(asked, _PAGE, cursor)
    except CursorError as error:
        raise ProblemError(400, str(error), code="cursor") from error
    took_s = time.perf_counter() - started
    values = _values(request, asked, page, around)
    if cursor is not None and is_partial(request):
        return render(request, "parts/more.html", values)
    values |= await _counts(context, asked, page)
    return render(request, "search.html", {**values, "took_ms": took_s * 1000})


@router.get("/suggest", dependencies=[SEARCHES])
async def suggestions(
    request: Request, q: Annotated[Typed, Query(max_length=MAX_TYPED)] = ""
) -> Response:
    """Return the list below the field."""
    found = await suggest(context_of(request).database, q)
    return render(request, "parts/suggestions.html", {"suggestions": found})


async def around_town(context: Context, question: Question, around: str, radius: str) -> Question:
    """Return a question around the town that somebody named."""
    if not around.strip() or question.near is not None:
        return question
    town = town_called(around)
    if town is None:
        place = await suppliers.middle_of_city(context.database, around.strip())
    else:
        place = (town.latitude_deg, town.longitude_deg)
    if place is None:
        raise ProblemError(404, f"No town called {around} is known here.", code="town")
    # It was checked with the other values of the query string.
    return replace(question, near=Near(*place, float(radius)))


def _values(request: Request, question: Question, page: Page, around: str) -> dict[str, Any]:
    kept: Mapping[str, Any] = {
        name: value for name, value in request.query_params.items() if name != "cursor" and value
    }
    return {
        "question": question,
        "kept": kept,
        "around": around,
        "page": page,
        "hits": page.hits,
        "titles": CODE_TITLES,
        "country_names": COUNTRIES,
        "sorts": SORTS,
        "radii_km": RADII_KM,
        "towns": towns(),
    }


async def _counts(context: Context, question: Question, page: Page) -> dict[str, Any]:
    overview = await context.search.overview(question, page.near_words)
    return {"overview": overview, "counted_at_most": COUNTED_AT_MOST}
