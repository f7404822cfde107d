"""The page on which people decide about suspected duplicates."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from supplyr.dedupe import DEFAULT_THRESHOLD
from supplyr.store import duplicates
from supplyr.web import reviewing, work
from supplyr.web.api.duplicates import MIN_THRESHOLD, ClusterId, State
from supplyr.web.api.models import MAX_ID
from supplyr.web.context import context_of
from supplyr.web.errors import ProblemError
from supplyr.web.identity import Writer, form_of
from supplyr.web.limits import WRITES
from supplyr.web.rendering import render

router = APIRouter(include_in_schema=False, prefix="/duplicates")
_CLUSTERS = 10
MIN_PERCENT = round(100 * MIN_THRESHOLD)
_SAID = {
    "merge": "Merged. Under “Merged” it can be undone.",
    "dismiss": "Noted: they are different.",
    "undo": "The merge was undone.",
}


@router.get("")
async def review(
    request: Request,
    _identity: Writer,
    state: State = "open",
    after_permille: Annotated[int | None, Query(ge=0, le=1000)] = None,
    after_id: Annotated[int, Query(ge=0, le=MAX_ID)] = 0,
    did: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """Show clusters, the most similar first."""
    database = context_of(request).database
    after = None if after_permille is None else (after_permille, after_id)
    rows = await duplicates.page(database, state, after, _CLUSTERS)
    values = {
        "clusters": await reviewing.with_suppliers(request, rows),
        "state": state,
        "total": await duplicates.count(database, state),
        "percent": round(100 * DEFAULT_THRESHOLD),
        "min_percent": MIN_PERCENT,
        "said": _SAID.get(did, ""),
        "after": (rows[-1]["best_permille"], rows[-1]["id"]) if len(rows) == _CLUSTERS else None,
    }
    return render(request, "duplicates.html", values, headers={"cache-control": "no-store"})


@router.post("/runs", dependencies=[WRITES])
async def start_run(
    request: Request, identity: Writer, percent: Annotated[int, Form(ge=MIN_PERCENT, le=100)]
) -> Response:
    """Compare the whole directory."""
    row, _ = await work.start_duplicates(request, identity, percent / 100, None)
    return RedirectResponse(f"/jobs/{row['id']}", 303)


@router.post("/{cluster_id}", dependencies=[WRITES])
async def decide(request: Request, identity: Writer, cluster_id: ClusterId) -> Response:
    """Merge, dismiss or undo, as the button says."""
    form = await form_of(request)
    what = form.get("what")
    if what == "merge":
        survivor = _number(form.get("survivor"))
        members = [_number(one) for one in form.getlist("member")]
        await reviewing.merge(request, identity, cluster_id, survivor, members)
    elif what == "dismiss":
        seen = [_number(one) for one in form.getlist("seen")]
        await reviewing.dismiss(request, identity, cluster_id, seen or None)
    elif what == "undo":
        await reviewing.undo(request, identity, _number(form.get("merge")))
    else:
        raise ProblemError(422, "Choose what to do.", code="what")
    return RedirectResponse(f"/duplicates?did={what}", 303)


def _number(sent: object) -> int:
    if isinstance(sent, str) and sent.isascii() and sent.isdigit() and int(sent[:17]) <= MAX_ID:
        return int(sent[:17])
    raise ProblemError(422, "Choose suppliers of the list.", code="what")
