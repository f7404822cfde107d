"""Find suppliers: pages, counts, suggestions, the classification."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from supplyr.search.cursor import MAX_CHARACTERS, CursorError
from supplyr.search.engine import COUNTED_AT_MOST
from supplyr.search.question import MAX_PAGE
from supplyr.search.suggest import MAX_CHARACTERS as MAX_TYPED
from supplyr.search.suggest import suggest
from supplyr.store import codes
from supplyr.web.api.asked import Asked, Typed
from supplyr.web.api.models import (
    CodeOut,
    Counted,
    Found,
    FoundPage,
    OverviewOut,
    SuggestionOut,
)
from supplyr.web.api.responses import problems
from supplyr.web.context import context_of
from supplyr.web.errors import ProblemError
from supplyr.web.limits import SEARCHES

router = APIRouter(prefix="/api/v1", tags=["search"], dependencies=[SEARCHES])


@router.get("/suppliers", responses=problems(400))
async def find_suppliers(
    request: Request,
    question: Asked,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
    cursor: Annotated[str | None, Query(max_length=MAX_CHARACTERS)] = None,
) -> FoundPage:
    """Find suppliers. Where few are found, near words are looked for too (`near_words`)."""
    try:
        page = await context_of(request).search.page(question, limit, cursor)
    except CursorError as error:
        raise ProblemError(400, str(error), code="cursor") from error
    return FoundPage(
        items=[Found.of(hit) for hit in page.hits],
        next_cursor=page.next_cursor,
        near_words={word: list(near) for word, near in page.near_words.items()},
    )


@router.get("/suppliers/overview", responses=problems(400))
async def count_suppliers(request: Request, question: Asked) -> OverviewOut:
    """Count what a question finds, and what the suppliers have in common. Kept for a minute."""
    overview = await context_of(request).search.overview(question)
    return OverviewOut(
        count=overview.suppliers,
        counted_at_most=COUNTED_AT_MOST,
        facets={
            name: [Counted(value=one.value, count=one.suppliers) for one in values]
            for name, values in overview.facets.items()
        },
    )


@router.get("/suggestions", responses=problems())
async def suggestions(
    request: Request, q: Annotated[Typed, Query(max_length=MAX_TYPED)] = ""
) -> list[SuggestionOut]:
    """Say what somebody may be about to type; nothing below two letters."""
    found = await suggest(context_of(request).database, q)
    return [SuggestionOut(**one._asdict()) for one in found]


@router.get("/codes", responses=problems())
async def classification(request: Request) -> list[CodeOut]:
    """Return the whole classification."""
    return [CodeOut(**row) for row in await codes.every(context_of(request).database)]
